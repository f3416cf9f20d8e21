/**
 * What a group of the journal repeats of the one before it, so that a group that cannot be read still
 * tells which logs it was about, and all that it said but the records. Big-endian, an entry a frame:
 *
 *   kind u8, log id u32; but for an append, which stands for all that follow it of that log:
 *   length u16, payload
 */
import { FRAME } from './journal-frames.ts'

/** A group that would need more is repeated not at all. */
export const ECHO_MAX_BYTES = 16 * 1024

const ENTRY_BYTES = 5
const LENGTH_BYTES = 2
const INITIAL_BYTES = 512

export interface EchoedFrame {
  readonly kind: number
  readonly logId: number
  /** Of an append: nothing. */
  readonly payload: Uint8Array
}

/** Notes the frames of a group while they are gathered. */
export class EchoBuilder {
  #bytes = Buffer.alloc(INITIAL_BYTES)
  #end = 0
  #lastAppend = -1
  #tooLarge: boolean = false

  clear(): void {
    this.#end = 0
    this.#lastAppend = -1
    this.#tooLarge = false
  }

  add(kind: number, logId: number, parts: readonly Uint8Array[], payloadBytes: number): void {
    const isAppend = kind === FRAME.append
    if (isAppend && logId === this.#lastAppend) return
    this.#lastAppend = isAppend ? logId : -1
    const size = isAppend ? ENTRY_BYTES : ENTRY_BYTES + LENGTH_BYTES + payloadBytes
    if (!this.#makeRoom(size)) return
    this.#end = this.#bytes.writeUInt8(kind, this.#end)
    this.#end = this.#bytes.writeUInt32BE(logId, this.#end)
    if (isAppend) return
    this.#end = this.#bytes.writeUInt16BE(payloadBytes, this.#end)
    for (const part of parts) {
      this.#bytes.set(part, this.#end)
      this.#end += part.length
    }
  }

  /** A copy; undefined if the frames need more than there may be. */
  take(): Uint8Array | undefined {
    return this.#tooLarge ? undefined : new Uint8Array(this.#bytes.subarray(0, this.#end))
  }

  #makeRoom(size: number): boolean {
    const needed = this.#end + size
    if (needed > ECHO_MAX_BYTES) this.#tooLarge = true
    if (this.#tooLarge) return false
    if (needed <= this.#bytes.length) return true
    const larger = Buffer.alloc(ECHO_MAX_BYTES)
    larger.set(this.#bytes.subarray(0, this.#end))
    this.#bytes = larger
    return true
  }
}

export function decodeEcho(echo: Uint8Array): EchoedFrame[] {
  const bytes = Buffer.from(echo.buffer, echo.byteOffset, echo.length)
  const frames: EchoedFrame[] = []
  for (let at = 0; at < bytes.length; ) {
    const kind = bytes.readUInt8(at)
    const logId = bytes.readUInt32BE(at + 1)
    at += ENTRY_BYTES
    const start = kind === FRAME.append ? at : at + LENGTH_BYTES
    const end = kind === FRAME.append ? at : start + bytes.readUInt16BE(at)
    // Copied: whoever reads the journal goes on with the buffer.
    frames.push({ kind, logId, payload: new Uint8Array(bytes.subarray(start, end)) })
    at = end
  }
  return frames
}
