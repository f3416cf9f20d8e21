/**
 * The replica fetch between storage nodes. Request:
 *   follower i32 | incarnation i64 | session i64 | step u32 | max bytes u32 | wait u32, ms |
 *   count u32 | positions | count u32 | keys to forget
 *   position: key | leader epoch i32 | fetch offset i64 | durable offset i64 | last epoch i32, -1 none | log start i64
 *   key: topic id 16 | partition i32
 * Answer, one byte 0 for an unknown session, or:
 *   1 | session i64 | step u32 | count u32 | heads | batches, in the order of their heads
 *   head: key | 0 | leader epoch i32 | high watermark i64 | log start i64 | purged end i64 |
 *         batch count u32 | sizes u32
 *   head: key | 1 | leader epoch i32 | diverging epoch i32, -1 none | end offset i64
 *   head: key | 2 | refusal u8 | log start i64 | log end i64
 */
import { readSizes } from './fetch-codec.ts'
import { MalformedMessage, MessageReader, MessageWriter, TOPIC_ID_BYTES } from './message.ts'
import type {
  ReplicaFetchAnswer,
  ReplicaFetchPart,
  ReplicaFetchPosition,
  ReplicaFetchReply,
  ReplicaFetchRequest,
  ReplicaKey,
} from './replica-fetch.ts'
import { REPLICA_REFUSALS } from './replica-fetch.ts'

const KEY_BYTES = TOPIC_ID_BYTES + 4
const POSITION_BYTES = KEY_BYTES + 4 + 8 + 8 + 4 + 8
const REQUEST_BYTES = 4 + 8 + 8 + 4 + 4 + 4 + 4 + 4
const ANSWER_BYTES = 1 + 8 + 4 + 4
const DATA_BYTES = KEY_BYTES + 1 + 4 + 8 + 8 + 8 + 4
const DIVERGING_BYTES = KEY_BYTES + 1 + 4 + 4 + 8
const REFUSED_BYTES = KEY_BYTES + 1 + 1 + 8 + 8
const MIN_PART_BYTES = Math.min(DATA_BYTES, DIVERGING_BYTES, REFUSED_BYTES)
const KINDS = ['data', 'diverging', 'refused'] as const

export function encodeReplicaFetch(request: ReplicaFetchRequest): Uint8Array[] {
  const { positions, forget } = request
  const size = REQUEST_BYTES + positions.length * POSITION_BYTES + forget.length * KEY_BYTES
  const writer = new MessageWriter(size)
  writer.int32(request.followerId)
  writer.int64(request.incarnation)
  writer.int64(request.sessionId)
  writer.int32(request.sessionStep)
  writer.int32(request.maxBytes)
  writer.int32(request.waitMs)
  writer.int32(positions.length)
  for (const position of positions) {
    writeKey(writer, position)
    writer.int32(position.leaderEpoch)
    writer.int64(position.fetchOffset)
    writer.int64(position.durableOffset)
    writer.int32(position.lastFetchedEpoch)
    writer.int64(position.logStartOffset)
  }
  writer.int32(forget.length)
  for (const key of forget) writeKey(writer, key)
  return [writer.finish()]
}

/** @throws MalformedMessage */
export function decodeReplicaFetch(body: Uint8Array): ReplicaFetchRequest {
  const reader = new MessageReader(body)
  const head = {
    followerId: reader.index(),
    incarnation: reader.int64(),
    sessionId: reader.int64(),
    sessionStep: reader.uint32(),
    maxBytes: reader.uint32(),
    waitMs: reader.uint32(),
  }
  const positions: ReplicaFetchPosition[] = []
  const count = reader.count(POSITION_BYTES)
  for (let i = 0; i < count; i++) positions.push(readPosition(reader))
  const forget: ReplicaKey[] = []
  const forgotten = reader.count(KEY_BYTES)
  for (let i = 0; i < forgotten; i++) forget.push(readKey(reader))
  reader.end()
  return { ...head, positions, forget }
}

