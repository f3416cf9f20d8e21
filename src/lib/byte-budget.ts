/** A bound on bytes held at once: admission is immediate or refused, never queued. */
import { assert } from './assert.ts'

export class ByteBudget {
  readonly limit: number
  #used = 0

  constructor(limit: number) {
    this.limit = limit
  }

  get used(): number {
    return this.#used
  }

  /** Takes `bytes` if they fit. An empty budget admits anything, so that no request is unservable. */
  tryAcquire(bytes: number): boolean {
    if (this.#used > 0 && this.#used + bytes > this.limit) return false
    this.#used += bytes
    return true
  }

  release(bytes: number): void {
    this.#used -= bytes
    assert(this.#used >= 0, 'more bytes were released than acquired')
  }
}
