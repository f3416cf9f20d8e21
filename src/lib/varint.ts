/**
 * Variable-length integers as in protocol buffers: seven bits a byte, lowest first; signed ones in
 * zig-zag form. Numbers only: what does not fit 2^53 fails to read.
 */
const MAX_VARINT_BYTES = 10
const NOTHING = new Uint8Array(0)

export function zigzag(value: number): number {
  return value >= 0 ? value * 2 : -value * 2 - 1
}

/** Bytes that `value` (unsigned) takes. */
export function varintBytes(value: number): number {
  if (value < 0x80) return 1
  if (value < 0x4000) return 2
  if (value < 0x20_0000) return 3
  if (value < 0x1000_0000) return 4
  let bytes = 5
  for (let rest = Math.floor(value / 0x8_0000_0000); rest > 0; rest = Math.floor(rest / 128))
    bytes++
  return bytes
}

/** Writes `value` (unsigned) and returns the place behind it. */
export function writeVarint(bytes: Uint8Array, at: number, value: number): number {
  let rest = value
  let place = at
  for (; rest > 0x7fff_ffff; rest = Math.floor(rest / 128)) bytes[place++] = (rest % 128) | 0x80
  for (; rest > 0x7f; rest >>>= 7) bytes[place++] = (rest & 0x7f) | 0x80
  bytes[place++] = rest
  return place
}

/** Reads one integer after the other. Running out of bytes sets `failed` and yields 0, for good. */
export class VarintReader {
  bytes: Uint8Array = NOTHING
  at = 0
  end = 0
  failed = false

  reset(bytes: Uint8Array, at: number, end: number): void {
    this.bytes = bytes
    this.at = at
    this.end = end
    this.failed = false
  }

  unsigned(): number {
    let result = 0
    for (let shift = 0; shift < 28; shift += 7) {
      if (this.at >= this.end || this.failed) return this.#fail()
      const byte = this.bytes[this.at++] as number
      result |= (byte & 0x7f) << shift
      if (byte < 0x80) return result
    }
    return this.#long(result)
  }

  signed(): number {
    const raw = this.unsigned()
    if (raw <= 0x7fff_ffff) return (raw >>> 1) ^ -(raw & 1)
    return raw % 2 === 0 ? raw / 2 : -(raw + 1) / 2
  }

  /** Goes on behind the first four bytes, where 32-bit arithmetic ends. */
  #long(low: number): number {
    let result = low
    let scale = 0x1000_0000
    for (let count = 4; count < MAX_VARINT_BYTES; count++) {
      if (this.at >= this.end) return this.#fail()
      const byte = this.bytes[this.at++] as number
      result += (byte & 0x7f) * scale
      if (result > Number.MAX_SAFE_INTEGER) return this.#fail()
      if (byte < 0x80) return result
      scale *= 128
    }
    return this.#fail()
  }

  #fail(): number {
    this.failed = true
    return 0
  }
}
