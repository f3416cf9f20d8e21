/** Lets at most so many through at once; the others wait in order of arrival. */
import { assert } from './assert.ts'

export class Gate {
  readonly #width: number
  #inside = 0
  readonly #waiting = new Set<() => void>()

  constructor(width: number) {
    this.#width = width
  }

  get waiting(): number {
    return this.#waiting.size
  }

  /** Enters if nobody has to wait. */
  tryEnter(): boolean {
    if (this.#inside >= this.#width) return false
    this.#inside++
    return true
  }

  /** Each entry must be followed by one `leave`. Rejects with the signal's reason on abort. */
  enter(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.reject(signal.reason)
    if (this.tryEnter()) return Promise.resolve()
    return new Promise((resolve, reject) => {
      const pass = () => {
        signal.removeEventListener('abort', abort)
        resolve()
      }
      const abort = () => {
        this.#waiting.delete(pass)
        reject(signal.reason)
      }
      this.#waiting.add(pass)
      signal.addEventListener('abort', abort, { once: true })
    })
  }

  leave(): void {
    assert(this.#inside > 0, 'more left the gate than entered')
    const [next] = this.#waiting
    if (next === undefined) {
      this.#inside--
      return
    }
    this.#waiting.delete(next)
    next()
  }
}
