/**
 * The fetch call between nodes. Request:
 *   flags u8 | max bytes u32 | wait u32, ms | count u32 | positions
 *   flags: 1 committed records only, 2 from in-sync followers too
 *   position: topic id 16 | partition i32 | offset i64 | last epoch i32, -1 none
 * Answer:
 *   count u32 | heads | batches, in the order of their heads
 *   head: topic id 16 | partition i32 | 1 | next offset i64 | high watermark i64 | log start i64 | batch count u32 | sizes u32
 *   head: topic id 16 | partition i32 | 0 | bytes u32 | refusal, JSON
 */
import { BATCH_HEADER_BYTES } from '../core/record-batch.ts'
import type { FetchPosition, FetchRequest, FetchResult } from './internal.ts'
import { MalformedMessage, MessageReader, MessageWriter, TOPIC_ID_BYTES } from './message.ts'
import { decodeRefusal, encodeRefusal } from './refusal-codec.ts'

const REQUEST_HEAD_BYTES = 1 + 4 + 4 + 4
const POSITION_BYTES = TOPIC_ID_BYTES + 4 + 8 + 4
const KEY_BYTES = TOPIC_ID_BYTES + 4 + 1
const FETCHED_BYTES = 8 + 8 + 8 + 4
const COMMITTED = 1
const FROM_FOLLOWER = 2

export function encodeFetchRequest(request: FetchRequest): Uint8Array[] {
  const { positions, maxBytes, waitMs, isolation, fromFollower = false } = request
  const writer = new MessageWriter(REQUEST_HEAD_BYTES + positions.length * POSITION_BYTES)
  writer.byte((isolation === 'committed' ? COMMITTED : 0) | (fromFollower ? FROM_FOLLOWER : 0))
  writer.int32(maxBytes)
  writer.int32(waitMs)
  writer.int32(positions.length)
  for (const { topicId, partition, offset, lastEpoch } of positions) {
    writer.topicId(topicId)
    writer.int32(partition)
    writer.int64(offset)
    writer.int32(lastEpoch)
  }
  return [writer.finish()]
}

/** @throws MalformedMessage */
export function decodeFetchRequest(body: Uint8Array): FetchRequest {
  const reader = new MessageReader(body)
  const flags = reader.byte()
  if (flags > (COMMITTED | FROM_FOLLOWER)) throw new MalformedMessage('a flag is not known')
  const maxBytes = reader.uint32()
  const waitMs = reader.uint32()
  const count = reader.count(POSITION_BYTES)
  const positions: FetchPosition[] = []
  for (let i = 0; i < count; i++) {
    const topicId = reader.topicId()
    const partition = reader.index()
    const offset = reader.int64()
    positions.push({ topicId, partition, offset, lastEpoch: reader.index(-1) })
  }
  reader.end()
  return {
    positions,
    maxBytes,
    waitMs,
    isolation: (flags & COMMITTED) === 0 ? 'uncommitted' : 'committed',
    fromFollower: (flags & FROM_FOLLOWER) !== 0,
  }
}

/** The heads, then the batches as they are. */
export function encodeFetchAnswer(results: readonly FetchResult[]): Uint8Array[] {
  const refusals = results.map((result) => (result.ok ? undefined : encodeRefusal(result)))
  let size = 4
  results.forEach((result, i) => {
    size += KEY_BYTES
    size += result.ok
      ? FETCHED_BYTES + 4 * result.batches.length
      : 4 + (refusals[i] as Uint8Array).length
  })
  const heads = new MessageWriter(size)
  const parts: Uint8Array[] = [heads.bytes]
  heads.int32(results.length)
  results.forEach((result, i) => {
    heads.topicId(result.topicId)
    heads.int32(result.partition)
    heads.byte(result.ok ? 1 : 0)
    if (!result.ok) {
      const refusal = refusals[i] as Uint8Array
      heads.int32(refusal.length)
      heads.put(refusal)
      return
    }
    heads.int64(result.nextOffset)
    heads.int64(result.highWatermark)
    heads.int64(result.logStartOffset)
    heads.int32(result.batches.length)
    for (const batch of result.batches) {
      heads.int32(batch.length)
      parts.push(batch)
    }
  })
  heads.finish()
  return parts
}

/**
 * The batches are views of the body.
 * @throws MalformedMessage
 */
export function decodeFetchAnswer(body: Uint8Array): FetchResult[] {
  const reader = new MessageReader(body)
  const count = reader.count(KEY_BYTES)
  const heads: { head: FetchResult; sizes: number[] }[] = []
  for (let i = 0; i < count; i++) heads.push(readHead(reader))
  const results = heads.map(({ head, sizes }) =>
    head.ok ? { ...head, batches: sizes.map((size) => reader.view(size)) } : head,
  )
  reader.end()
  return results
}

function readHead(reader: MessageReader): { head: FetchResult; sizes: number[] } {
  const topicId = reader.topicId()
  const partition = reader.index()
  const kind = reader.byte()
  if (kind === 0) {
    const refusal = decodeRefusal(reader.view(reader.uint32()))
    return { head: { ...refusal, topicId, partition }, sizes: [] }
  }
  if (kind !== 1) throw new MalformedMessage('the kind of a result is not known')
  const nextOffset = reader.int64()
  const highWatermark = reader.int64()
  const logStartOffset = reader.int64()
  const sizes = readSizes(reader)
  const place = { topicId, partition, nextOffset, highWatermark, logStartOffset }
  return { head: { ok: true, ...place, batches: [] }, sizes }
}

/** How many batches follow, and how large they are; none is smaller than its header. */
export function readSizes(reader: MessageReader): number[] {
  const count = reader.count(4 + BATCH_HEADER_BYTES)
  const sizes: number[] = []
  for (let i = 0; i < count; i++) sizes.push(reader.uint32())
  return sizes
}
