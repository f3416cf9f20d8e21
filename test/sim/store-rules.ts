/** What must hold of every change of the metadata of partitions, whoever makes it. */
import type { PartitionRecord } from '../../src/metadata/metadata-records.ts'

export interface PartitionChange {
  readonly before: PartitionRecord
  readonly after: PartitionRecord
  readonly minInsyncReplicas: number
  /** Who wrote it. */
  readonly author: string
  /** Who holds the office at that moment. */
  readonly controller: string
  /** Nodes that lost what was on their disk and have not told the cluster yet, or just do. */
  readonly lossy: ReadonlySet<number>
  /** Nodes that are registered. */
  readonly live: ReadonlySet<number>
}

/** In what the change breaks the rules of leaders, in-sync replicas and eligible leaders. */
export function brokenRules(change: PartitionChange): string[] {
  const { before, after } = change
  const isUnclean = after.unclean?.leaderEpoch !== before.unclean?.leaderEpoch
  if (isUnclean) return [...epochRules(change), ...uncleanRules(change)]
  return [
    ...epochRules(change),
    ...officeRules(change),
    ...membershipRules(change),
    ...eligibleRules(change),
  ]
}

/** A leader that is up gives it up itself; else the controller decides, and nobody who was replaced. */
function officeRules({ before, after, author, controller, live }: PartitionChange): string[] {
  const isScene = !/^[nf]\d+$/.test(author)
  if (after.leader === before.leader || author === `n${before.leader}` || isScene) return []
  if (live.has(before.leader)) return [`${author} replaces ${before.leader}, which is up`]
  const mayDecide = author === controller || author.startsWith('f')
  return mayDecide ? [] : [`${author} elects, and ${controller} is the controller`]
}

/** An operator may choose any replica that is up, while nobody is who has everything. */
function uncleanRules({ before, after, live }: PartitionChange): string[] {
  const broken: string[] = []
  const whole = [...before.isr, ...before.elr].filter((id) => live.has(id))
  if (whole.length > 0) broken.push(`an unclean election although ${whole} are up`)
  if (!after.replicas.includes(after.leader)) broken.push(`${after.leader} is no replica`)
  if (after.unclean?.leaderEpoch !== after.leaderEpoch) broken.push('the audit has another epoch')
  if (after.isr.length !== 1 || after.elr.length > 0) broken.push('others count as whole')
  return broken
}

function epochRules({ before, after }: PartitionChange): string[] {
  const broken: string[] = []
  if (after.leaderEpoch < before.leaderEpoch) broken.push('the leader epoch went back')
  const isNewLeader = after.leader !== -1 && after.leader !== before.leader
  if (isNewLeader && after.leaderEpoch <= before.leaderEpoch) {
    broken.push('a new leader has no epoch of its own')
  }
  if (after.leader !== -1 && !after.isr.includes(after.leader)) {
    broken.push('the leader is not in sync')
  }
  return broken
}

function membershipRules({ before, after, lossy }: PartitionChange): string[] {
  const broken: string[] = []
  for (const id of [...after.isr, ...after.elr]) {
    if (!after.replicas.includes(id)) broken.push(`${id} is no replica`)
  }
  if (after.isr.some((id) => after.elr.includes(id))) broken.push('a node is in ISR and ELR')
  const isElection = after.leader !== -1 && after.leader !== before.leader
  if (isElection) {
    const mayLead = [...before.isr, ...before.elr]
    if (!mayLead.includes(after.leader)) broken.push(`${after.leader} was not eligible`)
  }
  const holders = [...after.isr, ...after.elr].length
  const had = [...before.isr, ...before.elr].filter((id) => !lossy.has(id)).length
  if (holders === 0 && had > 0) broken.push('nobody is left who has it all')
  return broken
}

function eligibleRules({ before, after, author, minInsyncReplicas, lossy }: PartitionChange) {
  const broken: string[] = []
  const min = Math.min(minInsyncReplicas, after.replicas.length)
  if (after.isr.length >= min && after.elr.length > 0) {
    broken.push('ELR is kept although enough are in sync')
  }
  if (after.isr.length >= min) return broken
  for (const id of before.isr) {
    const isGone = !after.isr.includes(id) && !after.elr.includes(id)
    if (isGone && author !== `n${id}` && !lossy.has(id)) {
      broken.push(`${id} left ISR below the minimum and is not in ELR`)
    }
  }
  return broken
}
