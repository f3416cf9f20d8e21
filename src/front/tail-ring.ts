/** The newest segments of a shared stream, by number, within a bound of bytes. */
import type { StreamChunk } from '../wire/stream-chunk.ts'
import type { ReadPositions } from './read-positions.ts'

/** Frames that go out together, and where a reader stands behind them. */
export interface TailSegment {
  readonly chunk: StreamChunk
  /** Shared: never moved. */
  readonly after: ReadPositions
}

/** What goes out in one write. */
export interface TailPiece {
  readonly chunks: readonly StreamChunk[]
  /** Number of the segment behind it. */
  readonly next: number
  readonly after: ReadPositions
}

/** Framed bytes of one piece, unless one segment is larger. */
const PIECE_BYTES = 256 * 1024

export class TailRing {
  readonly #limitBytes: number
  readonly #segments = new Map<number, TailSegment>()
  #first = 0
  #end = 0
  #bytes = 0
  /** The piece that was asked for last: members in step ask for the same one. */
  #piece: TailPiece | undefined
  #pieceStart = 0

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes
  }

  /** Number of the oldest segment that is kept. */
  get first(): number {
    return this.#first
  }

  /** Number that the next segment will have. */
  get end(): number {
    return this.#end
  }

  get bytes(): number {
    return this.#bytes
  }

  /** The newest segment stays, however large it is. */
  push(segment: TailSegment): void {
    this.#piece = undefined
    this.#segments.set(this.#end++, segment)
    this.#bytes += segment.chunk.framed.length
    while (this.#bytes > this.#limitBytes && this.#end - this.#first > 1) {
      const oldest = this.#segments.get(this.#first)
      this.#segments.delete(this.#first++)
      this.#bytes -= oldest?.chunk.framed.length ?? 0
    }
  }

  /** Undefined if it was dropped, or is not there yet. */
  at(number: number): TailSegment | undefined {
    return this.#segments.get(number)
  }

  /** From segment `number` on, as much as one write takes; undefined if there is none of that number. */
  piece(number: number): TailPiece | undefined {
    if (this.#pieceStart !== number) this.#piece = undefined
    this.#pieceStart = number
    this.#piece ??= this.#gather(number)
    return this.#piece
  }

  #gather(start: number): TailPiece | undefined {
    const chunks: StreamChunk[] = []
    let after: ReadPositions | undefined
    let next = start
    for (let bytes = 0; bytes < PIECE_BYTES; next++) {
      const segment = this.#segments.get(next)
      if (segment === undefined) break
      chunks.push(segment.chunk)
      bytes += segment.chunk.framed.length
      after = segment.after
    }
    return after === undefined ? undefined : { chunks, next, after }
  }
}
