/**
 * Virtual time: events run in order of (time, order of scheduling), with all microtasks drained in
 * between, so that a run depends on its seed only.
 */
import type { Clock, Timer } from '../../src/env/clock.ts'

interface Event {
  readonly atMs: number
  readonly order: number
  run: (() => void) | undefined
}

export interface SimClockOptions {
  readonly startMs?: number
  /**
   * `event`: an immediate is an event at the current time, run by the `run...` methods.
   * `microtask`: it runs by itself; for tests that await without driving the clock.
   */
  readonly immediates?: 'event' | 'microtask'
}

/** More events than this without an end in sight is a livelock. */
const EVENTS_MAX = 10_000_000

export class SimClock implements Clock {
  readonly #startMs: number
  readonly #immediates: 'event' | 'microtask'
  readonly #heap: Event[] = []
  #elapsedMs = 0
  #order = 0
  #wallOffsetMs = 0

  constructor(options: SimClockOptions = {}) {
    this.#startMs = options.startMs ?? Date.UTC(2026, 0, 1)
    this.#immediates = options.immediates ?? 'event'
  }

  nowMs(): number {
    return Math.floor(this.#startMs + this.#elapsedMs + this.#wallOffsetMs)
  }

  monotonicMs(): number {
    return this.#elapsedMs
  }

  timer(delayMs: number, run: () => void): Timer {
    const atMs = this.#elapsedMs + Math.max(0, delayMs)
    const event: Event = { atMs, order: this.#order++, run }
    this.#push(event)
    return {
      cancel: () => {
        event.run = undefined
      },
    }
  }

  immediate(run: () => void): void {
    if (this.#immediates === 'microtask') queueMicrotask(run)
    else this.timer(0, run)
  }

  sleep(delayMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason)
        return
      }
      const abort = () => {
        timer.cancel()
        reject(signal.reason)
      }
      const timer = this.timer(delayMs, () => {
        signal.removeEventListener('abort', abort)
        resolve()
      })
      signal.addEventListener('abort', abort, { once: true })
    })
  }

  /** Makes the wall clock jump; monotonic time and timers are not affected. */
  jumpWallClock(byMs: number): void {
    this.#wallOffsetMs += byMs
  }

  /** Runs all events up to `ms` from now; time stands there afterwards. */
  async runFor(ms: number): Promise<void> {
    const endMs = this.#elapsedMs + ms
    await this.#runWhile(() => {
      const next = this.#heap[0]
      return next !== undefined && next.atMs <= endMs
    })
    this.#elapsedMs = endMs
  }

  /** Runs until no event is left. */
  async runUntilIdle(): Promise<void> {
    await this.#runWhile(() => this.#heap.length > 0)
  }

  /** Runs until the promise settles and gives its outcome; fails when nothing is left that could settle it. */
  async run<T>(promise: Promise<T>): Promise<T> {
    let settled = false
    const mark = () => {
      settled = true
    }
    promise.then(mark, mark)
    await this.#runWhile(() => !settled && this.#heap.length > 0)
    if (!settled) throw new Error('deadlock: no event is left, and the promise is still pending')
    return promise
  }

  async #runWhile(wanted: () => boolean): Promise<void> {
    await drainMicrotasks()
    for (let events = 0; wanted(); ) {
      const event = this.#pop()
      if (event?.run === undefined) continue
      if (++events > EVENTS_MAX) throw new Error('livelock: the simulation does not come to an end')
      this.#elapsedMs = Math.max(this.#elapsedMs, event.atMs)
      event.run()
      await drainMicrotasks()
    }
  }

  #push(event: Event): void {
    const heap = this.#heap
    let at = heap.length
    heap.push(event)
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!isBefore(event, heap[parent]!)) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = event
  }

  #pop(): Event | undefined {
    const heap = this.#heap
    const top = heap[0]
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return top
    let at = 0
    for (;;) {
      let child = at * 2 + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++
      if (!isBefore(heap[child]!, last)) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = last
    return top
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)
}

/** A real turn of the event loop happens only after every microtask. */
function drainMicrotasks(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
