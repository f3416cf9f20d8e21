/**
 * The offset of the last record of each key, in bounded memory: keys are known by 128 bits of a hash
 * under a secret, so that nobody can make two of them look the same.
 */
import type { Random } from '../env/random.ts'
import { SipHash } from '../lib/sip-hash.ts'

const SECRET_BYTES = 16
const HASH_WORDS = 4
/** A hash and an offset. */
export const KEY_OFFSET_BYTES = HASH_WORDS * 4 + 8
const FIRST_SLOTS = 1024
/** Beyond, too many keys would be looked at to find one. */
const LOAD_MAX = 0.75

export class KeyOffsets {
  readonly #hash: SipHash
  readonly #slotsMax: number
  #hashes = new Int32Array(0)
  /** Offset plus one; 0 where the slot is free. */
  #offsets = new Float64Array(0)
  #size = 0

  /** @param maxBytes of its table; while that grows, the one before is there as well, of half the size */
  constructor(random: Random, maxBytes: number) {
    this.#hash = new SipHash(random.bytes(SECRET_BYTES))
    const slots = Math.max(2, Math.floor(maxBytes / KEY_OFFSET_BYTES))
    this.#slotsMax = 2 ** Math.floor(Math.log2(slots))
    this.#resize(Math.min(FIRST_SLOTS, this.#slotsMax))
  }

  get size(): number {
    return this.#size
  }

  /** Notes that the key has a record at `offset`, above all before; false if there is no room for it. */
  note(bytes: Uint8Array, start: number, end: number, offset: number): boolean {
    this.#hash.hash(bytes, start, end)
    let slot = this.#slotOf(this.#hash.words)
    if (this.#offsets[slot] === 0) {
      if (this.#size + 1 > this.#offsets.length * LOAD_MAX) {
        if (this.#offsets.length === this.#slotsMax) return false
        this.#grow()
        slot = this.#slotOf(this.#hash.words)
      }
      this.#hashes.set(this.#hash.words, slot * HASH_WORDS)
      this.#size++
    }
    this.#offsets[slot] = offset + 1
    return true
  }

  /** The highest offset noted for the key; -1 if there is none. */
  last(bytes: Uint8Array, start: number, end: number): number {
    this.#hash.hash(bytes, start, end)
    return (this.#offsets[this.#slotOf(this.#hash.words)] as number) - 1
  }

  /** The slot that has the hash, else the free one that it would get. */
  #slotOf(words: Int32Array): number {
    const hashes = this.#hashes
    const last = this.#offsets.length - 1
    let slot = (words[0] as number) & last
    while (this.#offsets[slot] !== 0) {
      const at = slot * HASH_WORDS
      const isSame =
        hashes[at] === words[0] &&
        hashes[at + 1] === words[1] &&
        hashes[at + 2] === words[2] &&
        hashes[at + 3] === words[3]
      if (isSame) break
      slot = (slot + 1) & last
    }
    return slot
  }

  #grow(): void {
    const hashes = this.#hashes
    const offsets = this.#offsets
    this.#resize(offsets.length * 2)
    for (let slot = 0; slot < offsets.length; slot++) {
      if (offsets[slot] === 0) continue
      const words = hashes.subarray(slot * HASH_WORDS, (slot + 1) * HASH_WORDS)
      const target = this.#slotOf(words)
      this.#hashes.set(words, target * HASH_WORDS)
      this.#offsets[target] = offsets[slot] as number
    }
  }

  #resize(slots: number): void {
    this.#hashes = new Int32Array(slots * HASH_WORDS)
    this.#offsets = new Float64Array(slots)
  }
}
