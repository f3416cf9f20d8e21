/**
 * Kafka's RecordBatch, version 2: the form of records on the wire between nodes and on disk.
 *
 *   0 baseOffset i64 | 8 batchLength i32 (bytes behind this field) | 12 partitionLeaderEpoch i32
 *  16 magic i8 = 2   | 17 crc u32 (CRC-32C of bytes 21 to the end) | 21 attributes i16
 *  23 lastOffsetDelta i32 | 27 baseTimestamp i64 | 35 maxTimestamp i64
 *  43 producerId i64 | 51 producerEpoch i16 | 53 baseSequence i32 | 57 recordCount i32 | 61 records
 *
 *   record: length, attributes i8, timestampDelta, offsetDelta, keyLength, key, valueLength, value,
 *           headerCount, [nameLength, name, valueLength, value]
 *           lengths and deltas are zig-zag varints, length -1 is null
 *
 * Attributes of a batch: bits 0-2 codec, 3 append time, 4 transactional, 5 control, 6 delete
 * horizon. Attributes of a record: bits 0-2 media type (Kafka leaves them unused).
 */
import { assert } from '../lib/assert.ts'
import {
  readInt16,
  readInt32,
  readInt64,
  readUint32,
  writeInt16,
  writeInt32,
  writeInt64,
} from '../lib/big-endian.ts'
import { crc32c } from '../lib/crc32c.ts'
import { varintBytes, writeVarint, zigzag } from '../lib/varint.ts'
import type { RecordHeader, RecordInput } from './record.ts'

export const BATCH_HEADER_BYTES = 61
/** The largest batch that is taken for one: a whole request of 16 MiB, and what wraps it. */
export const MAX_BATCH_BYTES = 16 * 1024 * 1024 + 512 * 1024

export const BATCH_CODEC_MASK = 0x07
export const BATCH_APPEND_TIME = 0x08
export const BATCH_CONTROL = 0x20
export const BATCH_DELETE_HORIZON = 0x40

const LENGTH_AT = 8
const LENGTH_END = 12
const LEADER_EPOCH_AT = 12
const MAGIC_AT = 16
const CRC_AT = 17
const ATTRIBUTES_AT = 21
const LAST_OFFSET_DELTA_AT = 23
const BASE_TIMESTAMP_AT = 27
const MAX_TIMESTAMP_AT = 35
const PRODUCER_ID_AT = 43
const PRODUCER_EPOCH_AT = 51
const BASE_SEQUENCE_AT = 53
const RECORD_COUNT_AT = 57
const MAGIC = 2
/** A record of nothing: its length, attributes and five varints. */
const SMALLEST_RECORD_BYTES = 7
/** What a record has besides key, value and headers, at most. */
const RECORD_OVERHEAD_BYTES = 36
const LENGTH_VARINT_BYTES = 5
/** Below this a loop copies faster than a call. */
const SHORT_COPY_BYTES = 24

export interface BatchHeader {
  readonly baseOffset: number
  /** Of the whole batch, header included. */
  readonly sizeBytes: number
  readonly leaderEpoch: number
  readonly attributes: number
  readonly lastOffsetDelta: number
  readonly baseTimestampMs: number
  readonly maxTimestampMs: number
  /** -1 if none; likewise the next two. */
  readonly producerId: number
  readonly producerEpoch: number
  readonly baseSequence: number
  readonly recordCount: number
}

export interface BatchStamp {
  readonly baseOffset: number
  readonly leaderEpoch: number
  /** Replaces the times of all records by the leader's. */
  readonly appendTimeMs?: number
}

/** The readers below want a batch that `checkBatch` found valid. */
export function batchBytes(bytes: Uint8Array, at = 0): number {
  return LENGTH_END + readInt32(bytes, at + LENGTH_AT)
}

export function batchBaseOffset(bytes: Uint8Array, at = 0): number {
  return safe(readInt64(bytes, at))
}

export function batchLastOffset(bytes: Uint8Array, at = 0): number {
  return batchBaseOffset(bytes, at) + readInt32(bytes, at + LAST_OFFSET_DELTA_AT)
}

