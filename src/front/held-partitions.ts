/** Partitions of a stream that cannot be read just now, and when each is tried again. */
import type { Clock } from '../env/clock.ts'

const RETRY_MS = 1000

interface Held {
  retryAtMs: number
  readonly isUnresolved: boolean
}

export class HeldPartitions {
  readonly #clock: Clock
  readonly #held = new Map<number, Held>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get size(): number {
    return this.#held.size
  }

  /** Returns whether the partition was fine before. `isUnresolved`: its position is not known yet. */
  hold(partition: number, isUnresolved: boolean): boolean {
    const retryAtMs = this.#clock.monotonicMs() + RETRY_MS
    const held = this.#held.get(partition)
    if (held === undefined) this.#held.set(partition, { retryAtMs, isUnresolved })
    else held.retryAtMs = retryAtMs
    return held === undefined
  }

  release(partition: number): void {
    this.#held.delete(partition)
  }

  /** Whether the partition is to be left alone for now. */
  isWaiting(partition: number): boolean {
    const held = this.#held.get(partition)
    return held !== undefined && held.retryAtMs > this.#clock.monotonicMs()
  }

  isUnresolved(partition: number): boolean {
    return this.#held.get(partition)?.isUnresolved ?? false
  }

  /** Milliseconds until one is to be tried again; 0 if none is held. */
  waitMs(): number {
    let nextMs = Number.POSITIVE_INFINITY
    for (const { retryAtMs } of this.#held.values()) nextMs = Math.min(nextMs, retryAtMs)
    return nextMs === Number.POSITIVE_INFINITY
      ? 0
      : Math.max(1, Math.ceil(nextMs - this.#clock.monotonicMs()))
  }
}
