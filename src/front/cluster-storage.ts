/**
 * The storage of a cluster as a front uses it: finds the leader of each partition and calls it.
 * A call is made again only after a definite no, and within the time of its caller, so that clients
 * see nothing of a change of leaders but that it takes a moment.
 */
import type { TopicId } from '../core/ids.ts'
import type { Clock } from '../env/clock.ts'
import type { Metrics } from '../env/metrics.ts'
import type { InternalClient } from '../internal/internal-client.ts'
import type { StorageClient, WaitOptions } from '../internal/storage-client.ts'
import { ServiceError } from '../lib/service-error.ts'
import type { MetadataView } from '../metadata/metadata-image.ts'
import type {
  Appended,
  AppendRequest,
  FetchRequest,
  FetchResult,
  OffsetQuery,
  PartitionOffsets,
  PartitionPlace,
  Refusal,
  ReplicaLog,
  StorageService,
} from '../wire/internal.ts'
import { AppendLink } from './append-link.ts'
import { ClusterFetch } from './cluster-fetch.ts'
import { imageChange } from './image-change.ts'
import { OffsetsLookup } from './offsets-lookup.ts'
import { StorageNodes } from './storage-nodes.ts'

export interface ClusterStorageDeps {
  readonly clock: Clock
  readonly metrics: Metrics
  readonly metadata: MetadataView
  readonly client: InternalClient
}

export interface ClusterStorageOptions {
  /** How long an append may take with all attempts; less than its producer waits. */
  readonly appendMs: number
  /** How long other calls look for a leader. */
  readonly patienceMs: number
  /** Where this front is: in-sync followers there are read from. Empty: leaders only. */
  readonly rack: string
}

const DEFAULTS: ClusterStorageOptions = { appendMs: 25_000, patienceMs: 5_000, rack: '' }
const CALL_MS = 10_000
/** What is only to be shown is not waited for as long. */
const DESCRIBE_MS = 3_000
/** The longest pause before a leader is asked again that was not ready. */
const RETRY_MS = 100

