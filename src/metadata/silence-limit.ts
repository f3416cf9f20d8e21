/** How long those who cannot wait for ever go on without a word of the metadata store. */
import type { Clock, Timer } from '../env/clock.ts'

export class SilenceLimit {
  readonly #clock: Clock
  readonly #limitMs: number
  readonly #passed = new AbortController()
  #timer: Timer

  constructor(clock: Clock, limitMs: number) {
    this.#clock = clock
    this.#limitMs = limitMs
    this.#timer = this.#arm()
  }

  /** Aborts when the store was silent for so long. */
  get passed(): AbortSignal {
    return this.#passed.signal
  }

  /** The store has answered. */
  heard(): void {
    this.#timer.cancel()
    this.#timer = this.#arm()
  }

  end(): void {
    this.#timer.cancel()
  }

  #arm(): Timer {
    const { signal } = this.#passed
    const reason = new Error(`the metadata store was silent for ${this.#limitMs} ms`)
    return this.#clock.timer(this.#limitMs, () => {
      if (!signal.aborted) this.#passed.abort(reason)
    })
  }
}
