/**
 * Memory for reads of segments. What a reader gives back is read into again; fresh memory costs more
 * than the read itself, as the system hands out each page of it at the first touch.
 */

/** Sizes differ by as much; the most that is unused of a piece. */
const STEP_BYTES = 16 * 1024

export class ReadMemory {
  readonly #pieceBytes: number
  readonly #limitBytes: number
  /** By size, in steps. */
  readonly #free: Uint8Array[][]
  #freeBytes = 0

  /** Pieces have up to `pieceBytes`; those that were given back have up to `limitBytes` together. */
  constructor(pieceBytes: number, limitBytes: number) {
    this.#pieceBytes = pieceBytes
    this.#limitBytes = limitBytes
    this.#free = Array.from({ length: stepsOf(pieceBytes) + 1 }, () => [])
  }

  /** At least as many bytes, holding anything; undefined if they are too many for a piece. */
  take(sizeBytes: number): Uint8Array | undefined {
    if (sizeBytes <= 0 || sizeBytes > this.#pieceBytes) return undefined
    const steps = stepsOf(sizeBytes)
    const known = this.#free[steps]?.pop()
    if (known === undefined) return Buffer.allocUnsafeSlow(steps * STEP_BYTES)
    this.#freeBytes -= known.length
    return known
  }

  /** Gives back what was taken: nobody looks at it any more. */
  giveBack(piece: Uint8Array): void {
    if (this.#freeBytes + piece.length > this.#limitBytes) return
    this.#freeBytes += piece.length
    this.#free[stepsOf(piece.length)]?.push(piece)
  }
}

function stepsOf(sizeBytes: number): number {
  return Math.ceil(sizeBytes / STEP_BYTES)
}
