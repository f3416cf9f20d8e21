/** The newest segments of a shared stream, by number, within a bound of bytes. */
import type { StreamChunk } from '../wire/stream-chunk.ts'
import type { ReadPositions } from './read-positions.ts'

/** Frames that go out together, and where a reader stands behind them. */
export interface TailSegment {
  readonly chunk: StreamChunk
  /** Shared: never moved. */
  readonly after: ReadPositions
}

export class TailRing {
  readonly #limitBytes: number
  readonly #segments = new Map<number, TailSegment>()
  #first = 0
  #end = 0
  #bytes = 0

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
}
