/**
 * What a frame of the journal says. The journal itself carries kind, log id and payload; the
 * payloads are laid out here. Kinds are on disk for good: never renumber, never reuse.
 *
 *   append     the stamped record batch, as it goes into the segment
 *   truncate   endOffset i64: records at and above it are gone
 *   epochStart leaderEpoch i32, startOffset i64
 *   logStart   startOffset i64: records below it are gone
 *   create     format u8 = 1, flush u8, topic id 16 bytes, partition i32, name length u16, name UTF-8
 *   delete     nothing
 *   roll       baseOffset i64: a new segment begins at the end of the log, which that is
 *   flush      mode u8 (0 commit, 1 os): what follows is promised so
 *   restart    startOffset i64: all records are gone, and the next one gets that offset
 */
import type { TopicId } from '../core/ids.ts'
import { topicIdFromBytes } from '../core/ids.ts'
import { readInt32, readInt64, writeInt32, writeInt64 } from '../lib/big-endian.ts'

export const FRAME = {
  append: 1,
  truncate: 2,
  epochStart: 3,
  logStart: 4,
  create: 5,
  delete: 6,
  flush: 7,
  roll: 8,
  restart: 9,
} as const
export type FrameKind = (typeof FRAME)[keyof typeof FRAME]

const FLUSH_MODES = ['commit', 'os'] as const
export type FlushMode = (typeof FLUSH_MODES)[number]

export interface LogCreation {
  readonly topicId: TopicId
  readonly topicName: string
  readonly partition: number
  readonly flush: FlushMode
}

const CREATE_FORMAT = 1
const CREATE_FIXED_BYTES = 24
const OFFSET_BYTES = 8
const EPOCH_START_BYTES = 12

/** The payload of `truncate`, `logStart`, `roll` and `restart`. */
export function encodeOffset(offset: number): Uint8Array {
  const bytes = new Uint8Array(OFFSET_BYTES)
  writeInt64(bytes, 0, offset)
  return bytes
}

/** Undefined if the payload is none of an offset. */
export function decodeOffset(payload: Uint8Array): number | undefined {
  if (payload.length !== OFFSET_BYTES) return undefined
  const offset = readInt64(payload, 0)
  return offset >= 0 ? offset : undefined
}

export function encodeEpochStart(leaderEpoch: number, startOffset: number): Uint8Array {
  const bytes = new Uint8Array(EPOCH_START_BYTES)
  writeInt32(bytes, 0, leaderEpoch)
  writeInt64(bytes, 4, startOffset)
  return bytes
}

export function decodeEpochStart(
  payload: Uint8Array,
): { leaderEpoch: number; startOffset: number } | undefined {
  if (payload.length !== EPOCH_START_BYTES) return undefined
  const leaderEpoch = readInt32(payload, 0)
  const startOffset = readInt64(payload, 4)
  return leaderEpoch >= 0 && startOffset >= 0 ? { leaderEpoch, startOffset } : undefined
}

export function encodeFlush(flush: FlushMode): Uint8Array {
  return Uint8Array.of(FLUSH_MODES.indexOf(flush))
}

export function decodeFlush(payload: Uint8Array): FlushMode | undefined {
  return payload.length === 1 ? FLUSH_MODES[payload[0] as number] : undefined
}

export function encodeCreation(creation: LogCreation): Uint8Array {
  const name = Buffer.from(creation.topicName)
  const bytes = Buffer.alloc(CREATE_FIXED_BYTES + name.length)
  bytes[0] = CREATE_FORMAT
  bytes[1] = FLUSH_MODES.indexOf(creation.flush)
  bytes.write(creation.topicId, 2, 'hex')
  bytes.writeInt32BE(creation.partition, 18)
  bytes.writeUInt16BE(name.length, 22)
  name.copy(bytes, CREATE_FIXED_BYTES)
  return bytes
}

/** Undefined if the payload is of a newer format, or is no creation. */
export function decodeCreation(payload: Uint8Array): LogCreation | undefined {
  if (payload.length < CREATE_FIXED_BYTES || payload[0] !== CREATE_FORMAT) return undefined
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.length)
  const flush = FLUSH_MODES[bytes[1] as number]
  const partition = bytes.readInt32BE(18)
  const nameBytes = bytes.readUInt16BE(22)
  if (flush === undefined || partition < 0) return undefined
  if (bytes.length !== CREATE_FIXED_BYTES + nameBytes) return undefined
  return {
    topicId: topicIdFromBytes(bytes.subarray(2, 18)),
    topicName: bytes.toString('utf8', CREATE_FIXED_BYTES),
    partition,
    flush,
  }
}
