/**
 * The one wait primitive: wait until a number that only grows reaches a threshold. Serves acks,
 * long-poll, tailing readers, replica fetch and metadata versions.
 */
import { assert } from './assert.ts'
import type { Seated } from './roster.ts'
import { Roster } from './roster.ts'
import { ServiceError } from './service-error.ts'

interface Waiter extends Seated {
  readonly threshold: number
  readonly wake: () => void
}

export class ThresholdWaiters {
  #value: number
  readonly #limit: number
  readonly #waiters = new Roster<Waiter>()

  /** `limit` bounds how many may wait at once. */
  constructor(value: number, limit: number) {
    this.#value = value
    this.#limit = limit
  }

  get value(): number {
    return this.#value
  }

  get waiting(): number {
    return this.#waiters.size
  }

  /** Moves the number forward and wakes, in order of arrival, those whose threshold is reached. */
  advance(value: number): void {
    assert(value >= this.#value, `a watermark fell from ${this.#value} to ${value}`)
    if (value === this.#value) return
    this.#value = value
    if (this.#waiters.size === 0) return
    for (const waiter of this.#waiters.filter(({ threshold }) => threshold <= value)) {
      if (this.#waiters.delete(waiter)) waiter.wake()
    }
  }

  /**
   * Calls `wake` once when the number has reached `threshold` (at once if it has), unless the
   * returned function was called before.
   * @throws ServiceError `too-many-requests` when the limit of waiters is reached
   */
  subscribe(threshold: number, wake: () => void): () => void {
    if (threshold <= this.#value) {
      wake()
      return () => undefined
    }
    if (this.#waiters.size >= this.#limit) {
      throw new ServiceError('too-many-requests', `${this.#limit} readers wait here already`, {
        retryAfterMs: 1000,
      })
    }
    const waiter = { threshold, wake, seat: -1 }
    this.#waiters.add(waiter)
    return () => this.#waiters.delete(waiter)
  }

  /** Resolves when the number has reached `threshold`; rejects with the signal's reason on abort. */
  reached(threshold: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason)
        return
      }
      if (threshold <= this.#value) {
        resolve()
        return
      }
      const cancel = this.subscribe(threshold, () => {
        signal.removeEventListener('abort', abort)
        resolve()
      })
      const abort = () => {
        cancel()
        reject(signal.reason)
      }
      signal.addEventListener('abort', abort, { once: true })
    })
  }
}
