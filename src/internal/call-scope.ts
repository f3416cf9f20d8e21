/** How long one call may last: until its caller goes away, or its deadline. */
import type { Clock, Timer } from '../env/clock.ts'

export class CallScope {
  readonly #controller = new AbortController()
  readonly #caller: AbortSignal
  readonly #timer: Timer
  #deadlinePassed: boolean = false

  /** `end` must be called, however the call ends. */
  constructor(clock: Clock, caller: AbortSignal, deadlineMs: number) {
    this.#caller = caller
    this.#timer = clock.timer(Math.max(0, deadlineMs - clock.monotonicMs()), () => {
      this.#deadlinePassed = true
      this.#controller.abort()
    })
    if (caller.aborted) this.#controller.abort()
    else caller.addEventListener('abort', this.#abort, { once: true })
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Why the signal has aborted, if it has. */
  get stopped(): 'deadline' | 'aborted' | undefined {
    if (this.#deadlinePassed) return 'deadline'
    return this.#caller.aborted ? 'aborted' : undefined
  }

  end(): void {
    this.#timer.cancel()
    this.#caller.removeEventListener('abort', this.#abort)
  }

  readonly #abort = (): void => this.#controller.abort()
}
