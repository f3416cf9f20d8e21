/**
 * HMAC-SHA256 (RFC 2104) of short texts. Two plain hashes: setting up a stream for each of them, as
 * node:crypto does, costs more than the hashing.
 */
import { hash } from 'node:crypto'

const BLOCK_BYTES = 64
const HASH_BYTES = 32
/** Longer texts are rare, and copied once more. */
const MAX_SHORT_CHARS = 1024
const UTF8_BYTES_MAX = 3

export class Hmac {
  readonly #inner: Buffer
  /** As `#inner`, with room for a short text behind it. */
  readonly #short: Buffer
  readonly #outer: Buffer

  constructor(secret: string) {
    const bytes = Buffer.from(secret)
    const key = bytes.length > BLOCK_BYTES ? hash('sha256', bytes, 'buffer') : bytes
    const padded = Buffer.concat([key], BLOCK_BYTES)
    this.#inner = padded.map((byte) => byte ^ 0x36) as Buffer
    this.#short = Buffer.concat([this.#inner], BLOCK_BYTES + MAX_SHORT_CHARS * UTF8_BYTES_MAX)
    this.#outer = Buffer.concat([padded.map((byte) => byte ^ 0x5c)], BLOCK_BYTES + HASH_BYTES)
  }

  of(text: string): Buffer {
    this.#outer.set(hash('sha256', this.#keyed(text), 'buffer'), BLOCK_BYTES)
    return hash('sha256', this.#outer, 'buffer')
  }

  #keyed(text: string): Buffer {
    if (text.length > MAX_SHORT_CHARS) return Buffer.concat([this.#inner, Buffer.from(text)])
    return this.#short.subarray(0, BLOCK_BYTES + this.#short.write(text, BLOCK_BYTES))
  }
}
