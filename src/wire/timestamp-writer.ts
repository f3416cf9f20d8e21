/** Writes timestamps; those of the same second, as neighbours mostly are, share the work. */
import type { ByteWriter } from './byte-writer.ts'
import { formatTimestamp } from './timestamp.ts'

/** `2026-11-22T10:00:00.` */
const PREFIX_BYTES = 20
const Z = 0x5a

export class TimestampWriter {
  readonly #prefix = new Uint8Array(PREFIX_BYTES)
  #second = Number.NaN

  /** As `formatTimestamp` makes it. */
  write(out: ByteWriter, timestampMs: number): void {
    const second = Math.floor(timestampMs / 1000)
    if (second !== this.#second) {
      const text = formatTimestamp(timestampMs)
      if (Date.parse(text) !== timestampMs) {
        out.ascii(text)
        return
      }
      this.#prefix.set(Buffer.from(text.slice(0, PREFIX_BYTES), 'latin1'))
      this.#second = second
    }
    out.put(this.#prefix)
    out.digits(timestampMs - second * 1000, 3)
    out.byte(Z)
  }
}
