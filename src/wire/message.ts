/**
 * Reads and writes the binary messages between nodes: fixed fields in network byte order, heads
 * first, then the batches that they announce. Nothing is read out of bounds, and nothing is
 * allocated for more entries than the bytes can hold.
 */
import type { TopicId } from '../core/ids.ts'
import { assert } from '../lib/assert.ts'
import { readInt32, readInt64, readUint32, writeInt32, writeInt64 } from '../lib/big-endian.ts'

export const TOPIC_ID_BYTES = 16

/** What came is no message of this protocol. */
export class MalformedMessage extends Error {
  override readonly name = 'MalformedMessage'
}

export class MessageReader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  }

  byte(): number {
    return this.#bytes[this.#take(1)] as number
  }

  int32(): number {
    return readInt32(this.#bytes, this.#take(4))
  }

  uint32(): number {
    return readUint32(this.#bytes, this.#take(4))
  }

  /** At least `min`, and safe. */
  int64(min = 0): number {
    const value = readInt64(this.#bytes, this.#take(8))
    if (!(value >= min)) throw new MalformedMessage('a number is out of range')
    return value
  }

  /** At least `min`. */
  index(min = 0): number {
    const value = this.int32()
    if (value < min) throw new MalformedMessage('a number is out of range')
    return value
  }

  /** How many entries follow, each of at least `entryBytes`. */
  count(entryBytes: number): number {
    const count = this.uint32()
    if (count * entryBytes > this.#bytes.length - this.#at) {
      throw new MalformedMessage('there are fewer entries than announced')
    }
    return count
  }

  topicId(): TopicId {
    const start = this.#take(TOPIC_ID_BYTES)
    return this.#bytes.toString('hex', start, start + TOPIC_ID_BYTES) as TopicId
  }

  /** A view of the message, not a copy. */
  view(length: number): Uint8Array {
    const start = this.#take(length)
    return this.#bytes.subarray(start, start + length)
  }

  /** To be called last: a message has nothing behind its end. */
  end(): void {
    if (this.#at !== this.#bytes.length) throw new MalformedMessage('bytes are left over')
  }

  #take(length: number): number {
    const start = this.#at
    if (length > this.#bytes.length - start) throw new MalformedMessage('the message is cut short')
    this.#at = start + length
    return start
  }
}

export class MessageWriter {
  readonly bytes: Buffer
  #at = 0

  /** `size` is exact. */
  constructor(size: number) {
    this.bytes = Buffer.allocUnsafe(size)
  }

  byte(value: number): void {
    this.bytes[this.#advance(1)] = value
  }

  /** Signed or unsigned. */
  int32(value: number): void {
    writeInt32(this.bytes, this.#advance(4), value)
  }

  int64(value: number): void {
    assert(Number.isSafeInteger(value), 'numbers of messages are safe integers')
    writeInt64(this.bytes, this.#advance(8), value)
  }

  topicId(id: TopicId): void {
    this.bytes.write(id, this.#advance(TOPIC_ID_BYTES), 'hex')
  }

  put(source: Uint8Array): void {
    this.bytes.set(source, this.#advance(source.length))
  }

  /** All that was written; the size must have been right. */
  finish(): Uint8Array {
    assert(this.#at === this.bytes.length, 'the size of a message was computed')
    return this.bytes
  }

  #advance(length: number): number {
    const start = this.#at
    this.#at = start + length
    return start
  }
}
