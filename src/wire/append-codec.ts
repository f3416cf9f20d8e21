/**
 * The append call between nodes. Request:
 *   count u32 | heads | batches, in the order of their heads
 *   head: topic id 16 | partition i32 | leader epoch i32, -1 any | acks i8 | expected offset i64, -1 none | batch bytes u32
 */
import { BATCH_HEADER_BYTES } from '../core/record-batch.ts'
import type { AppendRequest } from './internal.ts'
import { MalformedMessage, MessageReader, MessageWriter, TOPIC_ID_BYTES } from './message.ts'

const HEAD_BYTES = TOPIC_ID_BYTES + 4 + 4 + 1 + 8 + 4
const ACKS_ALL = 0xff

/** The heads, then the batches as they are. */
export function encodeAppend(requests: readonly AppendRequest[]): Uint8Array[] {
  const heads = new MessageWriter(4 + requests.length * HEAD_BYTES)
  const parts: Uint8Array[] = [heads.bytes]
  heads.int32(requests.length)
  for (const request of requests) {
    heads.topicId(request.topicId)
    heads.int32(request.partition)
    heads.int32(request.leaderEpoch ?? -1)
    heads.byte(request.acks === -1 ? ACKS_ALL : request.acks)
    heads.int64(request.expectedOffset ?? -1)
    heads.int32(request.batch.length)
    parts.push(request.batch)
  }
  heads.finish()
  return parts
}

/**
 * The batches are views of the body, which the receiver of the requests owns with them.
 * @throws MalformedMessage
 */
export function decodeAppend(body: Uint8Array): AppendRequest[] {
  const reader = new MessageReader(body)
  const count = reader.count(HEAD_BYTES + BATCH_HEADER_BYTES)
  const heads: { head: Omit<AppendRequest, 'batch'>; batchBytes: number }[] = []
  for (let i = 0; i < count; i++) {
    const topicId = reader.topicId()
    const partition = reader.index()
    const leaderEpoch = reader.index(-1)
    const acks = acksOf(reader.byte())
    const expectedOffset = reader.int64(-1)
    const head = {
      topicId,
      partition,
      acks,
      ...(leaderEpoch !== -1 && { leaderEpoch }),
      ...(expectedOffset !== -1 && { expectedOffset }),
    }
    heads.push({ head, batchBytes: reader.uint32() })
  }
  const requests = heads.map(({ head, batchBytes }) => ({
    ...head,
    batch: reader.view(batchBytes),
  }))
  reader.end()
  return requests
}

function acksOf(byte: number): AppendRequest['acks'] {
  if (byte === 0 || byte === 1) return byte
  if (byte === ACKS_ALL) return -1
  throw new MalformedMessage('acks is none of 0, 1 and all')
}
