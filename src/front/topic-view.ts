/** A topic as clients see it: what the metadata says, and where its logs stand. */
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

/** A partition that cannot be asked must not hide the others. */
export async function topicView(
  topic: TopicImage,
  storage: Pick<StorageService, 'offsetsOf'>,
): Promise<Topic> {
  const places = topic.partitions.map((_, partition) => ({ topicId: topic.id, partition }))
  const offsets = await storage.offsetsOf(places)
  const partitions = topic.partitions.map((state, i) => partitionView(i, state, offsets[i]))
  return { ...topicSummary(topic), partitions }
}

function partitionView(
  partition: number,
  { leader, leaderEpoch, replicas, isr, elr, unclean }: PartitionImage,
  offsets: PartitionOffsets | undefined,
): TopicPartition {
  return {
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
  }
}

export function uncleanView({
  atMs,
  leaderEpoch,
}: NonNullable<PartitionImage['unclean']>): UncleanElection {
  return { at: new Date(atMs).toISOString(), leaderEpoch }
}
