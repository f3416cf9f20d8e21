/** Reads of members that wait: for records, for other partitions, or until the node shuts down. */
import { ServiceError } from '../../lib/service-error.ts'
import type { AwaitChange, GroupService, MemberView } from '../../wire/groups.ts'
import type { FetchPosition, FetchResult, StorageService } from '../../wire/internal.ts'

export interface GroupWaitsDeps {
  readonly service: Pick<GroupService, 'awaitChange'>
  readonly storage: Pick<StorageService, 'fetch'>
}

export interface Wait {
  readonly fetch: { readonly positions: readonly FetchPosition[]; readonly maxBytes: number }
  readonly change: Omit<AwaitChange, 'waitMs'>
  readonly waitMs: number
}

/** What came first; neither when the time was up. */
export interface News {
  readonly results?: readonly FetchResult[]
  readonly view?: MemberView
}

export class GroupWaits {
  readonly #deps: GroupWaitsDeps
  readonly #limit: number
  readonly #draining = new AbortController()
  #size = 0

  /** `limit` bounds how many may wait at once. */
  constructor(deps: GroupWaitsDeps, limit: number) {
    this.#deps = deps
    this.#limit = limit
  }

  get size(): number {
    return this.#size
  }

  get isDraining(): boolean {
    return this.#draining.signal.aborted
  }

  /** @throws ServiceError `too-many-requests`; rejects with the signal's reason on abort */
  async first({ fetch, change, waitMs }: Wait, signal: AbortSignal): Promise<News> {
    if (this.#size >= this.#limit) {
      throw new ServiceError('too-many-requests', `${this.#limit} members wait here already`)
    }
    const stop = new AbortController()
    const until = AbortSignal.any([signal, stop.signal, this.#draining.signal])
    const contenders: Promise<News>[] = [this.#change({ ...change, waitMs }, until)]
    // A fetch from nowhere would not wait.
    if (fetch.positions.length > 0) contenders.push(this.#records(fetch, waitMs, until))
    for (const contender of contenders) contender.catch(() => undefined)
    this.#size++
    try {
      return await Promise.race(contenders)
    } catch (error) {
      if (this.isDraining) return {}
      throw error
    } finally {
      this.#size--
      stop.abort(new ServiceError('draining', 'nobody waits here any more'))
    }
  }

  /** Ends all waiting, now and later. */
  drain(): void {
    this.#draining.abort(new ServiceError('draining', 'the node is shutting down'))
  }

  async #records(fetch: Wait['fetch'], waitMs: number, signal: AbortSignal): Promise<News> {
    const request = { ...fetch, waitMs, isolation: 'committed' as const }
    const results = await this.#deps.storage.fetch(request, signal)
    return results.length === 0 ? {} : { results }
  }

  async #change(change: AwaitChange, signal: AbortSignal): Promise<News> {
    const view = await this.#deps.service.awaitChange(change, signal)
    return view.version === change.version ? {} : { view }
  }
}
