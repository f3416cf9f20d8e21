/**
 * A node's own view of simulated time: a wall clock that is wrong, a monotonic one that runs a
 * little fast or slow, and a process that can be paused or ended. Everything that comes to a node
 * from outside comes through a timer of this clock, so that a paused node sees it when it goes on,
 * and a dead one never does.
 */

import type { Clock, Timer } from '../../src/env/clock.ts'
import { sleepOn } from '../../src/env/sleep.ts'
import type { SimClock } from './sim-clock.ts'

/** No timer is early, whatever is lost in rounding: a time that never comes would be waited for without end. */
const LATE_MS = 1e-6

export interface SimNodeClockOptions {
  /** Milliseconds by which the wall clock is wrong. */
  readonly skewMs?: number
  /** Speed of the monotonic clock and of timers; 1 is right. */
  readonly rate?: number
}

export class SimNodeClock implements Clock {
  readonly #world: SimClock
  readonly #rate: number
  readonly #startMs: number
  #skewMs: number
  #state: 'running' | 'paused' | 'ended' = 'running'
  #held: (() => void)[] = []

  constructor(world: SimClock, options: SimNodeClockOptions = {}) {
    this.#world = world
    this.#rate = options.rate ?? 1
    this.#skewMs = options.skewMs ?? 0
    this.#startMs = world.monotonicMs()
  }

  get isPaused(): boolean {
    return this.#state === 'paused'
  }

  get isEnded(): boolean {
    return this.#state === 'ended'
  }

  nowMs(): number {
    return Math.floor(this.#world.nowMs() + this.#skewMs)
  }

  /** Begins anew with each process, so that nobody can compare it between two. */
  monotonicMs(): number {
    return (this.#world.monotonicMs() - this.#startMs) * this.#rate
  }

  timer(delayMs: number, run: () => void): Timer {
    let wanted: (() => void) | undefined = run
    const fire = () => {
      if (this.#state === 'ended') return
      if (this.#state === 'paused') {
        this.#held.push(fire)
        return
      }
      const callback = wanted
      wanted = undefined
      callback?.()
    }
    const timer = this.#world.timer(Math.max(0, delayMs) / this.#rate + LATE_MS, fire)
    return {
      cancel: () => {
        wanted = undefined
        timer.cancel()
      },
    }
  }

  immediate(run: () => void): void {
    this.timer(0, run)
  }

  sleep(delayMs: number, signal: AbortSignal): Promise<void> {
    return sleepOn(this, delayMs, signal)
  }

  /** Makes the wall clock jump to where it is wrong by so much. */
  setWallError(ms: number): void {
    this.#skewMs = ms
  }

  /** As SIGSTOP does: time goes on, the process does not. */
  pause(): void {
    if (this.#state === 'running') this.#state = 'paused'
  }

  resume(): void {
    if (this.#state !== 'paused') return
    this.#state = 'running'
    const held = this.#held
    this.#held = []
    // Each an event of its own, in the order in which they came.
    for (const fire of held) this.#world.timer(0, fire)
  }

  /** The process is gone: nothing of it runs ever again. */
  end(): void {
    this.#state = 'ended'
    this.#held = []
  }
}
