/**
 * Holds appends back while too many bytes wait to be written. Those that wait go in order of
 * arrival; none overtakes them, and none waits for ever.
 */
import type { Clock, Timer } from '../env/clock.ts'

export interface AppendGateOptions {
  /** Whether there is room for so many bytes now. */
  readonly hasRoom: (bytes: number) => boolean
  readonly maxWaitMs: number
  readonly maxWaiting: number
}

interface Waiter {
  readonly bytes: number
  readonly settle: (outcome: 'entered' | 'overloaded') => void
  readonly timer: Timer
}

export class AppendGate {
  readonly #clock: Clock
  readonly #options: AppendGateOptions
  readonly #waiters: Waiter[] = []

  constructor(deps: { clock: Clock }, options: AppendGateOptions) {
    this.#clock = deps.clock
    this.#options = options
  }

  get waiting(): number {
    return this.#waiters.length
  }

  /**
   * Calls `done` once: at once if there is room or no hope, else when either comes. What `done` does
   * on `entered` must take the room.
   */
  enter(bytes: number, done: (outcome: 'entered' | 'overloaded') => void): void {
    if (this.#waiters.length === 0 && this.#options.hasRoom(bytes)) {
      done('entered')
      return
    }
    if (this.#waiters.length >= this.#options.maxWaiting) {
      done('overloaded')
      return
    }
    const timer = this.#clock.timer(this.#options.maxWaitMs, () => {
      this.#waiters.splice(this.#waiters.indexOf(waiter), 1)
      done('overloaded')
    })
    const waiter: Waiter = { bytes, settle: done, timer }
    this.#waiters.push(waiter)
  }

  /** Room may have come about. */
  wake(): void {
    let first = this.#waiters[0]
    while (first !== undefined && this.#options.hasRoom(first.bytes)) {
      this.#waiters.shift()
      first.timer.cancel()
      first.settle('entered')
      first = this.#waiters[0]
    }
  }

  /** Nobody gets in any more. */
  close(): void {
    for (const waiter of this.#waiters.splice(0)) {
      waiter.timer.cancel()
      waiter.settle('overloaded')
    }
  }
}
