/** A buffer that answers are put together in; it grows, and is used again and again. */
const INITIAL_BYTES = 64 * 1024
/** What one large answer made it grow to is given back. */
const KEPT_BYTES = 4 * 1024 * 1024
/** Below this a loop copies faster than a call. */
const SHORT_COPY_BYTES = 32
const TEN_DIGITS = 1_000_000_000

export class ByteWriter {
  /** What was written is [0, length). Replaced when it grows. */
  bytes: Buffer = Buffer.allocUnsafeSlow(INITIAL_BYTES)
  length = 0

  clear(): void {
    this.length = 0
    if (this.bytes.length > KEPT_BYTES) this.bytes = Buffer.allocUnsafeSlow(INITIAL_BYTES)
  }

  /** What was written; changes with the next `clear`. */
  view(): Uint8Array {
    return this.bytes.subarray(0, this.length)
  }

  /** A copy of what was written, from `start` on. */
  copy(start = 0): Buffer {
    const copy = Buffer.allocUnsafeSlow(this.length - start)
    this.bytes.copy(copy, 0, start, this.length)
    return copy
  }

  /** Makes room for `bytes` more. */
  reserve(bytes: number): void {
    const needed = this.length + bytes
    if (needed <= this.bytes.length) return
    let capacity = this.bytes.length * 2
    while (capacity < needed) capacity *= 2
    const grown = Buffer.allocUnsafeSlow(capacity)
    this.bytes.copy(grown, 0, 0, this.length)
    this.bytes = grown
  }

  byte(value: number): void {
    if (this.length === this.bytes.length) this.reserve(1)
    this.bytes[this.length++] = value
  }

  put(source: Uint8Array): void {
    const size = source.length
    this.reserve(size)
    const { bytes, length } = this
    if (size > SHORT_COPY_BYTES) bytes.set(source, length)
    else for (let i = 0; i < size; i++) bytes[length + i] = source[i] as number
    this.length = length + size
  }

  putRange(source: Uint8Array, start: number, end: number): void {
    const size = end - start
    this.reserve(size)
    const { bytes, length } = this
    if (size > SHORT_COPY_BYTES) bytes.set(source.subarray(start, end), length)
    else for (let i = 0; i < size; i++) bytes[length + i] = source[start + i] as number
    this.length = length + size
  }

  /** `text` must be ASCII. */
  ascii(text: string): void {
    this.reserve(text.length)
    this.length += this.bytes.write(text, this.length, 'latin1')
  }

  /** A whole number from 0 to 2^53-1. */
  decimal(value: number): void {
    if (value >= TEN_DIGITS) {
      this.decimal(Math.floor(value / TEN_DIGITS))
      this.digits(value % TEN_DIGITS, 9)
      return
    }
    let digits = 1
    for (let power = 10; power <= value; power *= 10) digits++
    this.digits(value, digits)
  }

  /** The last `count` decimal digits of `value`, which is below 2^31. */
  digits(value: number, count: number): void {
    this.reserve(count)
    const { bytes } = this
    let rest = value | 0
    for (let at = this.length + count - 1; at >= this.length; at--) {
      const quotient = (rest / 10) | 0
      bytes[at] = 0x30 + rest - quotient * 10
      rest = quotient
    }
    this.length += count
  }
}
