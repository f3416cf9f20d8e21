/**
 * Virtual time: events run in order of (time, order of scheduling), with all microtasks drained in
 * between, so that a run depends on its seed only.
 */

import process from 'node:process'
import type { Clock, Timer } from '../../src/env/clock.ts'
import { sleepOn } from '../../src/env/sleep.ts'

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
  /** Called around each stretch of events: what it sets up is there for them only. */
  readonly around?: (run: () => void) => void
}

/** Taken before anything can replace it. */
const realImmediate = setImmediate
const EVENTS_PER_TURN = 10_000
/** So many events in less than a millisecond are a livelock. */
const LIVELOCK_EVENTS = 50_000

export class SimClock implements Clock {
  readonly #startMs: number
  readonly #immediates: 'event' | 'microtask'
  readonly #around: (run: () => void) => void
  readonly #heap: Event[] = []
  #elapsedMs = 0
  #order = 0
  #wallOffsetMs = 0

  constructor(options: SimClockOptions = {}) {
    this.#startMs = options.startMs ?? Date.UTC(2026, 0, 1)
    this.#immediates = options.immediates ?? 'event'
    this.#around = options.around ?? ((run) => run())
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
    return sleepOn(this, delayMs, signal)
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

  /** Events and the microtasks behind each run inside of real turns of the event loop, many in one. */
  #runWhile(wanted: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      let events = 0
      let sinceMs = this.#elapsedMs
      const turn = () => {
        try {
          this.#around(() => {
            for (let i = 0; i < EVENTS_PER_TURN && wanted(); i++) events += this.#step()
          })
          if (events > LIVELOCK_EVENTS) {
            if (this.#elapsedMs - sinceMs < 1) throw new Error('livelock: time stands still')
            sinceMs = this.#elapsedMs
            events = 0
          }
          if (wanted()) realImmediate(turn)
          else resolve()
        } catch (error) {
          reject(error)
        }
      }
      realImmediate(turn)
    })
  }

  #step(): 0 | 1 {
    const event = this.#pop()
    const run = event?.run
    if (event === undefined || run === undefined) return 0
    this.#elapsedMs = Math.max(this.#elapsedMs, event.atMs)
    // Whoever cancels it from now on is too late, and need not be remembered.
    event.run = undefined
    run()
    drainMicrotasks()
    return 1
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

/**
 * What Node itself calls between two immediates: empties the queues of ticks and of microtasks, in
 * the midst of a turn. A turn of the event loop per event does the same at eight times the cost.
 */
const drainMicrotasks = (process as unknown as { _tickCallback: () => void })._tickCallback
