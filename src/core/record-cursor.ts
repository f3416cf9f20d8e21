/**
 * Walks the records of one batch without making an object for any: the fields of the cursor are
 * those of the record it stands on, as places in `bytes`. One cursor serves many batches.
 */
import { readInt32 } from '../lib/big-endian.ts'
import { VarintReader } from '../lib/varint.ts'
import {
  BATCH_APPEND_TIME,
  BATCH_CODEC_MASK,
  BATCH_HEADER_BYTES,
  batchAttributes,
  batchBaseOffset,
  batchBaseTimestamp,
  batchBytes,
  batchMaxTimestamp,
  batchRecordCount,
} from './record-batch.ts'

/** `compressed`: the batch has a codec, which is not supported. `malformed`: its records do not parse. */
export type CursorFault = 'compressed' | 'malformed'

const LAST_OFFSET_DELTA_AT = 23

export class RecordCursor {
  bytes: Uint8Array = new Uint8Array(0)
  /** Why `next` ended before the last record; undefined as long as all is well. */
  fault: CursorFault | undefined
  offset = 0
  timestampMs = 0
  /** Bits 0-2: the media type. */
  attributes = 0
  /** First byte of the record, its length field included, and the byte behind its last. */
  recordStart = 0
  recordEnd = 0
  /** -1 where there is no key; likewise for values and header values. */
  keyStart = -1
  keyEnd = -1
  valueStart = -1
  valueEnd = -1
  headerCount = 0
  headerNameStart = 0
  headerNameEnd = 0
  headerValueStart = -1
  headerValueEnd = -1

  readonly #in = new VarintReader()
  #batchEnd = 0
  #recordsLeft = 0
  #headersLeft = 0
  #baseOffset = 0
  #lastOffsetDelta = 0
  #offsetDelta = -1
  #baseTimestampMs = 0
  #appendTimeMs = -1

  /** Goes before the first record of the batch at `at`, which `checkBatch` found valid. */
  reset(batch: Uint8Array, at = 0): void {
    const attributes = batchAttributes(batch, at)
    this.bytes = batch
    this.fault = (attributes & BATCH_CODEC_MASK) === 0 ? undefined : 'compressed'
    this.recordEnd = at + BATCH_HEADER_BYTES
    this.#batchEnd = at + batchBytes(batch, at)
    this.#recordsLeft = batchRecordCount(batch, at)
    this.#headersLeft = 0
    this.#baseOffset = batchBaseOffset(batch, at)
    this.#lastOffsetDelta = readInt32(batch, at + LAST_OFFSET_DELTA_AT)
    this.#offsetDelta = -1
    this.#baseTimestampMs = batchBaseTimestamp(batch, at)
    this.#appendTimeMs = (attributes & BATCH_APPEND_TIME) === 0 ? -1 : batchMaxTimestamp(batch, at)
  }

  /** Moves to the next record; false behind the last one, and at a fault. */
  next(): boolean {
    if (this.fault !== undefined) return false
    if (this.#recordsLeft === 0) return this.recordEnd !== this.#batchEnd && this.#malformed()
    const reader = this.#in
    reader.reset(this.bytes, this.recordEnd, this.#batchEnd)
    this.recordStart = this.recordEnd
    const length = reader.signed()
    if (reader.failed || length < 1 || length > reader.end - reader.at) return this.#malformed()
    reader.end = reader.at + length
    this.recordEnd = reader.end
    this.attributes = this.bytes[reader.at++] as number
    const timestampDelta = reader.signed()
    const offsetDelta = reader.signed()
    this.keyStart = this.#field()
    this.keyEnd = reader.at
    this.valueStart = this.#field()
    this.valueEnd = reader.at
    const headerCount = reader.signed()
    if (
      reader.failed ||
      offsetDelta <= this.#offsetDelta ||
      offsetDelta > this.#lastOffsetDelta ||
      headerCount < 0 ||
      // A header takes at least its two lengths.
      headerCount * 2 > reader.end - reader.at ||
      (headerCount === 0 && reader.at !== reader.end)
    ) {
      return this.#malformed()
    }
    this.#recordsLeft--
    this.#offsetDelta = offsetDelta
    this.#headersLeft = headerCount
    this.headerCount = headerCount
    this.offset = this.#baseOffset + offsetDelta
    this.timestampMs =
      this.#appendTimeMs === -1 ? this.#baseTimestampMs + timestampDelta : this.#appendTimeMs
    return true
  }

  /** Moves to the next header of the record; false behind the last one, and at a fault. */
  nextHeader(): boolean {
    if (this.#headersLeft === 0 || this.fault !== undefined) return false
    const reader = this.#in
    this.headerNameStart = this.#field()
    this.headerNameEnd = reader.at
    this.headerValueStart = this.#field()
    this.headerValueEnd = reader.at
    this.#headersLeft--
    const isEndReached = this.#headersLeft > 0 || reader.at === reader.end
    return (!reader.failed && this.headerNameStart !== -1 && isEndReached) || this.#malformed()
  }

  /** Steps over a length and its bytes; returns where they start, -1 if the length says null. */
  #field(): number {
    const reader = this.#in
    const length = reader.signed()
    if (length === -1) return -1
    if (length < 0 || length > reader.end - reader.at) {
      reader.failed = true
      return -1
    }
    const start = reader.at
    reader.at += length
    return start
  }

  #malformed(): false {
    this.fault = 'malformed'
    return false
  }
}