export class ClusterStorage implements StorageService {
  readonly #deps: ClusterStorageDeps
  readonly #options: ClusterStorageOptions
  readonly #nodes: StorageNodes
  readonly #fetch: ClusterFetch
  readonly #links = new WeakMap<StorageClient, AppendLink>()
  readonly #stop = new AbortController()
  readonly #lookup = new OffsetsLookup(() => ({
    deadlineMs: this.#deps.clock.monotonicMs() + DESCRIBE_MS,
    signal: this.#stop.signal,
  }))

  constructor(deps: ClusterStorageDeps, options: Partial<ClusterStorageOptions> = {}) {
    this.#deps = deps
    this.#options = { ...DEFAULTS, ...options }
    const { patienceMs, rack } = this.#options
    this.#nodes = new StorageNodes(deps, rack)
    const onFetched = fetchedBytes(deps.metrics, this.#nodes)
    const stopping = this.#stop.signal
    const nodes = this.#nodes
    this.#fetch = new ClusterFetch({ ...deps, nodes, onFetched, stopping }, { patienceMs })
  }

  /** Whom it calls. */
  get nodes(): StorageNodes {
    return this.#nodes
  }

  append(requests: readonly AppendRequest[], signal: AbortSignal): Promise<Appended | Refusal>[] {
    const deadlineMs = this.#deps.clock.monotonicMs() + this.#options.appendMs
    return requests.map((request) => this.#append(request, deadlineMs, signal))
  }

  fetch(request: FetchRequest, signal: AbortSignal): Promise<FetchResult[]> {
    return this.#fetch.run(request, signal)
  }

  resolveOffset(
    topicId: TopicId,
    partition: number,
    at: OffsetQuery,
  ): Promise<{ offset: number; lastEpoch: number }> {
    return this.#ask(topicId, partition, (client, options) =>
      client.resolveOffset(topicId, partition, at, options),
    )
  }

  offsets(topicId: TopicId, partition: number): Promise<PartitionOffsets> {
    return this.#ask(topicId, partition, (client, options) =>
      client.offsets(topicId, partition, options),
    )
  }

  /** One call for each leader, which many share. */
  async offsetsOf(places: readonly PartitionPlace[]): Promise<(PartitionOffsets | undefined)[]> {
    const found: (PartitionOffsets | undefined)[] = places.map(() => undefined)
    const groups = new Map<StorageClient, number[]>()
    for (const [i, { topicId, partition }] of places.entries()) {
      const client = this.#nodes.leaderOf(topicId, partition)?.client
      if (client === undefined) continue
      const group = groups.get(client)
      if (group === undefined) groups.set(client, [i])
      else group.push(i)
    }
    await Promise.all(
      [...groups].map(async ([client, group]) => {
        const asked = group.map((i) => places[i] as PartitionPlace)
        const told = await this.#lookup.ask(client, asked)
        for (const [at, i] of group.entries()) found[i] = told[at]
      }),
    )
    return found
  }

  offsetsNow(): undefined {
    return undefined
  }

  deleteRecords(
    topicId: TopicId,
    partition: number,
    before: number,
  ): Promise<{ logStartOffset: number }> {
    return this.#ask(topicId, partition, (client, options) =>
      client.deleteRecords(topicId, partition, before, options),
    )
  }

  /** What the node holds of each place; undefined for what it does not, or if it does not say. */
  async replicaLogs(
    nodeId: number,
    places: readonly PartitionPlace[],
  ): Promise<(ReplicaLog | undefined)[]> {
    const client = this.#nodes.nodeOf(nodeId)
    const deadlineMs = this.#deps.clock.monotonicMs() + DESCRIBE_MS
    const options = { deadlineMs, signal: this.#stop.signal }
    return (await client?.replicaLogs(places, options).catch(() => undefined)) ?? []
  }

  /** Asks the leader to make the preferred one the leader; false if it cannot, or cannot be asked. */
  async handBack(topicId: TopicId, partition: number): Promise<boolean> {
    const client = this.#nodes.leaderOf(topicId, partition)?.client
    const deadlineMs = this.#deps.clock.monotonicMs() + DESCRIBE_MS
    const options = { deadlineMs, signal: this.#stop.signal }
    return (await client?.handBack(topicId, partition, options).catch(() => false)) === true
  }

  /** Ends every call that is under way. */
  close(): void {
    this.#stop.abort(new ServiceError('draining', 'the front is shutting down'))
    this.#nodes.close()
  }

  async #append(
    request: AppendRequest,
    deadlineMs: number,
    signal: AbortSignal,
  ): Promise<Appended | Refusal> {
    for (;;) {
      const result = await this.#tryAppend(request, deadlineMs)
      if (result.ok || !mayTryAgain(result)) return result
      const leftMs = deadlineMs - this.#deps.clock.monotonicMs()
      if (leftMs <= 0 || !(await this.#pause(leftMs, signal))) return result
    }
  }

  #tryAppend(request: AppendRequest, deadlineMs: number): Promise<Appended | Refusal> {
    const { topicId, partition } = request
    const leader = this.#nodes.leaderOf(topicId, partition)
    if (leader === undefined) return Promise.resolve(noLeader(partition))
    const { client, leaderEpoch } = leader
    return new Promise((settle) => {
      const append = { request: { ...request, leaderEpoch }, deadlineMs, settle }
      this.#link(client).send(append)
    })
  }

  #link(client: StorageClient): AppendLink {
    let link = this.#links.get(client)
    if (link === undefined) {
      const { clock } = this.#deps
      link = new AppendLink({
        clock,
        signal: this.#stop.signal,
        append: (requests, options) => client.append(requests, options),
      })
      this.#links.set(client, link)
    }
    return link
  }

  /** Asks the leader, the next one if that is not ready, as long as patience lasts. */
  async #ask<T>(
    topicId: TopicId,
    partition: number,
    call: (client: StorageClient, options: WaitOptions) => Promise<T>,
  ): Promise<T> {
    const { clock } = this.#deps
    const { signal } = this.#stop
    const endMs = clock.monotonicMs() + this.#options.patienceMs
    for (;;) {
      const leader = this.#nodes.leaderOf(topicId, partition)
      let failure: unknown = new ServiceError('partition-unavailable', noLeader(partition).detail)
      if (leader !== undefined) {
        try {
          return await call(leader.client, { deadlineMs: clock.monotonicMs() + CALL_MS, signal })
        } catch (error) {
          if (!isUnavailable(error)) throw error
          failure = error
        }
      }
      const leftMs = endMs - clock.monotonicMs()
      if (leftMs <= 0 || !(await this.#pause(leftMs, signal))) throw failure
    }
  }

  /** Until there may be another leader; false if nobody waits any more. */
  async #pause(maxMs: number, signal: AbortSignal): Promise<boolean> {
    try {
      await imageChange(
        this.#deps,
        Math.min(maxMs, RETRY_MS),
        AbortSignal.any([signal, this.#stop.signal]),
      )
      return true
    } catch {
      return false
    }
  }
}

/** Counts what records of other racks cost. */
function fetchedBytes(metrics: Metrics, nodes: StorageNodes) {
  const counter = (rack: string) =>
    metrics.counter(
      'curlew_front_fetched_bytes_total',
      'Bytes of record batches that this front took from storage nodes, of its own rack or another.',
      { rack },
    )
  const [own, other] = [counter('own'), counter('other')]
  return (from: StorageClient, sizeBytes: number): void => {
    if (sizeBytes > 0) (nodes.isNear(from) ? own : other).increment(sizeBytes)
  }
}

function noLeader(partition: number): Refusal {
  return {
    ok: false,
    code: 'partition-unavailable',
    detail: `partition ${partition} has no leader at the moment`,
    committed: 'no',
  }
}

function isUnavailable(error: unknown): boolean {
  return error instanceof ServiceError && mayTryAgain(error)
}

/** Nothing was done, and another node may do it. */
function mayTryAgain({ code, committed }: Pick<Refusal, 'code' | 'committed'>): boolean {
  return committed === 'no' && (code === 'partition-unavailable' || code === 'draining')
}
