/** Stored topics for tests of what reads them. */
import type { TopicId, TopicName } from '../../src/core/ids.ts'
import type { TopicConfig } from '../../src/core/topic.ts'
import { defaultTopicConfig } from '../../src/core/topic.ts'
import { partitionMetadataKey, topicKey } from '../../src/metadata/metadata-keys.ts'
import { encodeRecord } from '../../src/metadata/metadata-records.ts'

export const NEVER = new AbortController().signal

export const name = (text: string) => text as TopicName
export const topicId = (n: number) => n.toString(16).padStart(32, '0') as TopicId

export function topicPut(
  topic: string,
  id: TopicId,
  partitions: number,
  config: Partial<TopicConfig> = {},
) {
  return {
    key: topicKey(name(topic)),
    value: encodeRecord({
      topicId: id,
      partitions,
      config: { ...defaultTopicConfig(1), ...config },
      slotMap: { initialPartitions: partitions, version: 1, moves: [] },
      state: 'active',
      createdAtMs: 1,
    }),
  }
}

export function partitionPuts(id: TopicId, partitions: number, leaderEpoch = 0) {
  return Array.from({ length: partitions }, (_, p) => partitionPut(id, p, leaderEpoch))
}

export function partitionPut(id: TopicId, partition: number, leaderEpoch: number) {
  return {
    key: partitionMetadataKey(id, partition),
    value: encodeRecord({
      replicas: [0],
      leader: 0,
      leaderEpoch,
      isr: [0],
      elr: [],
      state: 'active',
    }),
  }
}
