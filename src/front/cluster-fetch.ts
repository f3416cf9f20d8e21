/**
 * A fetch over partitions on several nodes: asks all of them, and takes what the first has that has
 * something. Followers that are near are asked
 * before leaders that are far (KIP-392); that there is nothing is only ever a leader's word.
 */
import type { Clock } from '../env/clock.ts'
import type { StorageClient } from '../internal/storage-client.ts'
import { ServiceError } from '../lib/service-error.ts'
import type { MetadataView } from '../metadata/metadata-image.ts'
import type { FetchPosition, FetchRequest, FetchResult } from '../wire/internal.ts'
import { imageChange } from './image-change.ts'
import { StandingFetches } from './standing-fetches.ts'
import type { StorageNodes } from './storage-nodes.ts'

export interface ClusterFetchDeps {
  readonly clock: Clock
  readonly metadata: MetadataView
  readonly nodes: StorageNodes
  /** Told of the bytes of batches that came from a node. */
  readonly onFetched: (from: StorageClient, sizeBytes: number) => void
  /** Ends what waits beyond the requests that began it. */
  readonly stopping: AbortSignal
}

/** Beyond the time that a node may wait. */
const SLACK_MS = 5_000
const RETRY_MS = 100
/** A follower that stands still delays its readers by no more; then the leader is asked. */
const FOLLOWER_WAIT_MS = 1_000
/** A follower that had nothing for so long although the leader had is left alone for a while. */
const AVOID_MS = 10_000

/** Which positions each node is asked for. */
interface Plan {
  readonly groups: Map<StorageClient, FetchPosition[]>
  readonly leaderless: FetchPosition[]
  /** Those of the nodes that are asked as followers. */
  readonly followers: Set<StorageClient>
}

export class ClusterFetch {
  readonly #deps: ClusterFetchDeps
  readonly #patienceMs: number
  readonly #standing: StandingFetches<StorageClient>
  readonly #avoidUntilMs = new WeakMap<StorageClient, number>()

  constructor(deps: ClusterFetchDeps, options: { patienceMs: number }) {
    this.#deps = deps
    this.#patienceMs = options.patienceMs
    this.#standing = new StandingFetches({
      clock: deps.clock,
      signal: deps.stopping,
      fetch: (client, request, signal) => this.#call(client, request, request.positions, signal),
    })
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
      const patienceMs = results.length > 0 ? this.#patienceMs : 0
      if (clock.monotonicMs() >= Math.max(endMs, startMs + patienceMs)) return results
      if (results.length > 0) await imageChange(this.#deps, RETRY_MS, signal)
    }
  }

  async #round(request: FetchRequest, signal: AbortSignal): Promise<FetchResult[]> {
    const near = this.#plan(request.positions, true)
    if (near.followers.size === 0) return await this.#ask(near, request, signal)
    const { clock } = this.#deps
    const waitMs = Math.min(request.waitMs, FOLLOWER_WAIT_MS)
    const untilMs = clock.monotonicMs() + waitMs
    const found = await this.#ask(near, { ...request, waitMs, fromFollower: true }, signal)
    const answers = found.filter((result) => !isUnavailable(result))
    if (answers.length > 0) return answers
    const leaders = this.#plan(request.positions, false)
    const results = await this.#ask(leaders, { ...request, waitMs: 0 }, signal)
    // What has just been written cannot be at a follower yet; what it had a second for should be.
    const hadTime = waitMs === FOLLOWER_WAIT_MS && clock.monotonicMs() >= untilMs
    if (hadTime && results.some(({ ok }) => ok)) this.#avoid(near.followers)
    return results
  }

  async #ask(plan: Plan, request: FetchRequest, signal: AbortSignal): Promise<FetchResult[]> {
    const { groups, leaderless } = plan
    const [only] = groups
    if (groups.size <= 1 && leaderless.length === 0) {
      return only === undefined ? [] : await this.#call(only[0], request, only[1], signal)
    }
    if (leaderless.length === 0 && request.waitMs > 0) {
      return await this.#standing.first(groups, request, signal)
    }
    const atOnce = { ...request, waitMs: 0 }
    const calls = [...groups].map(([client, positions]) =>
      this.#call(client, atOnce, positions, signal),
    )
    const results = (await Promise.all(calls)).flat()
    return [...results, ...leaderless.map(noLeader)]
  }

  async #call(
    client: StorageClient,
    request: FetchRequest,
    positions: readonly FetchPosition[],
    signal: AbortSignal,
  ): Promise<FetchResult[]> {
    const deadlineMs = this.#deps.clock.monotonicMs() + request.waitMs + SLACK_MS
    try {
      const results = await client.fetch({ ...request, positions }, { deadlineMs, signal })
      this.#deps.onFetched(client, sizeOf(results))
      return results
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

  #plan(positions: readonly FetchPosition[], mayFollow: boolean): Plan {
    const plan: Plan = { groups: new Map(), leaderless: [], followers: new Set() }
    for (const position of positions) {
      const follower = mayFollow ? this.#follower(position) : undefined
      if (follower !== undefined) plan.followers.add(follower)
      const { topicId, partition } = position
      const client = follower ?? this.#deps.nodes.leaderOf(topicId, partition)?.client
      if (client === undefined) plan.leaderless.push(position)
      else {
        const group = plan.groups.get(client)
        if (group === undefined) plan.groups.set(client, [position])
        else group.push(position)
      }
    }
    return plan
  }

  #follower({ topicId, partition }: FetchPosition): StorageClient | undefined {
    const follower = this.#deps.nodes.nearFollowerOf(topicId, partition)
    if (follower === undefined) return undefined
    const avoidUntilMs = this.#avoidUntilMs.get(follower)
    if (avoidUntilMs === undefined) return follower
    return this.#deps.clock.monotonicMs() < avoidUntilMs ? undefined : follower
  }

  #avoid(followers: Iterable<StorageClient>): void {
    const untilMs = this.#deps.clock.monotonicMs() + AVOID_MS
    for (const follower of followers) this.#avoidUntilMs.set(follower, untilMs)
  }
}

function sizeOf(results: readonly FetchResult[]): number {
  let sizeBytes = 0
  for (const result of results) {
    if (!result.ok) continue
    for (const batch of result.batches) sizeBytes += batch.length
  }
  return sizeBytes
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
