/**
 * HMAC-SHA256 (RFC 2104) of short texts. Two plain hashes: setting up a stream for each of them, as
 * node:crypto does, costs more than the hashing.
 */
import { hash } from 'node:crypto'

const BLOCK_BYTES = 64
const HASH_BYTES = 32

export class Hmac {
  readonly #inner: Buffer
  readonly #outer: Buffer

  constructor(secret: string) {
    const bytes = Buffer.from(secret)
    const key = bytes.length > BLOCK_BYTES ? hash('sha256', bytes, 'buffer') : bytes
    const padded = Buffer.concat([key], BLOCK_BYTES)
    this.#inner = padded.map((byte) => byte ^ 0x36) as Buffer
    this.#outer = Buffer.concat([padded.map((byte) => byte ^ 0x5c)], BLOCK_BYTES + HASH_BYTES)
  }

  of(text: string): Buffer {
    const inner = hash('sha256', Buffer.concat([this.#inner, Buffer.from(text)]), 'buffer')
    this.#outer.set(inner, BLOCK_BYTES)
    return hash('sha256', this.#outer, 'buffer')
  }
}
