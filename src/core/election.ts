/**
 * Who may lead a partition, and how its ISR and ELR change. Functions of the state that give the
 * next one; writing it, by compare and set, is the caller's part.
 */
import { assert } from '../lib/assert.ts'
import type { PartitionState } from './partition-state.ts'

export interface ElectionRules {
  /** Whether the node is registered now. */
  readonly isLive: (nodeId: number) => boolean
  /** Setting of the topic. */
  readonly minInsync: number
  /** Nodes that are chosen only if nobody else can lead, such as those about to stop. */
  readonly avoid?: ReadonlySet<number>
}

/** What a restarted node found of a partition: all that it ever acknowledged, perhaps not all, or nothing sound. */
export type LocalReplica = 'kept' | 'loss-possible' | 'lost'

/** How many replicas must be in sync before anything is committed. */
export function effectiveMinInsync({ replicas }: PartitionState, minInsync: number): number {
  return Math.min(minInsync, replicas.length)
}

/**
 * Replaces a leader that is missing or not live, never one that is: it would not know, and only it
 * knows what is under way. Members of the ISR that are not live leave it in the same step.
 * undefined: nothing to do, or to be done.
 */
export function elect<P extends PartitionState>(partition: P, rules: ElectionRules): P | undefined {
  const { leader } = partition
  if (leader !== -1 && rules.isLive(leader) && partition.isr.includes(leader)) return undefined
  const chosen = cleanCandidate(partition, rules)
  if (chosen === undefined) {
    return leader === -1 ? undefined : withLeader(partition, -1)
  }
  return withLeader(withoutDead(partition, chosen, rules), chosen)
}

/** Makes the first replica the leader; undefined: it is, or it cannot become it now. */
export function electPreferred<P extends PartitionState>(
  partition: P,
  rules: ElectionRules,
): P | undefined {
  return electEqual(partition, partition.replicas.slice(0, 1), rules)
}

/** Gives leadership to somebody else; undefined: nobody could take it over as it is. */
export function electOther<P extends PartitionState>(
  partition: P,
  rules: ElectionRules,
): P | undefined {
  return electEqual(partition, partition.replicas, rules)
}

/** The first of these that is as good a leader as the one that leads, and is not it. */
function electEqual<P extends PartitionState>(
  partition: P,
  candidates: readonly number[],
  rules: ElectionRules,
): P | undefined {
  const { leader, isr } = partition
  const chosen = candidates.find(
    (node) =>
      node !== leader && isr.includes(node) && rules.isLive(node) && !isAvoided(node, rules),
  )
  return chosen === undefined
    ? undefined
    : withLeader(withoutDead(partition, chosen, rules), chosen)
}

/**
 * The live replica that holds all that is committed and comes first: of the ISR, and only if none of
 * it is live of the ELR. undefined: nobody can lead without a loss.
 */
export function cleanCandidate(
  { replicas, isr, elr }: PartitionState,
  rules: ElectionRules,
): number | undefined {
  for (const members of [isr, elr]) {
    const live = replicas.filter((node) => members.includes(node) && rules.isLive(node))
    const chosen = live.find((node) => !isAvoided(node, rules)) ?? live[0]
    if (chosen !== undefined) return chosen
  }
  return undefined
}

/** The node leads from now on, whatever it holds; what the others have beyond that is given up. */
export function uncleanElect<P extends PartitionState>(
  partition: P,
  nodeId: number,
  nowMs: number,
): P {
  assert(partition.replicas.includes(nodeId), 'only a replica can lead')
  const leaderEpoch = partition.leaderEpoch + 1
  return {
    ...partition,
    leader: nodeId,
    leaderEpoch,
    isr: [nodeId],
    elr: [],
    unclean: { atMs: nowMs, leaderEpoch },
  }
}

/**
 * What a node writes about itself before it registers, so that it begins without a vote that it does
 * not deserve and leads nothing from before. undefined: all may stay as it is.
 */
export function rejoin<P extends PartitionState>(
  partition: P,
  nodeId: number,
  local: LocalReplica,
): P | undefined {
  const { replicas, isr, elr } = partition
  // The only replica that there is has nobody to tell it what it lost: it leads with what it has.
  const isTrusted = local === 'kept' || (local === 'loss-possible' && replicas.length === 1)
  const votes = isr.includes(nodeId) || elr.includes(nodeId)
  let next = partition
  if (votes && !isTrusted) {
    const isOther = (node: number) => node !== nodeId
    next = { ...next, isr: isr.filter(isOther), elr: elr.filter(isOther) }
  }
  if (next.leader === nodeId) next = withLeader(next, -1)
  return next === partition ? undefined : next
}

function withoutDead<P extends PartitionState>(
  partition: P,
  leader: number,
  { isLive, minInsync }: ElectionRules,
): P {
  if (!partition.isr.includes(leader)) return withIsr(partition, [leader], minInsync)
  const stay = partition.isr.filter((node) => node === leader || isLive(node))
  return withIsr(partition, stay, minInsync)
}

function withLeader<P extends PartitionState>(partition: P, leader: number): P {
  return { ...partition, leader, leaderEpoch: partition.leaderEpoch + 1 }
}

/**
 * The state with these in sync. Whoever leaves while too few stay to commit anything is eligible, as
 * it holds all that ever was. In the order of the replicas, so that equal states are equal texts.
 */
export function withIsr<P extends PartitionState>(
  partition: P,
  members: readonly number[],
  minInsync: number,
): P {
  const isr = partition.replicas.filter((node) => members.includes(node))
  const mayLead = (node: number) => partition.isr.includes(node) || partition.elr.includes(node)
  const elr =
    isr.length >= effectiveMinInsync(partition, minInsync)
      ? []
      : partition.replicas.filter((node) => !isr.includes(node) && mayLead(node))
  return { ...partition, isr, elr }
}

function isAvoided(nodeId: number, { avoid }: ElectionRules): boolean {
  return avoid?.has(nodeId) === true
}
