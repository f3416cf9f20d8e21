/**
 * Takes records out of a batch, as compaction does: what stays keeps its offset, its time and its
 * bytes, and the batch the offsets that it spans. KIP-534: a batch with tombstones notes until when
 * they stay, its delete horizon, in the place of its base timestamp.
 */
import { assert } from '../lib/assert.ts'
import { VarintReader, varintBytes, writeVarint, zigzag } from '../lib/varint.ts'
import {
  BATCH_CODEC_MASK,
  BATCH_CONTROL,
  BATCH_DELETE_HORIZON,
  BATCH_HEADER_BYTES,
  batchAttributes,
  batchBaseTimestamp,
  batchMaxTimestamp,
  batchProducerId,
  batchRecordCount,
  deriveHeader,
  MAX_BATCH_BYTES,
} from './record-batch.ts'
import { RecordCursor } from './record-cursor.ts'

export interface FilterRules {
  /** Whether the record on which the cursor stands stays. */
  keeps(cursor: RecordCursor): boolean
  /** The delete horizon of a batch that keeps tombstones and has none yet; -1: it gets none. */
  readonly horizonMs: number
}

export class BatchFilter {
  readonly #cursor = new RecordCursor()
  readonly #reader = new VarintReader()
  /** Where what stays begins and ends, record by record. */
  readonly #kept: number[] = []
  #maxTimestampMs = -1
  #keepsTombstones: boolean = false

  /**
   * What is left of the valid batch at `at`: the same if nothing is to be changed, or nothing but its
   * offsets, or a new batch. Batches whose records are not for readers, or cannot be told apart, stay.
   */
  apply(bytes: Uint8Array, at: number, rules: FilterRules): 'same' | 'empty' | Uint8Array {
    const attributes = batchAttributes(bytes, at)
    if ((attributes & (BATCH_CONTROL | BATCH_CODEC_MASK)) !== 0) return 'same'
    if (!this.#choose(bytes, at, rules)) return 'same'
    if (this.#kept.length === 0) return this.#emptied(bytes, at)
    const getsHorizon =
      this.#keepsTombstones && rules.horizonMs !== -1 && (attributes & BATCH_DELETE_HORIZON) === 0
    if (getsHorizon) {
      const rebased = this.#rebased(bytes, at, rules.horizonMs)
      if (rebased !== undefined) return rebased
    }
    const isWhole = this.#kept.length / 2 === batchRecordCount(bytes, at)
    return isWhole ? 'same' : this.#reduced(bytes, at)
  }

  /** Of a batch that a producer numbered, its head stays: the producer's next batch goes on from it. */
  #emptied(bytes: Uint8Array, at: number): 'same' | 'empty' | Uint8Array {
    if (batchProducerId(bytes, at) === -1) return 'empty'
    if (batchRecordCount(bytes, at) === 0) return 'same'
    this.#maxTimestampMs = batchMaxTimestamp(bytes, at)
    return this.#reduced(bytes, at)
  }

  /** False if the records do not parse. */
  #choose(bytes: Uint8Array, at: number, rules: FilterRules): boolean {
    const cursor = this.#cursor
    this.#kept.length = 0
    this.#maxTimestampMs = -1
    this.#keepsTombstones = false
    cursor.reset(bytes, at)
    while (cursor.next()) {
      if (!rules.keeps(cursor)) continue
      this.#kept.push(cursor.recordStart, cursor.recordEnd)
      if (cursor.timestampMs > this.#maxTimestampMs) this.#maxTimestampMs = cursor.timestampMs
      if (cursor.valueStart === -1) this.#keepsTombstones = true
    }
    return cursor.fault === undefined
  }

  #reduced(bytes: Uint8Array, at: number): Uint8Array {
    const kept = this.#kept
    let size = BATCH_HEADER_BYTES
    for (let i = 0; i < kept.length; i += 2) size += (kept[i + 1] as number) - (kept[i] as number)
    const out = Buffer.allocUnsafeSlow(size)
    let to = BATCH_HEADER_BYTES
    for (let i = 0; i < kept.length; i += 2) {
      const record = bytes.subarray(kept[i], kept[i + 1])
      out.set(record, to)
      to += record.length
    }
    return this.#withHeader(out, bytes, at)
  }

  /** Times of records are relative to the base timestamp. Undefined: the batch would be too large. */
  #rebased(bytes: Uint8Array, at: number, horizonMs: number): Uint8Array | undefined {
    const kept = this.#kept
    const byMs = horizonMs - batchBaseTimestamp(bytes, at)
    let size = BATCH_HEADER_BYTES
    for (let i = 0; i < kept.length; i += 2) {
      const { bodyBytes } = this.#rebasedRecord(bytes, i, byMs)
      size += varintBytes(bodyBytes * 2) + bodyBytes
    }
    if (size > MAX_BATCH_BYTES) return undefined
    const out = Buffer.allocUnsafeSlow(size)
    let to = BATCH_HEADER_BYTES
    for (let i = 0; i < kept.length; i += 2) {
      const record = this.#rebasedRecord(bytes, i, byMs)
      to = writeVarint(out, to, record.bodyBytes * 2)
      out[to++] = bytes[record.attributesAt] as number
      to = writeVarint(out, to, record.timestampDelta)
      const rest = bytes.subarray(record.restAt, kept[i + 1])
      out.set(rest, to)
      to += rest.length
    }
    assert(to === size, `a batch took ${to} bytes instead of ${size}`)
    return this.#withHeader(out, bytes, at, horizonMs)
  }

  #rebasedRecord(bytes: Uint8Array, i: number, byMs: number) {
    const reader = this.#reader
    const end = this.#kept[i + 1] as number
    reader.reset(bytes, this.#kept[i] as number, end)
    reader.signed()
    const attributesAt = reader.at++
    const timestampDelta = zigzag(reader.signed() - byMs)
    const restAt = reader.at
    const bodyBytes = 1 + varintBytes(timestampDelta) + end - restAt
    return { attributesAt, timestampDelta, restAt, bodyBytes }
  }

  #withHeader(out: Buffer, bytes: Uint8Array, at: number, horizonMs?: number): Uint8Array {
    const recordCount = this.#kept.length / 2
    const now = { recordCount, maxTimestampMs: this.#maxTimestampMs }
    deriveHeader(out, bytes, at, horizonMs === undefined ? now : { ...now, horizonMs })
    return out
  }
}
