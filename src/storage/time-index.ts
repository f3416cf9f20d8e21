/**
 * Sparse index from timestamps to offsets of a segment, in Kafka's layout (`.timeindex`): entries
 * of {highest timestamp so far: i64; last offset of the batch that has it, relative: i32}. Each
 * says: no record up to the place where it was made is newer. It can be made again from the segment.
 */
import { readInt32, readInt64, writeInt32, writeInt64 } from '../lib/big-endian.ts'

export const TIME_ENTRY_BYTES = 12
const FIRST_CAPACITY_BYTES = 96

export class TimeIndex {
  #bytes: Uint8Array
  #entries: number

  constructor(bytes: Uint8Array = new Uint8Array(0)) {
    this.#bytes = bytes
    this.#entries = Math.floor(bytes.length / TIME_ENTRY_BYTES)
  }

  get entries(): number {
    return this.#entries
  }

  get memoryBytes(): number {
    return this.#bytes.length
  }

  timestampMs(entry: number): number {
    return readInt64(this.#bytes, entry * TIME_ENTRY_BYTES)
  }

  relativeOffset(entry: number): number {
    return readInt32(this.#bytes, entry * TIME_ENTRY_BYTES + 8)
  }

  /** Adds an entry unless the timestamp is no higher than the last one's. */
  append(timestampMs: number, relativeOffset: number): void {
    if (this.#entries > 0 && timestampMs <= this.timestampMs(this.#entries - 1)) return
    const at = this.#entries * TIME_ENTRY_BYTES
    if (at + TIME_ENTRY_BYTES > this.#bytes.length) this.#grow()
    writeInt64(this.#bytes, at, timestampMs)
    writeInt32(this.#bytes, at + 8, relativeOffset)
    this.#entries++
  }

  /** The last entry below `timestampMs`, -1 if there is none: no earlier record is so new. */
  below(timestampMs: number): number {
    let low = -1
    let high = this.#entries
    while (high - low > 1) {
      const middle = (low + high) >>> 1
      if (this.timestampMs(middle) < timestampMs) low = middle
      else high = middle
    }
    return low
  }

  /** Forgets the entries of batches that end at or above the relative offset. */
  cut(relativeOffset: number): void {
    while (this.#entries > 0 && this.relativeOffset(this.#entries - 1) >= relativeOffset) {
      this.#entries--
    }
  }

  /** Whether the entries could be those of a segment that ends at `relativeEnd`. */
  isPlausible(relativeEnd: number): boolean {
    let timestampMs = Number.NEGATIVE_INFINITY
    let offset = -1
    for (let entry = 0; entry < this.#entries; entry++) {
      const nextOffset = this.relativeOffset(entry)
      const nextTimestampMs = this.timestampMs(entry)
      // NaN, which stands for a number beyond 2^53, fails the comparison.
      if (!(nextTimestampMs > timestampMs) || nextOffset <= offset || nextOffset >= relativeEnd) {
        return false
      }
      offset = nextOffset
      timestampMs = nextTimestampMs
    }
    return true
  }

  /** The entries as they go to disk; a view. */
  encoded(): Uint8Array {
    return this.#bytes.subarray(0, this.#entries * TIME_ENTRY_BYTES)
  }

  #grow(): void {
    const grown = new Uint8Array(Math.max(FIRST_CAPACITY_BYTES, this.#bytes.length * 2))
    grown.set(this.#bytes)
    this.#bytes = grown
  }
}