export function batchLeaderEpoch(bytes: Uint8Array, at = 0): number {
  return readInt32(bytes, at + LEADER_EPOCH_AT)
}

export function batchAttributes(bytes: Uint8Array, at = 0): number {
  return readInt16(bytes, at + ATTRIBUTES_AT)
}

export function batchBaseTimestamp(bytes: Uint8Array, at = 0): number {
  return safe(readInt64(bytes, at + BASE_TIMESTAMP_AT))
}

export function batchMaxTimestamp(bytes: Uint8Array, at = 0): number {
  return safe(readInt64(bytes, at + MAX_TIMESTAMP_AT))
}

export function batchProducerId(bytes: Uint8Array, at = 0): number {
  return safe(readInt64(bytes, at + PRODUCER_ID_AT))
}

/** Until when its tombstones stay, which is noted in the place of the base timestamp; -1 if it says nothing. */
export function batchDeleteHorizon(bytes: Uint8Array, at = 0): number {
  return (batchAttributes(bytes, at) & BATCH_DELETE_HORIZON) === 0
    ? -1
    : batchBaseTimestamp(bytes, at)
}

/** The batch's own checksum, and from which byte on it covers the batch. */
export function batchChecksum(bytes: Uint8Array, at = 0): { from: number; crc: number } {
  return { from: ATTRIBUTES_AT, crc: readUint32(bytes, at + CRC_AT) }
}

/** May be less than the offsets that the batch spans, after compaction. */
export function batchRecordCount(bytes: Uint8Array, at = 0): number {
  return readInt32(bytes, at + RECORD_COUNT_AT)
}

export function readBatchHeader(bytes: Uint8Array, at = 0): BatchHeader {
  return {
    baseOffset: batchBaseOffset(bytes, at),
    sizeBytes: batchBytes(bytes, at),
    leaderEpoch: batchLeaderEpoch(bytes, at),
    attributes: batchAttributes(bytes, at),
    lastOffsetDelta: readInt32(bytes, at + LAST_OFFSET_DELTA_AT),
    baseTimestampMs: batchBaseTimestamp(bytes, at),
    maxTimestampMs: batchMaxTimestamp(bytes, at),
    producerId: safe(readInt64(bytes, at + PRODUCER_ID_AT)),
    producerEpoch: readInt16(bytes, at + PRODUCER_EPOCH_AT),
    baseSequence: readInt32(bytes, at + BASE_SEQUENCE_AT),
    recordCount: batchRecordCount(bytes, at),
  }
}

/**
 * Judges whatever lies at `at`, before `end`. `short`: it may be the beginning of a batch, the rest
 * is missing. `garbage`: it is none, or a damaged one. Never throws.
 */
export function checkBatch(
  bytes: Uint8Array,
  at: number,
  end: number,
): 'valid' | 'short' | 'garbage' {
  const available = end - at
  if (available > MAGIC_AT && bytes[at + MAGIC_AT] !== MAGIC) return 'garbage'
  if (available < LENGTH_END) return 'short'
  const size = batchBytes(bytes, at)
  if (size < BATCH_HEADER_BYTES || size > MAX_BATCH_BYTES) return 'garbage'
  if (available < size) return 'short'
  if (!isHeaderSane(bytes, at, size)) return 'garbage'
  const crc = crc32c(bytes, at + ATTRIBUTES_AT, at + size)
  return crc === readUint32(bytes, at + CRC_AT) ? 'valid' : 'garbage'
}

function isHeaderSane(bytes: Uint8Array, at: number, size: number): boolean {
  const baseOffset = readInt64(bytes, at)
  const lastOffsetDelta = readInt32(bytes, at + LAST_OFFSET_DELTA_AT)
  const recordCount = batchRecordCount(bytes, at)
  // Each comparison is false for NaN, which is how an int64 beyond 2^53 reads.
  return (
    baseOffset >= 0 &&
    lastOffsetDelta >= 0 &&
    baseOffset + lastOffsetDelta <= Number.MAX_SAFE_INTEGER &&
    recordCount >= 0 &&
    recordCount <= lastOffsetDelta + 1 &&
    ((batchAttributes(bytes, at) & BATCH_CODEC_MASK) !== 0 ||
      recordCount * SMALLEST_RECORD_BYTES <= size - BATCH_HEADER_BYTES) &&
    readInt64(bytes, at + BASE_TIMESTAMP_AT) >= -1 &&
    readInt64(bytes, at + MAX_TIMESTAMP_AT) >= -1 &&
    readInt64(bytes, at + PRODUCER_ID_AT) >= -1
  )
}

