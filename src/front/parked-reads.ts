/** Reads that wait for the first record: those that want the same share one fetch and one answer. */
import type { TopicId } from '../core/ids.ts'
import type { Clock, Timer } from '../env/clock.ts'
import type { Seated } from '../lib/roster.ts'
import { Roster } from '../lib/roster.ts'
import { ServiceError } from '../lib/service-error.ts'

/** One round of waiting; its answer may be empty. */
type Attempt<Page> = (waitMs: number, signal: AbortSignal) => Promise<Page>

interface Emptiable {
  readonly records: number
}

interface Waiter<Page> extends Seated {
  readonly place: Place<Page>
  readonly serve: (page: Page) => void
  readonly timer: Timer
  readonly signal: AbortSignal
  readonly abort: () => void
  /** What it was promised; the first to be called counts. */
  readonly resolve: () => void
  readonly reject: (reason: unknown) => void
}

interface Place<Page> {
  readonly parking: Parking<Page>
  readonly waiters: Roster<Waiter<Page>>
  readonly stop: AbortController
}

/** What a read waits for. */
export interface Parking<Page> {
  /** Reads that want the same have the same key. */
  readonly key: string
  readonly topicId: TopicId
  /** Serves all who wait at the key; that of the first is used. */
  readonly attempt: Attempt<Page>
  /** What it is answered if nothing comes. */
  readonly empty: Page
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

  /** What those wait for who wait under this key, if anybody does. */
  parkingAt(key: string): Parking<Page> | undefined {
    return this.#places.get(key)?.parking
  }

  /**
   * Gives `serve` the first page that has records, the empty one if none comes in time, and resolves. All
   * who wait at a place are served in one go, without a turn of promises between them.
   * @throws ServiceError `too-many-requests`; rejects with the signal's reason on abort
   */
  wait(
    parking: Parking<Page>,
    waitMs: number,
    signal: AbortSignal,
    serve: (page: Page) => void,
  ): Promise<void> {
    if (this.#isDraining) {
      serve(parking.empty)
      return Promise.resolve()
    }
    if (this.#size >= this.#limit) {
      throw new ServiceError('too-many-requests', `${this.#limit} readers wait here already`)
    }
    signal.throwIfAborted()
    const place = this.#places.get(parking.key) ?? this.#open(parking)
    return new Promise((resolve, reject) => {
      const abort = () => this.#fail(waiter, signal.reason)
      const timer = this.#clock.timer(waitMs, () => this.#settle([waiter], parking.empty))
      const told = { serve, resolve, reject }
      const waiter: Waiter<Page> = { place, timer, signal, abort, ...told, seat: -1 }
      signal.addEventListener('abort', abort, { once: true })
      this.#size++
      place.waiters.add(waiter)
    })
  }

  /** Ends the waiting at topics that are gone, with `error`. */
  failTopics(isGone: (topicId: TopicId) => boolean, error: unknown): void {
    for (const place of [...this.#places.values()]) {
      if (isGone(place.parking.topicId)) this.#failAll(place, error)
    }
  }

  /** Ends all waiting, now and later. */
  drain(): void {
    this.#isDraining = true
    for (const place of [...this.#places.values()]) this.#settleAll(place, place.parking.empty)
  }

  #open(parking: Parking<Page>): Place<Page> {
    const place: Place<Page> = { parking, waiters: new Roster(), stop: new AbortController() }
    this.#places.set(parking.key, place)
    this.#serve(place).then(
      (page = parking.empty) => this.#settleAll(place, page),
      (error: unknown) => this.#failAll(place, error),
    )
    return place
  }

  async #serve({ parking, stop }: Place<Page>): Promise<Page | undefined> {
    while (!stop.signal.aborted) {
      const page = await parking.attempt(ROUND_MS, stop.signal)
      if (page.records > 0) return page
    }
    return undefined
  }

  #settleAll({ waiters }: Place<Page>, page: Page): void {
    this.#settle(waiters.filter(), page)
  }

  /** All have their answers before any of them tidies up; the last one closes the place. */
  #settle(waiters: readonly Waiter<Page>[], page: Page): void {
    for (const { serve, reject } of waiters) {
      try {
        serve(page)
      } catch (error) {
        reject(error)
      }
    }
    for (const waiter of waiters) {
      this.#leave(waiter)
      waiter.resolve()
    }
  }

  #failAll(place: Place<Page>, error: unknown): void {
    this.#close(place)
    for (const waiter of place.waiters.filter()) this.#fail(waiter, error)
  }

  #fail(waiter: Waiter<Page>, error: unknown): void {
    this.#leave(waiter)
    waiter.reject(error)
  }

  #leave(waiter: Waiter<Page>): void {
    const { place, timer, signal, abort } = waiter
    timer.cancel()
    signal.removeEventListener('abort', abort)
    this.#size--
    if (place.waiters.delete(waiter) && place.waiters.size === 0) this.#close(place)
  }

  #close(place: Place<Page>): void {
    const { key } = place.parking
    if (this.#places.get(key) === place) this.#places.delete(key)
    place.stop.abort(new ServiceError('draining', 'nobody waits here any more'))
  }
}
