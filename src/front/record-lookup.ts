/** One record by its address. */
import type { RecordHeader } from '../core/record.ts'
import { MEDIA } from '../core/record.ts'
import { BATCH_CONTROL, batchAttributes, batchLeaderEpoch } from '../core/record-batch.ts'
import { RecordCursor } from '../core/record-cursor.ts'
import { ServiceError } from '../lib/service-error.ts'
import type { TopicImage } from '../metadata/metadata-image.ts'
import type { StorageService } from '../wire/internal.ts'
import { valueMedia } from '../wire/record-writer.ts'
import { refusalError } from './refusal.ts'

export interface StoredRecord {
  readonly offset: number
  readonly leaderEpoch: number
  readonly timestampMs: number
  /** Bytes are views of stored memory: never written to. */
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly media: typeof MEDIA.json | typeof MEDIA.text | typeof MEDIA.bytes
  readonly headers: readonly RecordHeader[]
}

/** @throws ServiceError `record-not-found`, `cursor-expired`, `offset-out-of-range`, … */
export async function findRecord(
  storage: StorageService,
  topic: TopicImage,
  partition: number,
  offset: number,
  signal: AbortSignal,
): Promise<StoredRecord> {
  const positions = [{ topicId: topic.id, partition, offset, lastEpoch: -1 }]
  const request = { positions, maxBytes: 1, waitMs: 0, isolation: 'committed' as const }
  const [result] = await storage.fetch(request, signal)
  if (result === undefined) throw pastTheEnd(topic, partition, offset)
  if (!result.ok) throw refusalError(result, topic, partition)
  for (const batch of result.batches) {
    const found = inBatch(batch, offset)
    if (found !== undefined) return found
  }
  throw new ServiceError('record-not-found', `no record for readers is at offset ${offset}`)
}

function inBatch(batch: Uint8Array, offset: number): StoredRecord | undefined {
  if ((batchAttributes(batch) & BATCH_CONTROL) !== 0) return undefined
  const cursor = new RecordCursor()
  cursor.reset(batch)
  while (cursor.next() && cursor.offset <= offset) {
    if (cursor.offset === offset) return copyOf(cursor, batchLeaderEpoch(batch))
  }
  if (cursor.fault === undefined) return undefined
  throw new ServiceError('partition-damaged', `the batch of offset ${offset} cannot be read`)
}

function copyOf(cursor: RecordCursor, leaderEpoch: number): StoredRecord {
  const { offset, timestampMs } = cursor
  const key = bytesOf(cursor, cursor.keyStart, cursor.keyEnd)
  const value = bytesOf(cursor, cursor.valueStart, cursor.valueEnd)
  const media = value === null ? MEDIA.bytes : valueMedia(cursor)
  const headers: RecordHeader[] = []
  while (cursor.nextHeader()) {
    const name = bytesOf(cursor, cursor.headerNameStart, cursor.headerNameEnd)
    headers.push({
      name: Buffer.from(name ?? []).toString(),
      value: bytesOf(cursor, cursor.headerValueStart, cursor.headerValueEnd),
    })
  }
  return { offset, leaderEpoch, timestampMs, key, value, media, headers }
}

function bytesOf(cursor: RecordCursor, start: number, end: number): Uint8Array | null {
  return start === -1 ? null : cursor.bytes.subarray(start, end)
}

function pastTheEnd(topic: TopicImage, partition: number, offset: number): ServiceError {
  return refusalError(
    {
      ok: false,
      code: 'offset-out-of-range',
      detail: `offset ${offset} of partition ${partition} holds no record yet`,
      committed: 'no',
      members: { tail: offset },
    },
    topic,
    partition,
  )
}
