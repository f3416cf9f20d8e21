/**
 * Ends the reading of bodies that stopped arriving. Time is counted in sweeps, so that watching a
 * body costs neither a timer nor a look at the clock.
 */
import type { Clock, Timer } from '../env/clock.ts'
import type { Seated } from '../lib/roster.ts'
import { Roster } from '../lib/roster.ts'

export interface WatchedBody extends Seated {
  /** Sweep in which the last bytes came; kept by whoever reads, from `StallWatch.sweep`. */
  lastSweep: number
  /** Sweep in which the reading began. */
  readonly firstSweep: number
  stalled(): void
}

export class StallWatch {
  readonly #clock: Clock
  readonly #sweepMs: number
  readonly #idleSweeps: number
  readonly #totalSweeps: number
  readonly #watched = new Roster<WatchedBody>()
  #timer: Timer | undefined
  #sweep = 0

  /** `idleMs` without a byte, or `totalMs` from the first to the last, is too long. */
  constructor(clock: Clock, options: { readonly idleMs: number; readonly totalMs: number }) {
    this.#clock = clock
    this.#sweepMs = Math.max(1, options.idleMs / 4)
    this.#idleSweeps = 4
    this.#totalSweeps = Math.ceil(options.totalMs / this.#sweepMs)
  }

  get sweep(): number {
    return this.#sweep
  }

  get watching(): number {
    return this.#watched.size
  }

  watch(body: WatchedBody): void {
    this.#watched.add(body)
    this.#timer ??= this.#clock.timer(this.#sweepMs, this.#run)
  }

  unwatch(body: WatchedBody): void {
    this.#watched.delete(body)
  }

  close(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    for (const body of this.#watched.filter()) this.#watched.delete(body)
  }

  readonly #run = (): void => {
    this.#sweep += 1
    const hasStalled = ({ lastSweep, firstSweep }: WatchedBody) =>
      this.#sweep - lastSweep > this.#idleSweeps || this.#sweep - firstSweep > this.#totalSweeps
    for (const body of this.#watched.filter(hasStalled)) {
      if (this.#watched.delete(body)) body.stalled()
    }
    this.#timer = this.#watched.size === 0 ? undefined : this.#clock.timer(this.#sweepMs, this.#run)
  }
}
