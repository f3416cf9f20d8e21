/**
 * A cursor, kept encoded while its positions move: a step of one partition rewrites
 * the few bytes of it and the checksum. Made for the `id:` of every frame of a stream.
 */
import type { TopicId } from '../core/ids.ts'
import { assert } from '../lib/assert.ts'
import { writeInt32 } from '../lib/big-endian.ts'
import { crc32c } from '../lib/crc32c.ts'
import { varintBytes, writeVarint } from '../lib/varint.ts'
import type { Cursor } from './cursor.ts'
import { CURSOR_CHECKSUM_BYTES, cursorBytes, topicHeadBytes } from './cursor.ts'

const ALPHABET = Uint8Array.from(
  Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_', 'latin1'),
)
/** By how much lastEpoch and offset may still grow: two varints at their longest. */
const SPARE_BYTES_PER_POSITION = 13

/** The cursor as one of its topics moves it. */
export interface TopicCursor {
  /** Moves a partition, which must be one of those given at the start. */
  set(partition: number, lastEpoch: number, offset: number): void
  /** The whole cursor as ASCII bytes; they change with the next `set`. */
  bytes(): Uint8Array
}

export class CursorWriter {
  readonly #topics = new Map<TopicId, Map<number, number>>()
  /** Where lastEpoch and offset of each position start and end in the raw bytes. */
  readonly #starts: Int32Array
  readonly #ends: Int32Array
  readonly #raw: Uint8Array
  readonly #encoded: Uint8Array
  #checksumAt: number
  #dirtyFrom = 0
  #dirtyEnd: number

  /** Positions must be in ascending order of partition. */
  constructor(cursor: Cursor) {
    const bytes = cursorBytes(cursor)
    const count = cursor.topics.reduce((sum, { positions }) => sum + positions.length, 0)
    const capacity = bytes.length + count * SPARE_BYTES_PER_POSITION
    this.#raw = new Uint8Array(capacity)
    this.#raw.set(bytes)
    this.#encoded = new Uint8Array(Math.ceil((capacity * 4) / 3))
    this.#checksumAt = bytes.length - CURSOR_CHECKSUM_BYTES
    this.#dirtyEnd = bytes.length
    this.#starts = new Int32Array(count)
    this.#ends = new Int32Array(count)
    let end = this.#checksumAt
    let index = count
    for (const topic of cursor.topics.toReversed()) {
      const indexes = new Map<number, number>()
      this.#topics.set(topic.topicId, indexes)
      for (const { partition, lastEpoch, offset } of topic.positions.toReversed()) {
        const start = end - varintBytes(lastEpoch + 1) - varintBytes(offset)
        indexes.set(partition, --index)
        this.#starts[index] = start
        this.#ends[index] = end
        end = start - varintBytes(partition)
      }
      end -= topicHeadBytes(topic)
    }
  }

  /** Of a topic that is in the cursor. */
  of(topicId: TopicId): TopicCursor {
    const indexes = this.#topics.get(topicId)
    assert(indexes !== undefined, `topic ${topicId} is not in the cursor`)
    return {
      set: (partition, lastEpoch, offset) => {
        const index = indexes?.get(partition)
        assert(index !== undefined, `partition ${partition} is not in the cursor`)
        this.#set(index, lastEpoch, offset)
      },
      bytes: () => this.bytes(),
    }
  }

  /** The cursor as ASCII bytes; they change with the next `set`. */
  bytes(): Uint8Array {
    const checksumAt = this.#checksumAt
    const end = checksumAt + CURSOR_CHECKSUM_BYTES
    if (this.#dirtyEnd > this.#dirtyFrom) {
      writeInt32(this.#raw, checksumAt, crc32c(this.#raw, 0, checksumAt))
      this.#encode(this.#dirtyFrom, Math.min(this.#dirtyEnd, checksumAt))
      this.#encode(checksumAt, end)
      this.#dirtyFrom = end
      this.#dirtyEnd = 0
    }
    return this.#encoded.subarray(0, Math.ceil((end * 4) / 3))
  }

  text(): string {
    return Buffer.from(this.bytes()).toString('latin1')
  }

  #set(index: number, lastEpoch: number, offset: number): void {
    const start = this.#starts[index] as number
    const end = this.#ends[index] as number
    const growth = varintBytes(lastEpoch + 1) + varintBytes(offset) - (end - start)
    if (growth !== 0) this.#shift(index, end, growth)
    writeVarint(this.#raw, writeVarint(this.#raw, start, lastEpoch + 1), offset)
    if (start < this.#dirtyFrom) this.#dirtyFrom = start
    const dirtyEnd = growth === 0 ? end : this.#checksumAt
    if (dirtyEnd > this.#dirtyEnd) this.#dirtyEnd = dirtyEnd
  }

  /** Makes room behind the position, or closes it. */
  #shift(index: number, end: number, growth: number): void {
    this.#raw.copyWithin(end + growth, end, this.#checksumAt)
    this.#checksumAt += growth
    this.#ends[index] = end + growth
    for (let i = index + 1; i < this.#starts.length; i++) {
      this.#starts[i] = (this.#starts[i] as number) + growth
      this.#ends[i] = (this.#ends[i] as number) + growth
    }
  }

  /** Encodes the groups of three that hold raw bytes [from, to). */
  #encode(from: number, to: number): void {
    const raw = this.#raw
    const out = this.#encoded
    const end = this.#checksumAt + CURSOR_CHECKSUM_BYTES
    let group = Math.floor(from / 3)
    for (let at = group * 3; at < to; at += 3, group++) {
      // Bytes behind the end count as zero; what they would encode to lies behind the text.
      const bits =
        ((raw[at] as number) << 16) |
        ((at + 1 < end ? (raw[at + 1] as number) : 0) << 8) |
        (at + 2 < end ? (raw[at + 2] as number) : 0)
      const place = group * 4
      out[place] = ALPHABET[bits >>> 18] as number
      out[place + 1] = ALPHABET[(bits >>> 12) & 63] as number
      out[place + 2] = ALPHABET[(bits >>> 6) & 63] as number
      out[place + 3] = ALPHABET[bits & 63] as number
    }
  }
}
