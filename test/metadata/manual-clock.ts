/** A clock that moves only when told to. */
import type { Clock, Timer } from '../../src/env/clock.ts'

export class ManualClock implements Clock {
  #nowMs = 1_700_000_000_000
  readonly #timers = new Set<{ atMs: number; run: () => void }>()

  nowMs = () => this.#nowMs
  monotonicMs = () => this.#nowMs

  get pending(): number {
    return this.#timers.size
  }

  timer(delayMs: number, run: () => void): Timer {
    const timer = { atMs: this.#nowMs + delayMs, run }
    this.#timers.add(timer)
    return { cancel: () => this.#timers.delete(timer) }
  }

  immediate(run: () => void): void {
    this.timer(0, run)
  }

  sleep(delayMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = this.timer(delayMs, resolve)
      signal.addEventListener('abort', () => {
        timer.cancel()
        reject(signal.reason)
      })
    })
  }

  /** Runs what is due, in order of time. */
  advance(durationMs: number): void {
    const endMs = this.#nowMs + durationMs
    for (;;) {
      const [next] = [...this.#timers].sort((a, b) => a.atMs - b.atMs)
      if (next === undefined || next.atMs > endMs) break
      this.#timers.delete(next)
      this.#nowMs = Math.max(this.#nowMs, next.atMs)
      next.run()
    }
    this.#nowMs = endMs
  }
}
