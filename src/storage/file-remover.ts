/** Removes files of deleted logs and segments after a delay, when no reader can be in them. */
import type { Clock, Timer } from '../env/clock.ts'
import type { Logger } from '../env/logger.ts'

export class FileRemover {
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #delayMs: number
  readonly #timers = new Set<Timer>()
  readonly #running = new Set<Promise<void>>()
  #closed: boolean = false

  constructor(deps: { clock: Clock; logger: Logger }, options: { delayMs: number }) {
    this.#clock = deps.clock
    this.#logger = deps.logger
    this.#delayMs = options.delayMs
  }

  /** Runs `remove` after the delay, and again until it works; never if the node stops before. */
  later(remove: () => Promise<void>): void {
    if (this.#closed) return
    const timer = this.#clock.timer(this.#delayMs, () => {
      this.#timers.delete(timer)
      const run = remove()
        .catch((error: unknown) => {
          this.#logger.warn({ err: error }, 'files could not be removed')
          this.later(remove)
        })
        .finally(() => this.#running.delete(run))
      this.#running.add(run)
    })
    this.#timers.add(timer)
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const timer of this.#timers) timer.cancel()
    this.#timers.clear()
    await Promise.all(this.#running)
  }
}
