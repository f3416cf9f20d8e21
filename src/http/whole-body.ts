/**
 * Gathers one request body into one buffer. Memory is asked of the process-wide budget before it
 * is allocated; a body that comes in one piece is not copied at all.
 */
import type { ByteBudget } from '../lib/byte-budget.ts'
import { ServiceError } from '../lib/service-error.ts'
import type { BodySlabs } from './body-slabs.ts'

/** First allocation for a body of unknown length. */
const FIRST_BYTES = 16 * 1024

export class WholeBody {
  readonly #budget: ByteBudget
  readonly #slabs: BodySlabs
  readonly #limitBytes: number
  /** -1 while unknown: chunked or inflated. */
  readonly #expectedBytes: number
  #buffer: Buffer | undefined
  #length = 0
  #heldBytes = 0

  /**
   * @throws ServiceError `body-too-large`, `overloaded`: nothing is held then
   */
  constructor(
    { budget, slabs }: { budget: ByteBudget; slabs: BodySlabs },
    limitBytes: number,
    expectedBytes: number,
  ) {
    this.#budget = budget
    this.#slabs = slabs
    this.#limitBytes = limitBytes
    this.#expectedBytes = expectedBytes
    if (expectedBytes > 0) this.#hold(expectedBytes)
  }

  /** What the budget gets back when the request is done. */
  get heldBytes(): number {
    return this.#heldBytes
  }

  /** @throws ServiceError `body-too-large`, `overloaded` */
  push(chunk: Buffer): void {
    const end = this.#length + chunk.length
    if (this.#buffer === undefined && chunk.length === this.#expectedBytes) {
      this.#buffer = chunk
    } else {
      const target = this.#roomFor(end)
      chunk.copy(target, this.#length)
    }
    this.#length = end
  }

  /** The bytes gathered so far; valid until the next `push`. */
  bytes(): Buffer {
    return this.#buffer === undefined
      ? EMPTY
      : this.#buffer.length === this.#length
        ? this.#buffer
        : this.#buffer.subarray(0, this.#length)
  }

  #roomFor(end: number): Buffer {
    const buffer = this.#buffer
    if (buffer !== undefined && end <= buffer.length) return buffer
    const size =
      this.#expectedBytes >= end
        ? this.#expectedBytes
        : Math.max(end, Math.min(this.#limitBytes, Math.max(FIRST_BYTES, 2 * this.#length)))
    this.#hold(size)
    const larger = this.#slabs.take(size)
    if (buffer !== undefined) {
      buffer.copy(larger, 0, 0, this.#length)
      this.#slabs.give(buffer)
    }
    this.#buffer = larger
    return larger
  }

  #hold(bytes: number): void {
    if (bytes > this.#limitBytes) throw bodyTooLarge(this.#limitBytes)
    const more = bytes - this.#heldBytes
    if (more <= 0) return
    if (!this.#budget.tryAcquire(more)) {
      throw new ServiceError('overloaded', 'request bodies in flight use all the memory they may')
    }
    this.#heldBytes = bytes
  }
}

const EMPTY = Buffer.alloc(0)

export function bodyTooLarge(limitBytes: number): ServiceError {
  return new ServiceError('body-too-large', `the body is larger than ${limitBytes} bytes`, {
    members: { limit: limitBytes },
  })
}
