/** Reads that wait for the first record: those that want the same share one fetch and one answer. */
import type { Clock } from '../env/clock.ts'
import { ServiceError } from '../lib/service-error.ts'

/** One round of waiting; its answer may be empty. */
type Attempt<Page> = (waitMs: number, signal: AbortSignal) => Promise<Page>

interface Emptiable {
  readonly records: number
}

interface Waiter<Page> {
  settle(page: Page | undefined): void
  fail(error: unknown): void
}

interface Place<Page> {
  readonly waiters: Set<Waiter<Page>>
  readonly stop: AbortController
}

/** How long one fetch waits; then another follows as long as there are waiters. */
const ROUND_MS = 30_000

export class ParkedReads<Page extends Emptiable> {
  readonly #clock: Clock
  readonly #limit: number
  readonly #places = new Map<string, Place<Page>>()
  #size = 0
  #isDraining: boolean = false

  /** `limit` bounds how many may wait at once. */
  constructor(clock: Clock, limit: number) {
    this.#clock = clock
    this.#limit = limit
  }

  get size(): number {
    return this.#size
  }

  /**
   * Resolves with the first page that has records, undefined if none comes in time. The first to
   * wait at `key` brings the attempt that serves all of them.
   * @throws ServiceError `too-many-requests`; rejects with the signal's reason on abort
   */
  wait(
    key: string,
    waitMs: number,
    signal: AbortSignal,
    attempt: Attempt<Page>,
  ): Promise<Page | undefined> {
    if (this.#isDraining) return Promise.resolve(undefined)
    if (this.#size >= this.#limit) {
      throw new ServiceError('too-many-requests', `${this.#limit} readers wait here already`)
    }
    signal.throwIfAborted()
    const place = this.#places.get(key) ?? this.#open(key, attempt)
    return new Promise((resolve, reject) => {
      const leave = () => {
        timer.cancel()
        signal.removeEventListener('abort', abort)
        this.#size--
        if (place.waiters.delete(waiter) && place.waiters.size === 0) this.#close(key, place)
      }
      const waiter: Waiter<Page> = {
        settle: (page) => {
          leave()
          resolve(page)
        },
        fail: (error) => {
          leave()
          reject(error)
        },
      }
      const abort = () => waiter.fail(signal.reason)
      const timer = this.#clock.timer(waitMs, () => waiter.settle(undefined))
      signal.addEventListener('abort', abort, { once: true })
      this.#size++
      place.waiters.add(waiter)
    })
  }

  /** Ends all waiting, now and later. */
  drain(): void {
    this.#isDraining = true
    for (const { waiters } of [...this.#places.values()]) {
      for (const waiter of [...waiters]) waiter.settle(undefined)
    }
  }

  #open(key: string, attempt: Attempt<Page>): Place<Page> {
    const place: Place<Page> = { waiters: new Set(), stop: new AbortController() }
    this.#places.set(key, place)
    this.#serve(place, attempt).then(
      (page) => {
        this.#close(key, place)
        for (const waiter of [...place.waiters]) waiter.settle(page)
      },
      (error: unknown) => {
        this.#close(key, place)
        for (const waiter of [...place.waiters]) waiter.fail(error)
      },
    )
    return place
  }

  async #serve(place: Place<Page>, attempt: Attempt<Page>): Promise<Page | undefined> {
    const { signal } = place.stop
    while (!signal.aborted) {
      const page = await attempt(ROUND_MS, signal)
      if (page.records > 0) return page
    }
    return undefined
  }

  #close(key: string, place: Place<Page>): void {
    if (this.#places.get(key) === place) this.#places.delete(key)
    place.stop.abort(new ServiceError('draining', 'nobody waits here any more'))
  }
}