/** Gives a batch its place in a log, in place. The checksum does not cover offset and epoch. */
export function stampBatch(batch: Uint8Array, stamp: BatchStamp): void {
  writeInt64(batch, 0, stamp.baseOffset)
  writeInt32(batch, LEADER_EPOCH_AT, stamp.leaderEpoch)
  if (stamp.appendTimeMs === undefined) return
  writeInt16(batch, ATTRIBUTES_AT, batchAttributes(batch) | BATCH_APPEND_TIME)
  writeInt64(batch, MAX_TIMESTAMP_AT, stamp.appendTimeMs)
  writeInt32(batch, CRC_AT, crc32c(batch, ATTRIBUTES_AT, batchBytes(batch)))
}

/**
 * Gives `out`, which holds records of the batch at `at`, the header of that batch, but for what is
 * different now. With a delete horizon the records' times must be relative to it.
 */
export function deriveHeader(
  out: Uint8Array,
  bytes: Uint8Array,
  at: number,
  now: { recordCount: number; maxTimestampMs: number; horizonMs?: number },
): void {
  out.set(bytes.subarray(at, at + BATCH_HEADER_BYTES))
  writeInt32(out, LENGTH_AT, out.length - LENGTH_END)
  if (now.horizonMs !== undefined) {
    writeInt16(out, ATTRIBUTES_AT, batchAttributes(bytes, at) | BATCH_DELETE_HORIZON)
    writeInt64(out, BASE_TIMESTAMP_AT, now.horizonMs)
  }
  // The leader's stamp of all records is kept there.
  const isStamped = (batchAttributes(bytes, at) & BATCH_APPEND_TIME) !== 0
  if (!isStamped) writeInt64(out, MAX_TIMESTAMP_AT, now.maxTimestampMs)
  writeInt32(out, RECORD_COUNT_AT, now.recordCount)
  writeInt32(out, CRC_AT, crc32c(out, ATTRIBUTES_AT))
}

/** An upper bound of what a record adds to a batch. */
export function encodedRecordBytes(record: RecordInput): number {
  let bytes = RECORD_OVERHEAD_BYTES + (record.key?.length ?? 0) + (record.value?.length ?? 0)
  for (let i = 0; i < record.headers.length; i++) {
    const { name, value } = record.headers[i] as RecordHeader
    bytes += Buffer.byteLength(name) + (value?.length ?? 0) + 2 * LENGTH_VARINT_BYTES
  }
  return bytes
}

/** What a batch of these records takes, exactly. */
export function encodedBatchBytes(records: readonly RecordInput[]): number {
  const baseTimestampMs = records[0]?.timestampMs ?? 0
  let size = BATCH_HEADER_BYTES
  for (let i = 0; i < records.length; i++) {
    const record = records[i] as RecordInput
    const body = recordBodyBytes(record, record.timestampMs - baseTimestampMs, i)
    size += varintBytes(body * 2) + body
  }
  return size
}

