/**
 * A fetch over partitions of several leaders: asks all at once what they have, and only if nobody has
 * anything waits at each of them for the first that gets something.
 */
import type { Clock } from '../env/clock.ts'
import type { StorageClient } from '../internal/storage-client.ts'
import { ServiceError } from '../lib/service-error.ts'
import type { MetadataView } from '../metadata/metadata-image.ts'
import type { FetchPosition, FetchRequest, FetchResult } from '../wire/internal.ts'
import { imageChange } from './image-change.ts'
import type { StorageNodes } from './storage-nodes.ts'

export interface ClusterFetchDeps {
  readonly clock: Clock
  readonly metadata: MetadataView
  readonly nodes: StorageNodes
}

/** Beyond the time that the leader may wait. */
const SLACK_MS = 5_000
const RETRY_MS = 100

export class ClusterFetch {
  readonly #deps: ClusterFetchDeps
  readonly #patienceMs: number

  constructor(deps: ClusterFetchDeps, options: { patienceMs: number }) {
    this.#deps = deps
    this.#patienceMs = options.patienceMs
  }

  async run(request: FetchRequest, signal: AbortSignal): Promise<FetchResult[]> {
    const { clock } = this.#deps
    const startMs = clock.monotonicMs()
    const endMs = startMs + request.waitMs
    for (;;) {
      const waitMs = Math.max(0, endMs - clock.monotonicMs())
      const results = await this.#round({ ...request, waitMs }, signal)
      const answers = results.filter((result) => !isUnavailable(result))
      if (answers.length > 0) return answers
      const isLate = clock.monotonicMs() >= Math.max(endMs, startMs + this.#patienceMs)
      if (results.length === 0 || isLate) return results
      await imageChange(this.#deps, RETRY_MS, signal)
    }
  }

  async #round(request: FetchRequest, signal: AbortSignal): Promise<FetchResult[]> {
    const { groups, leaderless } = this.#byLeader(request.positions)
    const [only] = groups
    if (groups.size <= 1 && leaderless.length === 0) {
      return only === undefined ? [] : await this.#call(only[0], request, only[1], signal)
    }
    const atOnce = { ...request, waitMs: 0 }
    const calls = [...groups].map(([client, positions]) =>
      this.#call(client, atOnce, positions, signal),
    )
    const results = (await Promise.all(calls)).flat()
    const isIdle = results.length === 0 && leaderless.length === 0
    if (!isIdle || request.waitMs === 0) return [...results, ...leaderless.map(noLeader)]
    return await this.#park(groups, request, signal)
  }

  /** The first that has something ends the wait at the others; nothing is lost by that. */
  async #park(
    groups: ReadonlyMap<StorageClient, FetchPosition[]>,
    request: FetchRequest,
    signal: AbortSignal,
  ): Promise<FetchResult[]> {
    const enough = new AbortController()
    const either = AbortSignal.any([signal, enough.signal])
    const found: FetchResult[] = []
    const calls = [...groups].map(async ([client, positions]) => {
      try {
        found.push(...(await this.#call(client, request, positions, either)))
      } catch (error) {
        if (!enough.signal.aborted) throw error
      }
      if (found.length > 0) enough.abort()
    })
    await Promise.all(calls)
    return found
  }

  async #call(
    client: StorageClient,
    request: FetchRequest,
    positions: readonly FetchPosition[],
    signal: AbortSignal,
  ): Promise<FetchResult[]> {
    const deadlineMs = this.#deps.clock.monotonicMs() + request.waitMs + SLACK_MS
    try {
      return await client.fetch({ ...request, positions }, { deadlineMs, signal })
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof ServiceError)) throw error
      const { code, message, committed } = error
      return positions.map(({ topicId, partition }) => ({
        ok: false,
        code: code === 'draining' ? 'partition-unavailable' : code,
        detail: message,
        committed,
        topicId,
        partition,
      }))
    }
  }

  #byLeader(positions: readonly FetchPosition[]): {
    groups: Map<StorageClient, FetchPosition[]>
    leaderless: FetchPosition[]
  } {
    const groups = new Map<StorageClient, FetchPosition[]>()
    const leaderless: FetchPosition[] = []
    for (const position of positions) {
      const leader = this.#deps.nodes.leaderOf(position.topicId, position.partition)
      if (leader === undefined) leaderless.push(position)
      else {
        const group = groups.get(leader.client)
        if (group === undefined) groups.set(leader.client, [position])
        else group.push(position)
      }
    }
    return { groups, leaderless }
  }
}

function isUnavailable(result: FetchResult): boolean {
  return !result.ok && (result.code === 'partition-unavailable' || result.code === 'draining')
}

function noLeader({ topicId, partition }: FetchPosition): FetchResult {
  return {
    ok: false,
    code: 'partition-unavailable',
    detail: `partition ${partition} has no leader at the moment`,
    committed: 'no',
    topicId,
    partition,
  }
}