/** The heads, then the batches as they are. */
export function encodeReplicaAnswer(reply: ReplicaFetchReply): Uint8Array[] {
  if (reply === 'session-unknown') return [Uint8Array.of(0)]
  let size = ANSWER_BYTES
  for (const part of reply.parts) size += partBytes(part)
  const heads = new MessageWriter(size)
  const parts: Uint8Array[] = [heads.bytes]
  heads.byte(1)
  heads.int64(reply.sessionId)
  heads.int32(reply.sessionStep)
  heads.int32(reply.parts.length)
  for (const part of reply.parts) {
    writePart(heads, part)
    if (part.kind !== 'data') continue
    for (const batch of part.batches) parts.push(batch)
  }
  heads.finish()
  return parts
}

/**
 * The batches are views of the body.
 * @throws MalformedMessage
 */
export function decodeReplicaAnswer(body: Uint8Array): ReplicaFetchReply {
  const reader = new MessageReader(body)
  const kind = reader.byte()
  if (kind === 0) {
    reader.end()
    return 'session-unknown'
  }
  if (kind !== 1) throw new MalformedMessage('the kind of an answer is not known')
  const sessionId = reader.int64()
  const sessionStep = reader.uint32()
  const count = reader.count(MIN_PART_BYTES)
  const heads: { part: ReplicaFetchPart; sizes: number[] }[] = []
  for (let i = 0; i < count; i++) heads.push(readPart(reader))
  const parts = heads.map(({ part, sizes }) =>
    part.kind === 'data' ? { ...part, batches: sizes.map((size) => reader.view(size)) } : part,
  )
  reader.end()
  return { sessionId, sessionStep, parts } satisfies ReplicaFetchAnswer
}

function partBytes(part: ReplicaFetchPart): number {
  if (part.kind === 'data') return DATA_BYTES + 4 * part.batches.length
  return part.kind === 'diverging' ? DIVERGING_BYTES : REFUSED_BYTES
}

function writePart(writer: MessageWriter, part: ReplicaFetchPart): void {
  writeKey(writer, part)
  writer.byte(KINDS.indexOf(part.kind))
  if (part.kind === 'refused') {
    writer.byte(REPLICA_REFUSALS.indexOf(part.code))
    writer.int64(part.logStartOffset)
    writer.int64(part.logEndOffset)
    return
  }
  writer.int32(part.leaderEpoch)
  if (part.kind === 'diverging') {
    writer.int32(part.divergingEpoch)
    writer.int64(part.endOffset)
    return
  }
  writer.int64(part.highWatermark)
  writer.int64(part.logStartOffset)
  writer.int64(part.purgedEnd)
  writer.int32(part.batches.length)
  for (const batch of part.batches) writer.int32(batch.length)
}

function readPart(reader: MessageReader): { part: ReplicaFetchPart; sizes: number[] } {
  const key = readKey(reader)
  const kind = KINDS[reader.byte()]
  if (kind === undefined) throw new MalformedMessage('the kind of a part is not known')
  if (kind === 'refused') {
    const code = REPLICA_REFUSALS[reader.byte()]
    if (code === undefined) throw new MalformedMessage('the reason of a refusal is not known')
    const logStartOffset = reader.int64()
    const logEndOffset = reader.int64()
    return { part: { kind, ...key, code, logStartOffset, logEndOffset }, sizes: [] }
  }
  const leaderEpoch = reader.index()
  if (kind === 'diverging') {
    const divergingEpoch = reader.index(-1)
    const endOffset = reader.int64()
    return { part: { kind, ...key, leaderEpoch, divergingEpoch, endOffset }, sizes: [] }
  }
  const highWatermark = reader.int64()
  const logStartOffset = reader.int64()
  const purgedEnd = reader.int64()
  const sizes = readSizes(reader)
  const place = { leaderEpoch, highWatermark, logStartOffset, purgedEnd }
  return { part: { kind, ...key, ...place, batches: [] }, sizes }
}

function writeKey(writer: MessageWriter, { topicId, partition }: ReplicaKey): void {
  writer.topicId(topicId)
  writer.int32(partition)
}

function readKey(reader: MessageReader): ReplicaKey {
  const topicId = reader.topicId()
  return { topicId, partition: reader.index() }
}

function readPosition(reader: MessageReader): ReplicaFetchPosition {
  const key = readKey(reader)
  const leaderEpoch = reader.index()
  const fetchOffset = reader.int64()
  const durableOffset = reader.int64()
  const lastFetchedEpoch = reader.index(-1)
  return {
    ...key,
    leaderEpoch,
    fetchOffset,
    durableOffset,
    lastFetchedEpoch,
    logStartOffset: reader.int64(),
  }
}
