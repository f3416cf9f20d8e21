/**
 * SipHash-2-4 with 128 bits of output: a hash under a secret key, so that nobody who does not know
 * the key can find two inputs with the same one.
 */
const KEY_BYTES = 16

export class SipHash {
  /** The last hash, in four words. */
  readonly words: Int32Array = new Int32Array(4)
  readonly #key: Int32Array
  /** The four words of 64 bits that SipHash works on, as halves: low, high. */
  #a0 = 0
  #a1 = 0
  #b0 = 0
  #b1 = 0
  #c0 = 0
  #c1 = 0
  #d0 = 0
  #d1 = 0

  /** @param key 16 bytes that nobody else knows */
  constructor(key: Uint8Array) {
    if (key.length !== KEY_BYTES) throw new RangeError(`a key has ${KEY_BYTES} bytes`)
    this.#key = Int32Array.from([0, 4, 8, 12], (at) => word(key, at, KEY_BYTES))
  }

  /** Hashes bytes `start` up to `end` into `words`. */
  hash(bytes: Uint8Array, start: number, end: number): void {
    this.#begin()
    const wholeEnd = end - ((end - start) % 8)
    for (let at = start; at < wholeEnd; at += 8) {
      this.#take(whole(bytes, at), whole(bytes, at + 4))
    }
    const length = ((end - start) & 0xff) << 24
    this.#take(word(bytes, wholeEnd, end), word(bytes, wholeEnd + 4, end) | length)
    this.#c0 ^= 0xee
    this.#rounds(4)
    this.words[0] = this.#a0 ^ this.#b0 ^ this.#c0 ^ this.#d0
    this.words[1] = this.#a1 ^ this.#b1 ^ this.#c1 ^ this.#d1
    this.#b0 ^= 0xdd
    this.#rounds(4)
    this.words[2] = this.#a0 ^ this.#b0 ^ this.#c0 ^ this.#d0
    this.words[3] = this.#a1 ^ this.#b1 ^ this.#c1 ^ this.#d1
  }

  #begin(): void {
    const [k0 = 0, k1 = 0, k2 = 0, k3 = 0] = this.#key
    this.#a0 = k0 ^ 0x70736575
    this.#a1 = k1 ^ 0x736f6d65
    this.#b0 = k2 ^ 0x6e646f6d ^ 0xee
    this.#b1 = k3 ^ 0x646f7261
    this.#c0 = k0 ^ 0x6e657261
    this.#c1 = k1 ^ 0x6c796765
    this.#d0 = k2 ^ 0x79746573
    this.#d1 = k3 ^ 0x74656462
  }

  #take(low: number, high: number): void {
    this.#d0 ^= low
    this.#d1 ^= high
    this.#rounds(2)
    this.#a0 ^= low
    this.#a1 ^= high
  }

  #rounds(count: number): void {
    let a0 = this.#a0
    let a1 = this.#a1
    let b0 = this.#b0
    let b1 = this.#b1
    let c0 = this.#c0
    let c1 = this.#c1
    let d0 = this.#d0
    let d1 = this.#d1
    for (let round = 0; round < count; round++) {
      let low = (a0 >>> 0) + (b0 >>> 0)
      a1 = (a1 + b1 + (low > 0xffff_ffff ? 1 : 0)) | 0
      a0 = low | 0
      let turned = (b0 << 13) | (b1 >>> 19)
      b1 = ((b1 << 13) | (b0 >>> 19)) ^ a1
      b0 = turned ^ a0
      low = (c0 >>> 0) + (d0 >>> 0)
      c1 = (c1 + d1 + (low > 0xffff_ffff ? 1 : 0)) | 0
      c0 = low | 0
      turned = (d0 << 16) | (d1 >>> 16)
      d1 = ((d1 << 16) | (d0 >>> 16)) ^ c1
      d0 = turned ^ c0
      // The halves of `a` change places here, and those of `c` below: a turn by 32 bits.
      low = (a1 >>> 0) + (d0 >>> 0)
      const a1Turned = (a0 + d1 + (low > 0xffff_ffff ? 1 : 0)) | 0
      a0 = low | 0
      a1 = a1Turned
      turned = (d0 << 21) | (d1 >>> 11)
      d1 = ((d1 << 21) | (d0 >>> 11)) ^ a1
      d0 = turned ^ a0
      low = (c0 >>> 0) + (b0 >>> 0)
      const c1Kept = (c1 + b1 + (low > 0xffff_ffff ? 1 : 0)) | 0
      c0 = low | 0
      turned = (b0 << 17) | (b1 >>> 15)
      b1 = ((b1 << 17) | (b0 >>> 15)) ^ c1Kept
      b0 = turned ^ c0
      c1 = c0
      c0 = c1Kept
    }
    this.#a0 = a0
    this.#a1 = a1
    this.#b0 = b0
    this.#b1 = b1
    this.#c0 = c0
    this.#c1 = c1
    this.#d0 = d0
    this.#d1 = d1
  }
}

/** Four bytes, lowest first. */
function whole(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] as number) |
    ((bytes[at + 1] as number) << 8) |
    ((bytes[at + 2] as number) << 16) |
    ((bytes[at + 3] as number) << 24)
  )
}

/** Up to four bytes before `end`, lowest first. */
function word(bytes: Uint8Array, at: number, end: number): number {
  let value = 0
  for (let i = 0; i < 4 && at + i < end; i++) value |= (bytes[at + i] as number) << (8 * i)
  return value
}
