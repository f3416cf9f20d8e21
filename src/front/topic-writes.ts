/** How topics are written to the metadata store: which keys, in which order, what commits. */
import type { TopicId, TopicName } from '../core/ids.ts'
import { initialSlotMap } from '../core/slot-map.ts'
import type { TopicConfig } from '../core/topic.ts'
import {
  partitionMetadataKey,
  partitionsPrefix,
  removedTopicKey,
  topicKey,
} from '../metadata/metadata-keys.ts'
import { encodeRecord } from '../metadata/metadata-records.ts'
import type { LeaselessStore, Transaction, TransactionOutcome } from '../metadata/metadata-store.ts'
import { slotMapRecord } from '../metadata/slot-map-record.ts'

export interface NewTopic {
  readonly name: TopicName
  readonly id: TopicId
  readonly config: TopicConfig
  /** Replicas of each partition, its first leader first. */
  readonly replicas: readonly (readonly number[])[]
  readonly createdAtMs: number
}

type Put = Transaction['put'][number]

/**
 * Creates a topic: the key of the topic last, which is the commit point; partition keys of a topic
 * that was never published mean nothing. All in one transaction where it fits.
 */
export async function createTopic(
  store: LeaselessStore,
  topic: NewTopic,
): Promise<TransactionOutcome> {
  const puts = topic.replicas.map((replicas, partition) =>
    partitionPut(topic.id, partition, replicas),
  )
  // The last transaction has room for the topic's own key.
  while (puts.length >= store.maxOperations) {
    await store.transact({ compare: [], put: puts.splice(0, store.maxOperations) })
  }
  const outcome = await store.transact({
    compare: [
      { key: topicKey(topic.name), target: 'createRevision', equals: 0 },
      // An id is never used again, also not by a repetition that comes after the deletion.
      { key: removedTopicKey(topic.id), target: 'createRevision', equals: 0 },
    ],
    put: [...puts, topicPut(topic)],
  })
  if (!outcome.succeeded) await removePartitions(store, topic.id)
  return outcome
}

/**
 * Deletes the topic as it was read: its key goes and its id is written down as removed in the same
 * transaction, which is the commit point. The partition keys go with it where they fit, else after.
 */
export async function removeTopic(
  store: LeaselessStore,
  topic: {
    readonly name: TopicName
    readonly id: TopicId
    readonly partitions: number
    readonly modRevision: number
  },
  removedAtMs: number,
): Promise<TransactionOutcome> {
  const key = topicKey(topic.name)
  const value = encodeRecord({ name: topic.name, removedAtMs })
  const partitionKeys = Array.from({ length: topic.partitions }, (_, partition) =>
    partitionMetadataKey(topic.id, partition),
  )
  const fits = partitionKeys.length + 2 <= store.maxOperations
  const outcome = await store.transact({
    compare: [{ key, target: 'modRevision', equals: topic.modRevision }],
    put: [{ key: removedTopicKey(topic.id), value }],
    remove: fits ? [key, ...partitionKeys] : [key],
  })
  // It is done; keys that stay behind mean nothing, and go when the removal is forgotten.
  if (outcome.succeeded && !fits) await removePartitions(store, topic.id).catch(() => undefined)
  return outcome
}

/** Removes what is left of the partition keys of a topic that is not published, or no longer. */
export async function removePartitions(store: LeaselessStore, topicId: TopicId): Promise<void> {
  const { entries } = await store.list(partitionsPrefix(topicId))
  for (let at = 0; at < entries.length; at += store.maxOperations) {
    const remove = entries.slice(at, at + store.maxOperations).map(({ key }) => key)
    await store.transact({ compare: [], put: [], remove })
  }
}

function topicPut({ name, id, config, replicas, createdAtMs }: NewTopic): Put {
  const partitions = replicas.length
  const value = encodeRecord({
    topicId: id,
    partitions,
    config,
    slotMap: slotMapRecord(partitions, initialSlotMap(partitions)),
    state: 'active',
    createdAtMs,
  })
  return { key: topicKey(name), value }
}

function partitionPut(topicId: TopicId, partition: number, replicas: readonly number[]): Put {
  const value = encodeRecord({
    replicas,
    leader: replicas[0] ?? -1,
    leaderEpoch: 0,
    isr: replicas,
    elr: [],
    state: 'active',
  })
  return { key: partitionMetadataKey(topicId, partition), value }
}
