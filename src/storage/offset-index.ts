/**
 * Sparse index from offsets to places in a segment, in Kafka's layout (`.index`): entries of
 * {last offset of a batch, relative to the segment's base: i32; place of that batch in bytes: i32},
 * both ascending. Kept in memory as it is on disk. It can always be made again from the segment.
 */
import { readInt32, writeInt32 } from '../lib/big-endian.ts'

export const OFFSET_ENTRY_BYTES = 8
/** As Kafka's segment.index.bytes; a segment is closed when its index has so many. */
export const MAX_INDEX_ENTRIES = (10 * 1024 * 1024) / OFFSET_ENTRY_BYTES
const FIRST_CAPACITY_BYTES = 64

export class OffsetIndex {
  #bytes: Uint8Array
  #entries: number

  constructor(bytes: Uint8Array = new Uint8Array(0)) {
    this.#bytes = bytes
    this.#entries = Math.floor(bytes.length / OFFSET_ENTRY_BYTES)
  }

  get entries(): number {
    return this.#entries
  }

  get memoryBytes(): number {
    return this.#bytes.length
  }

  relativeOffset(entry: number): number {
    return readInt32(this.#bytes, entry * OFFSET_ENTRY_BYTES)
  }

  position(entry: number): number {
    return readInt32(this.#bytes, entry * OFFSET_ENTRY_BYTES + 4)
  }

  append(relativeOffset: number, position: number): void {
    const at = this.#entries * OFFSET_ENTRY_BYTES
    if (at + OFFSET_ENTRY_BYTES > this.#bytes.length) this.#grow()
    writeInt32(this.#bytes, at, relativeOffset)
    writeInt32(this.#bytes, at + 4, position)
    this.#entries++
  }

  /** The last entry at or below the offset, -1 if there is none. */
  floor(relativeOffset: number): number {
    let low = -1
    let high = this.#entries
    while (high - low > 1) {
      const middle = (low + high) >>> 1
      if (this.relativeOffset(middle) <= relativeOffset) low = middle
      else high = middle
    }
    return low
  }

  /** Forgets the entries of batches at and behind `position`. */
  cut(position: number): void {
    while (this.#entries > 0 && this.position(this.#entries - 1) >= position) this.#entries--
  }

  /** Whether the entries could be those of a segment of `segmentBytes`: ascending and inside it. */
  isPlausible(segmentBytes: number): boolean {
    let offset = -1
    let position = 0
    for (let entry = 0; entry < this.#entries; entry++) {
      const nextOffset = this.relativeOffset(entry)
      const nextPosition = this.position(entry)
      if (nextOffset <= offset || nextPosition <= position || nextPosition >= segmentBytes) {
        return false
      }
      offset = nextOffset
      position = nextPosition
    }
    return true
  }

  /** The entries as they go to disk; a view. */
  encoded(): Uint8Array {
    return this.#bytes.subarray(0, this.#entries * OFFSET_ENTRY_BYTES)
  }

  #grow(): void {
    const grown = new Uint8Array(Math.max(FIRST_CAPACITY_BYTES, this.#bytes.length * 2))
    grown.set(this.#bytes)
    this.#bytes = grown
  }
}
