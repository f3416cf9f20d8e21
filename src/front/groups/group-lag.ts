/** How far groups are behind the ends of what they read: in records, and in time. */
import type { GroupId } from '../../core/group-settings.ts'
import { RecordCursor } from '../../core/record-cursor.ts'
import type { Clock } from '../../env/clock.ts'
import type { MetadataView } from '../../metadata/metadata-image.ts'
import type { CommittedOffset, GroupService } from '../../wire/groups.ts'
import type { PartitionOffsets, StorageService } from '../../wire/internal.ts'

export interface GroupLagDeps {
  readonly clock: Clock
  readonly service: Pick<GroupService, 'offsets'>
  readonly storage: Pick<StorageService, 'offsetsOf' | 'fetch'>
  readonly metadata: MetadataView
}

export interface PartitionLag {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  /** Offset behind the last record for readers; this and what follows are absent while nobody can tell. */
  readonly tail?: number
  readonly records?: number
  /** Age of the first record that is not committed; 0 if all are. */
  readonly seconds?: number
}

/** Partitions that are looked into at once. */
const LOOKUPS_AT_ONCE = 16

export class GroupLag {
  readonly #deps: GroupLagDeps

  constructor(deps: GroupLagDeps) {
    this.#deps = deps
  }

  /** By topic and partition. @throws ServiceError `group-not-found` */
  async of(groupId: GroupId, signal: AbortSignal): Promise<PartitionLag[]> {
    const { service, storage, metadata } = this.#deps
    const { topicsById } = metadata.image
    const committed = (await service.offsets(groupId, signal)).filter(({ topicId, partition }) => {
      return partition < (topicsById.get(topicId)?.partitions.length ?? 0)
    })
    const bounds = await storage.offsetsOf(committed)
    const lags: PartitionLag[] = []
    for (let start = 0; start < committed.length; start += LOOKUPS_AT_ONCE) {
      const some = committed.slice(start, start + LOOKUPS_AT_ONCE)
      lags.push(
        ...(await Promise.all(some.map((one, i) => this.#lag(one, bounds[start + i], signal)))),
      )
    }
    return lags
  }

  async #lag(
    { topicId, partition, offset }: CommittedOffset,
    bounds: PartitionOffsets | undefined,
    signal: AbortSignal,
  ): Promise<PartitionLag> {
    const topic = this.#deps.metadata.image.topicsById.get(topicId)?.name ?? ''
    const place = { topic, partition, offset }
    if (bounds === undefined) return place
    const { logStartOffset, highWatermark: tail } = bounds
    // What was removed unread is not to be read any more.
    const from = Math.max(offset, logStartOffset)
    const records = Math.max(0, tail - from)
    if (records === 0) return { ...place, tail, records, seconds: 0 }
    const timestampMs = await this.#timestampAt({ topicId, partition, offset: from }, signal)
    if (timestampMs === undefined) return { ...place, tail, records }
    const seconds = Math.max(0, (this.#deps.clock.nowMs() - timestampMs) / 1000)
    return { ...place, tail, records, seconds }
  }

  /** Of the first record at or behind the offset. */
  async #timestampAt(
    place: Pick<CommittedOffset, 'topicId' | 'partition' | 'offset'>,
    signal: AbortSignal,
  ): Promise<number | undefined> {
    const request = {
      positions: [{ ...place, lastEpoch: -1 }],
      maxBytes: 1,
      waitMs: 0,
      isolation: 'committed' as const,
    }
    const [result] = await this.#deps.storage.fetch(request, signal)
    if (result === undefined || !result.ok) return undefined
    const cursor = new RecordCursor()
    for (const batch of result.batches) {
      cursor.reset(batch)
      while (cursor.next()) if (cursor.offset >= place.offset) return cursor.timestampMs
    }
    return undefined
  }
}
