/** Cuts an upload, which comes in pieces, into chunks of whole lines: bounded in lines and in bytes. */
import { ServiceError } from '../../lib/service-error.ts'

export interface LineChunksOptions {
  readonly lines: number
  /** A chunk is cut before it grows beyond this, unless its first line does. */
  readonly bytes: number
  /** The longest line that is taken. */
  readonly lineBytes: number
}

const LINE_FEED = 0x0a
const EMPTY = Buffer.alloc(0)

export class LineChunks {
  readonly #options: LineChunksOptions
  #buffer = EMPTY
  #length = 0
  /** Where the search for line feeds goes on. */
  #scanned = 0
  /** Whole lines before `#linesEnd`. */
  #lines = 0
  #linesEnd = 0

  constructor(options: LineChunksOptions) {
    this.#options = options
  }

  push(piece: Uint8Array): void {
    const end = this.#length + piece.length
    if (end > this.#buffer.length) {
      const size = Math.max(end, this.#options.bytes + piece.length, 2 * this.#length)
      const grown = Buffer.allocUnsafeSlow(size)
      this.#buffer.copy(grown, 0, 0, this.#length)
      this.#buffer = grown
    }
    this.#buffer.set(piece, this.#length)
    this.#length = end
  }

  /**
   * The next chunk that is complete; its memory is the caller's.
   * @throws ServiceError `record-too-large` for a line without end
   */
  next(): Buffer | undefined {
    const { lines, bytes, lineBytes } = this.#options
    while (this.#lines < lines) {
      const feed = this.#buffer.subarray(0, this.#length).indexOf(LINE_FEED, this.#scanned)
      if (feed === -1) {
        this.#scanned = this.#length
        if (this.#length - this.#linesEnd > lineBytes) throw lineTooLong(lineBytes)
        return this.#length >= bytes && this.#lines > 0 ? this.#cut(this.#linesEnd) : undefined
      }
      this.#scanned = feed + 1
      if (this.#scanned > bytes && this.#lines > 0) return this.#cut(this.#linesEnd)
      this.#lines++
      this.#linesEnd = this.#scanned
    }
    return this.#cut(this.#linesEnd)
  }

  /** What is left when the upload has ended; undefined if nothing is. */
  rest(): Buffer | undefined {
    return this.#length === 0 ? undefined : this.#cut(this.#length)
  }

  #cut(end: number): Buffer {
    const chunk = this.#buffer.subarray(0, end)
    // The records of the chunk are views of it: what follows goes elsewhere.
    const rest = this.#buffer.subarray(end, this.#length)
    this.#buffer = EMPTY
    this.#length = 0
    this.#scanned = 0
    this.#lines = 0
    this.#linesEnd = 0
    if (rest.length > 0) this.push(rest)
    return chunk
  }
}

function lineTooLong(limit: number): ServiceError {
  return new ServiceError('record-too-large', `a line is longer than ${limit} bytes`, {
    members: { limit },
  })
}
