/**
 * What a storage node has seen of the metadata, for those who follow it through this node: everything
 * as it is now, and the latest changes. It goes on to serve while the store is away.
 */
import type { Clock } from '../env/clock.ts'
import { ThresholdWaiters } from '../lib/threshold-waiters.ts'
import type { FeedAnswer, FeedChange, FeedRequest } from '../wire/metadata-feed.ts'
import type { Change, Entry } from './metadata-store.ts'

/** Beyond these a follower that is behind gets everything. */
const CHANGES_MAX = 10_000
const FOLLOWERS_MAX = 1_000

export class MetadataFeed {
  readonly #clock: Clock
  readonly #entries = new Map<string, Entry>()
  readonly #revisions = new ThresholdWaiters(0, FOLLOWERS_MAX)
  /** Every change after `#before`, oldest first. */
  readonly #changes: FeedChange[] = []
  #before = 0

  constructor(deps: { clock: Clock }) {
    this.#clock = deps.clock
  }

  /** Takes in what the node's own follower applies, in the same order. */
  readonly apply = (change: Change): void => {
    const { revision, events } = change
    for (const { key, entry } of events) {
      if (entry === undefined) this.#entries.delete(key)
      else this.#entries.set(key, entry)
    }
    if (this.#revisions.value === 0) this.#before = revision
    else if (events.length > 0) this.#changes.push(change)
    while (this.#changes.length > CHANGES_MAX) {
      this.#before = this.#changes.shift()?.revision ?? this.#before
    }
    this.#revisions.advance(Math.max(revision, this.#revisions.value))
  }

  /** Waits for something newer than `after` until the time is up. */
  async ask({ after, waitMs }: FeedRequest, signal: AbortSignal): Promise<FeedAnswer> {
    await this.#newer(after, waitMs, signal)
    const revision = this.#revisions.value
    if (after === 0 || after < this.#before)
      return { revision, entries: [...this.#entries.values()] }
    const first = this.#changes.findLastIndex((change) => change.revision <= after) + 1
    return { revision, changes: this.#changes.slice(first) }
  }

  async #newer(after: number, waitMs: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    signal.throwIfAborted()
    const abort = () => reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    const timer = this.#clock.timer(waitMs, resolve)
    const cancel = this.#revisions.subscribe(after + 1, resolve)
    try {
      await promise
    } finally {
      cancel()
      timer.cancel()
      signal.removeEventListener('abort', abort)
    }
  }
}
