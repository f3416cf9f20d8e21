/** A topic as clients see it: what the metadata says, and where its logs stand. */

import { ServiceError } from '../lib/service-error.ts'
import type { PartitionImage, TopicImage } from '../metadata/metadata-image.ts'
import type { PartitionOffsets, StorageService } from '../wire/internal.ts'
import type { Topic, TopicPartition, TopicSummary, UncleanElection } from '../wire/topics.ts'

export function topicSummary({
  name,
  id,
  config,
  createdAtMs,
  partitions,
}: TopicImage): TopicSummary {
  return {
    name,
    topicId: id,
    partitionCount: partitions.length,
    ...config,
    createdAt: new Date(createdAtMs).toISOString(),
  }
}

export async function topicView(
  topic: TopicImage,
  storage: Pick<StorageService, 'offsets'>,
): Promise<Topic> {
  const partitions: TopicPartition[] = []
  for (const [partition, state] of topic.partitions.entries()) {
    const { leader, leaderEpoch, replicas, isr, elr, unclean } = state
    const offsets = leader === -1 ? undefined : await offsetsOf(topic, partition, storage)
    partitions.push({
      partition,
      leader,
      leaderEpoch,
      replicas: [...replicas],
      isr: [...isr],
      elr: [...elr],
      ...(unclean && { unclean: uncleanView(unclean) }),
      ...(offsets && {
        earliest: offsets.logStartOffset,
        tail: offsets.highWatermark,
        sizeBytes: offsets.sizeBytes,
      }),
    })
  }
  return { ...topicSummary(topic), partitions }
}

export function uncleanView({
  atMs,
  leaderEpoch,
}: NonNullable<PartitionImage['unclean']>): UncleanElection {
  return { at: new Date(atMs).toISOString(), leaderEpoch }
}

/** A partition that cannot be asked must not hide the others. */
async function offsetsOf(
  topic: TopicImage,
  partition: number,
  storage: Pick<StorageService, 'offsets'>,
): Promise<PartitionOffsets | undefined> {
  try {
    return await storage.offsets(topic.id, partition)
  } catch (error) {
    if (error instanceof ServiceError) return undefined
    throw error
  }
}
