/** The body of an answer at the caller's end: chunks that have come, and whoever waits for the next. */
const CHUNKS_MAX = 8

export class SimBody {
  readonly #chunks: Uint8Array[] = []
  readonly #onLeft: () => void
  #failure: Error | undefined
  #isEnded: boolean = false
  #wake: () => void = () => undefined
  /** Chunks that were sent and not yet taken. */
  #outstanding = 0
  readonly #whenRoom: (() => void)[] = []

  /** Calls `onLeft` when the reader leaves before the end. */
  constructor(onLeft: () => void) {
    this.#onLeft = onLeft
  }

  sent(): void {
    this.#outstanding++
  }

  push(chunk: Uint8Array): void {
    this.#chunks.push(chunk)
    this.#wake()
  }

  end(): void {
    this.#isEnded = true
    this.#wake()
  }

  fail(error: Error): void {
    this.#failure ??= error
    this.#wake()
  }

  /** Calls back when there is room for more. */
  whenRoom(resolve: () => void): void {
    if (this.#outstanding < CHUNKS_MAX) resolve()
    else this.#whenRoom.push(resolve)
  }

  async *chunks(): AsyncIterable<Uint8Array> {
    try {
      for (;;) {
        const chunk = this.#chunks.shift()
        if (chunk !== undefined) {
          this.#outstanding--
          for (const resolve of this.#whenRoom.splice(0)) resolve()
          yield chunk
        } else if (this.#failure !== undefined) throw this.#failure
        else if (this.#isEnded) return
        else {
          await new Promise<void>((resolve) => {
            this.#wake = resolve
          })
        }
      }
    } finally {
      if (!this.#isEnded && this.#failure === undefined) this.#onLeft()
    }
  }
}
