/** Randomness of the operating system; numbers are cut from a block, as each call costs a microsecond. */
import { randomBytes, randomFillSync } from 'node:crypto'
import type { Random } from './random.ts'

const BLOCK_WORDS = 256

export class SystemRandom implements Random {
  readonly #block = new Uint32Array(BLOCK_WORDS)
  #next = BLOCK_WORDS

  float(): number {
    // 53 bits, as many as a number in [0, 1) holds exactly.
    return ((this.uint32() >>> 5) * 2 ** 26 + (this.uint32() >>> 6)) / 2 ** 53
  }

  uint32(): number {
    if (this.#next === BLOCK_WORDS) {
      randomFillSync(this.#block)
      this.#next = 0
    }
    const word = this.#block[this.#next] as number
    this.#block[this.#next++] = 0
    return word
  }

  bytes(length: number): Uint8Array {
    return new Uint8Array(randomBytes(length))
  }
}