/** Makes a batch of at least one record, with base offset 0, no epoch and no producer. */
export function encodeBatch(records: readonly RecordInput[]): Uint8Array {
  const first = records[0]
  assert(first !== undefined, 'a batch has at least one record')
  const bodyBytes = new Int32Array(records.length)
  let size = BATCH_HEADER_BYTES
  let maxTimestampMs = first.timestampMs
  for (let i = 0; i < records.length; i++) {
    const record = records[i] as RecordInput
    const body = recordBodyBytes(record, record.timestampMs - first.timestampMs, i)
    bodyBytes[i] = body
    size += varintBytes(body * 2) + body
    if (record.timestampMs > maxTimestampMs) maxTimestampMs = record.timestampMs
  }
  assert(size <= MAX_BATCH_BYTES, `a batch of ${size} bytes is beyond the limit`)
  const out = Buffer.allocUnsafeSlow(size)
  let at = BATCH_HEADER_BYTES
  for (let i = 0; i < records.length; i++) {
    const record = records[i] as RecordInput
    at = writeVarint(out, at, (bodyBytes[i] as number) * 2)
    at = writeRecordBody(out, at, record, record.timestampMs - first.timestampMs, i)
  }
  assert(at === size, `a batch took ${at} bytes instead of ${size}`)
  writeHeader(out, records.length, first.timestampMs, maxTimestampMs)
  return out
}

function writeHeader(
  out: Uint8Array,
  count: number,
  baseTimestampMs: number,
  maxTimestampMs: number,
): void {
  writeInt64(out, 0, 0)
  writeInt32(out, LENGTH_AT, out.length - LENGTH_END)
  writeInt32(out, LEADER_EPOCH_AT, -1)
  out[MAGIC_AT] = MAGIC
  writeInt16(out, ATTRIBUTES_AT, 0)
  writeInt32(out, LAST_OFFSET_DELTA_AT, count - 1)
  writeInt64(out, BASE_TIMESTAMP_AT, baseTimestampMs)
  writeInt64(out, MAX_TIMESTAMP_AT, maxTimestampMs)
  writeInt64(out, PRODUCER_ID_AT, -1)
  writeInt16(out, PRODUCER_EPOCH_AT, -1)
  writeInt32(out, BASE_SEQUENCE_AT, -1)
  writeInt32(out, RECORD_COUNT_AT, count)
  writeInt32(out, CRC_AT, crc32c(out, ATTRIBUTES_AT))
}

function recordBodyBytes(record: RecordInput, timestampDelta: number, offsetDelta: number): number {
  let bytes =
    1 +
    varintBytes(zigzag(timestampDelta)) +
    varintBytes(offsetDelta * 2) +
    nullableBytes(record.key) +
    nullableBytes(record.value) +
    varintBytes(record.headers.length * 2)
  // By index: the iterators of records, most of which have no headers, were a quarter of all garbage.
  for (let i = 0; i < record.headers.length; i++) {
    const { name, value } = record.headers[i] as RecordHeader
    const nameBytes = Buffer.byteLength(name)
    bytes += varintBytes(nameBytes * 2) + nameBytes + nullableBytes(value)
  }
  return bytes
}

function nullableBytes(bytes: Uint8Array | null): number {
  return bytes === null ? 1 : varintBytes(bytes.length * 2) + bytes.length
}

function writeRecordBody(
  out: Buffer,
  start: number,
  record: RecordInput,
  timestampDelta: number,
  offsetDelta: number,
): number {
  let at = start
  out[at++] = record.media
  at = writeVarint(out, at, zigzag(timestampDelta))
  at = writeVarint(out, at, offsetDelta * 2)
  at = writeNullable(out, at, record.key)
  at = writeNullable(out, at, record.value)
  at = writeVarint(out, at, record.headers.length * 2)
  for (let i = 0; i < record.headers.length; i++) {
    const { name, value } = record.headers[i] as RecordHeader
    const nameBytes = Buffer.byteLength(name)
    at = writeVarint(out, at, nameBytes * 2)
    out.write(name, at)
    at = writeNullable(out, at + nameBytes, value)
  }
  return at
}

function writeNullable(out: Uint8Array, start: number, bytes: Uint8Array | null): number {
  if (bytes === null) return writeVarint(out, start, zigzag(-1))
  const at = writeVarint(out, start, bytes.length * 2)
  if (bytes.length > SHORT_COPY_BYTES) out.set(bytes, at)
  else for (let i = 0; i < bytes.length; i++) out[at + i] = bytes[i] as number
  return at + bytes.length
}

function safe(value: number): number {
  assert(Number.isSafeInteger(value), 'a batch was read before it was checked')
  return value
}
