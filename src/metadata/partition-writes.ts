/**
 * Writes next states of many partitions by compare and set, in as few transactions as they fit. Each
 * partition is consistent by itself, so that some may be written while others are refused.
 */
import type { TopicId } from '../core/ids.ts'
import type { PartitionState } from '../core/partition-state.ts'
import { ServiceError } from '../lib/service-error.ts'
import { unlessAborted } from '../lib/unless-aborted.ts'
import { nodeKey, partitionMetadataKey } from './metadata-keys.ts'
import { encodePartition } from './metadata-records.ts'
import type { Compare, MetadataStore, Transaction } from './metadata-store.ts'
import { LeaseGoneError } from './metadata-store.ts'

export interface PartitionChange {
  readonly topicId: TopicId
  readonly partition: number
  /** Modification revision of the state that the change was decided on. */
  readonly seenRevision: number
  readonly next: PartitionState
  /** Incarnation that the new leader must still have when it becomes it; undefined: compares none. */
  readonly leaderIncarnation?: number
}

export interface PartitionWriteOptions {
  /** What gives the writer the right to write; compared in every transaction. */
  readonly authority: readonly Compare[]
  /**
   * Rounds before this one in which others were faster. Transactions become smaller with each, as a
   * partition that keeps changing fails all that share its transaction.
   */
  readonly conflicts?: number
}

export interface PartitionWriteOutcome {
  readonly written: readonly PartitionChange[]
  /** Not written: somebody was faster, the authority has ended, or the store did not answer. */
  readonly refused: readonly PartitionChange[]
  /** An image of this version shows all that was written. */
  readonly revision: number
  /** The last failure that was not a comparison. */
  readonly error: unknown
}

/** Partitions of one transaction, at most, after so many conflicts. */
const PER_TRANSACTION = [500, 100, 20, 4, 1] as const
const IN_FLIGHT = 4

/**
 * Resolves when every transaction has come to an end. Of one whose outcome is not known, the store
 * is asked what became of it. Rejects with the signal's reason on abort, which stops no
 * transaction that is under way.
 */
export async function writePartitions(
  store: MetadataStore,
  changes: readonly PartitionChange[],
  options: PartitionWriteOptions,
  signal: AbortSignal,
): Promise<PartitionWriteOutcome> {
  const groups = groupChanges(changes, sizeLimit(store, options))
  const written: PartitionChange[] = []
  const refused: PartitionChange[] = []
  let revision = 0
  let failure: unknown
  const work = async () => {
    for (let group = groups.pop(); group !== undefined; group = groups.pop()) {
      signal.throwIfAborted()
      const transaction = transactionOf(group, options.authority)
      const result = await unlessAborted(transact(store, group, transaction), signal)
      if (result.revision === undefined) refused.push(...group)
      else written.push(...group)
      revision = Math.max(revision, result.revision ?? 0)
      failure = result.error ?? failure
    }
  }
  await Promise.all(Array.from({ length: Math.min(IN_FLIGHT, groups.length) }, work))
  return { written, refused, revision, error: failure }
}

function sizeLimit(store: MetadataStore, options: PartitionWriteOptions): number {
  const step = Math.min(options.conflicts ?? 0, PER_TRANSACTION.length - 1)
  // One comparison is for the new leader that all of a transaction have.
  const room = store.maxOperations - options.authority.length - 1
  return Math.max(1, Math.min(room, PER_TRANSACTION[step] as number))
}

/** Those with the same new leader together. */
function groupChanges(changes: readonly PartitionChange[], limit: number): PartitionChange[][] {
  const groups: PartitionChange[][] = []
  const open = new Map<string, PartitionChange[]>()
  for (const change of changes) {
    const key = `${change.next.leader} ${change.leaderIncarnation}`
    let group = open.get(key)
    if (group === undefined || group.length >= limit) {
      group = []
      open.set(key, group)
      groups.push(group)
    }
    group.push(change)
  }
  return groups
}

function transactionOf(group: PartitionChange[], authority: readonly Compare[]): Transaction {
  const { next, leaderIncarnation } = group[0] as PartitionChange
  const compare: Compare[] = [...authority]
  if (leaderIncarnation !== undefined) {
    const key = nodeKey(next.leader)
    compare.push({ key, target: 'createRevision', equals: leaderIncarnation })
  }
  for (const change of group) {
    compare.push({ key: keyOf(change), target: 'modRevision', equals: change.seenRevision })
  }
  return { compare, put: group.map((c) => ({ key: keyOf(c), value: encodePartition(c.next) })) }
}

/** `revision` is undefined if it is not known to be written. */
async function transact(
  store: MetadataStore,
  [first]: PartitionChange[],
  transaction: Transaction,
): Promise<{ readonly revision?: number; readonly error?: unknown }> {
  try {
    const { succeeded, revision } = await store.transact(transaction)
    return succeeded ? { revision } : {}
  } catch (error) {
    if (error instanceof ServiceError || error instanceof LeaseGoneError) return { error }
    const revision = await whenWritten(store, first as PartitionChange).catch(() => undefined)
    return revision === undefined ? { error } : { revision }
  }
}

/** All of a transaction is written or nothing, so that one of its keys tells. */
async function whenWritten(
  store: MetadataStore,
  change: PartitionChange,
): Promise<number | undefined> {
  const entry = await store.get(keyOf(change))
  if (entry === undefined || entry.modRevision <= change.seenRevision) return undefined
  return entry.value === encodePartition(change.next) ? entry.modRevision : undefined
}

function keyOf({ topicId, partition }: PartitionChange): string {
  return partitionMetadataKey(topicId, partition)
}
