/**
 * Fetches that wait at several leaders at once. When one of them has something, the others go on
 * waiting for a while: whoever asks next for the same places takes them over, so that a topic that
 * is followed costs one call for each piece of news and not one for each leader.
 */
import type { Clock, Timer } from '../env/clock.ts'
import type { FetchPosition, FetchRequest, FetchResult } from '../wire/internal.ts'

export interface StandingFetchesDeps<Node extends object> {
  readonly clock: Clock
  /** Ends all of them. */
  readonly signal: AbortSignal
  /** Waits at one node; refusals are results. */
  readonly fetch: (node: Node, request: FetchRequest, signal: AbortSignal) => Promise<FetchResult[]>
}

interface Standing {
  readonly key: string
  readonly ended: AbortController
  /** Undefined while it waits, then never none. */
  results: FetchResult[] | undefined
  /** Why it ended otherwise, in a way that is no answer. */
  failure: Error | undefined
  /** Who waits for it now; without any it is given up after a while. */
  readonly wakes: Set<() => void>
  expiry: Timer | undefined
}

/** How long a wait outlives the request that began it. */
const UNCLAIMED_MS = 1_000

export class StandingFetches<Node extends object> {
  readonly #deps: StandingFetchesDeps<Node>
  readonly #standing = new WeakMap<Node, Map<string, Standing>>()

  constructor(deps: StandingFetchesDeps<Node>) {
    this.#deps = deps
  }

  /** What the first of the nodes has that has something; nothing when the time is up. */
  async first(
    groups: ReadonlyMap<Node, readonly FetchPosition[]>,
    request: FetchRequest,
    signal: AbortSignal,
  ): Promise<FetchResult[]> {
    signal.throwIfAborted()
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const waiting = [...groups].map(([node, positions]) =>
      this.#join(node, { ...request, positions }),
    )
    const look = () => {
      for (const { results, failure } of waiting) {
        if (failure !== undefined) reject(failure)
        else if (results !== undefined) resolve()
      }
    }
    const abort = () => reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    const timer = this.#deps.clock.timer(request.waitMs, resolve)
    try {
      for (const { wakes } of waiting) wakes.add(look)
      look()
      await promise
      return waiting.flatMap(({ results = [] }) => results)
    } finally {
      timer.cancel()
      signal.removeEventListener('abort', abort)
      for (const [i, node] of [...groups.keys()].entries()) {
        this.#leave(node, waiting[i] as Standing, look)
      }
    }
  }

  #join(node: Node, request: FetchRequest): Standing {
    let ofNode = this.#standing.get(node)
    if (ofNode === undefined) {
      ofNode = new Map()
      this.#standing.set(node, ofNode)
    }
    const key = keyOf(request)
    const known = ofNode.get(key)
    if (known !== undefined) {
      known.expiry?.cancel()
      known.expiry = undefined
      return known
    }
    const standing: Standing = {
      key,
      ended: new AbortController(),
      results: undefined,
      failure: undefined,
      wakes: new Set(),
      expiry: undefined,
    }
    ofNode.set(key, standing)
    void this.#run(node, standing, request)
    return standing
  }

  async #run(node: Node, standing: Standing, request: FetchRequest): Promise<void> {
    const signal = AbortSignal.any([standing.ended.signal, this.#deps.signal])
    try {
      // The node's time is up before that of whoever took the wait over.
      for (let results: FetchResult[] = []; results.length === 0; ) {
        results = await this.#deps.fetch(node, request, signal)
        if (results.length > 0) standing.results = results
        else if (standing.wakes.size === 0) {
          this.#forget(node, standing)
          return
        }
      }
    } catch (error) {
      standing.failure = error as Error
    }
    for (const wake of standing.wakes) wake()
  }

  #leave(node: Node, standing: Standing, look: () => void): void {
    standing.wakes.delete(look)
    if (standing.wakes.size > 0) return
    // What it brought was taken.
    const isOver = standing.results !== undefined || standing.failure !== undefined
    if (isOver) this.#forget(node, standing)
    else {
      const forget = () => this.#forget(node, standing)
      standing.expiry = this.#deps.clock.timer(UNCLAIMED_MS, forget)
    }
  }

  #forget(node: Node, standing: Standing): void {
    standing.expiry?.cancel()
    standing.ended.abort()
    const ofNode = this.#standing.get(node)
    if (ofNode?.get(standing.key) === standing) ofNode.delete(standing.key)
  }
}

function keyOf({ positions, maxBytes, isolation, fromFollower = false }: FetchRequest): string {
  const places = positions.map(
    ({ topicId, partition, offset, lastEpoch }) => `${topicId}/${partition}/${offset}/${lastEpoch}`,
  )
  return `${isolation} ${maxBytes} ${fromFollower} ${places.join(' ')}`
}
