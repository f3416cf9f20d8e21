/**
 * The storage of a node as fronts and other nodes use it: opens it, lets the node take part while it
 * is registered, and answers for the partitions that it hosts.
 */
import type { TopicId } from '../core/ids.ts'
import type { Counter } from '../env/metrics.ts'
import { nullMetrics } from '../env/metrics.ts'
import { assert } from '../lib/assert.ts'
import { ServiceError } from '../lib/service-error.ts'
import { unlessAborted } from '../lib/unless-aborted.ts'
import type { MetadataImage, MetadataView } from '../metadata/metadata-image.ts'
import type { MetadataStore } from '../metadata/metadata-store.ts'
import { LogManager } from '../storage/log-manager.ts'
import { LOST_CREATION } from '../storage/log-recovery.ts'
import type { PartitionLog } from '../storage/partition-log.ts'
import type { StorageOptions } from '../storage/storage-options.ts'
import { STORAGE_DEFAULTS } from '../storage/storage-options.ts'
import type { StorageDeps } from '../storage/storage-parts.ts'
import type {
  Acks,
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
import type { ReplicaFetchReply, ReplicaFetchRequest } from '../wire/replica-fetch.ts'
import { AppendCall, refuse } from './append-call.ts'
import { AppendMeter } from './append-meter.ts'
import type { ClusterPartOptions } from './cluster-part.ts'
import { ClusterPart } from './cluster-part.ts'
import { DamagedLogs } from './damaged-logs.ts'
import { ELECTIONS } from './election-metric.ts'
import { Hosting } from './hosting.ts'
import type { AppendResult } from './pending-acks.ts'
import type { PreferredLeaderOptions } from './preferred-leaders.ts'
import type { Replica } from './replica.ts'
import { ReplicaFetch, throwRefusal } from './replica-fetch.ts'
import type { LeaderPeer } from './replica-fetcher.ts'
import { TimeLookup } from './time-lookup.ts'

/** What a node needs to be one of several. */
export interface ClusterDeps {
  readonly store: MetadataStore
  /** Another node as the metadata know it now; undefined while it is not up. */
  readonly peer: (nodeId: number) => LeaderPeer | undefined
  /** Whether the registration of this node can still be relied on. */
  readonly isFresh: () => boolean
  /** Ends the registration of this node, so that it registers anew. */
  readonly reregister: () => void
}

export interface ReplicaManagerDeps extends StorageDeps {
  readonly metadata: MetadataView
  /** Absent for the only node of its cluster, which takes part from the start. */
  readonly cluster?: ClusterDeps
  /** A write or a sync failed in a way after which nothing can be promised: the process must end. */
  readonly onFatal: (error: unknown) => void
}

export type ReplicaManagerOptions = Partial<StorageOptions> &
  Pick<StorageOptions, 'dataDirectory' | 'nodeId'> & {
    /** How long a follower may be behind before it counts as out of sync; 10 s. */
    readonly replicaLagMaxMs?: number
    readonly preferredLeaders?: Partial<PreferredLeaderOptions>
  }

type MembershipOptions = Omit<ClusterPartOptions, 'incarnation'>

const REPLICA_LAG_MAX_MS = 10_000
/** How long a new leader may take to learn what is committed before it says where the log ends. */
const SETTLE_MS = 5_000
/** How long those who may lead next may take to remove what the leader has removed. */
const REMOVAL_MS = 5_000

export class ReplicaManager implements StorageService {
  readonly #deps: ReplicaManagerDeps
  readonly #options: MembershipOptions
  readonly #storage: LogManager
  readonly #hosting: Hosting
  readonly #fetch: ReplicaFetch
  readonly #meter: AppendMeter
  readonly #movedBack: Counter
  readonly #closing = new AbortController()
  readonly #whenSettled = Promise.withResolvers<void>()
  readonly #damaged: DamagedLogs | undefined
  #part: ClusterPart | undefined
  /** Appends that are not answered. */
  #underWay = 0
  #isHandingOver: boolean = false
  #unsubscribe: () => void = () => undefined

  private constructor(deps: ReplicaManagerDeps, storage: LogManager, options: MembershipOptions) {
    this.#deps = deps
    this.#options = options
    this.#storage = storage
    const { metrics = nullMetrics } = deps
    this.#meter = new AppendMeter(metrics)
    const [elections, help] = ELECTIONS
    this.#movedBack = metrics.counter(elections, help, { kind: 'preferred' })
    const { cluster } = deps
    const begunAnew = metrics.counter(
      'curlew_damaged_logs_total',
      'Logs that were found damaged, put aside, and copied afresh.',
    )
    this.#damaged = cluster && new DamagedLogs({ ...deps, ...cluster, storage, begunAnew }, options)
    this.#hosting = new Hosting(
      {
        ...deps,
        storage,
        replica: {
          lagMaxMs: options.lagMaxMs,
          peers: {
            incarnationOf: (nodeId) => deps.metadata.image.nodes.get(nodeId)?.incarnation,
            isFull: (nodeId) => deps.metadata.image.nodes.get(nodeId)?.diskFull === true,
            seenMs: (nodeId) => this.#part?.seenMs(nodeId) ?? Number.NEGATIVE_INFINITY,
          },
          isFresh: () => cluster?.isFresh() ?? true,
          onOutsider: (replica) => this.#part?.outsider(replica),
          onRole: (replica) => this.#part?.assign(replica),
        },
      },
      options,
    )
    this.#fetch = new ReplicaFetch({
      clock: deps.clock,
      closing: this.#closing.signal,
      reader: storage.reader,
      isGivenUp: (replica, error) => this.#damaged?.found(replica, error) === true,
      find: ({ topicId, partition }, fromFollower) =>
        (fromFollower ? this.#inSyncFollower(topicId, partition) : undefined) ??
        this.#find(topicId, partition),
    })
  }

  /**
   * Opens and recovers the storage of the node and begins to follow the metadata.
   * @throws DataDirectoryError when the data folder cannot be used; it says what to do
   */
  static async open(
    deps: ReplicaManagerDeps,
    options: ReplicaManagerOptions,
  ): Promise<ReplicaManager> {
    const { clusterId } = deps.metadata.image
    const { replicaLagMaxMs = REPLICA_LAG_MAX_MS, preferredLeaders, ...storageOptions } = options
    const all: StorageOptions = { ...STORAGE_DEFAULTS, clusterId, ...storageOptions }
    let manager: ReplicaManager | undefined
    let failed = false
    const onFatal = (error: unknown) => {
      if (failed) return
      failed = true
      if (manager !== undefined) manager.#fail()
      deps.onFatal(error)
    }
    const storage = await LogManager.open(deps, all, onFatal)
    const { nodeId } = options
    manager = new ReplicaManager(deps, storage, {
      nodeId,
      lagMaxMs: replicaLagMaxMs,
      ...(preferredLeaders !== undefined && { preferred: preferredLeaders }),
    })
    await manager.#begin()
    return manager
  }

  /** Of all partitions that are hosted here. */
  get replicas(): Iterable<Replica> {
    return this.#hosting.replicas
  }

  /** The logs below the replicas. */
  get storage(): LogManager {
    return this.#storage
  }

  find(topicId: TopicId, partition: number): Replica | undefined {
    return this.#hosting.find(topicId, partition)
  }

  /** The node is registered as `incarnation`: it takes part from now on. The image must show it. */
  join(incarnation: number): void {
    const { cluster, metadata } = this.#deps
    const damaged = this.#damaged
    assert(cluster !== undefined && this.#part === undefined, 'a node of a cluster joins once')
    if (this.#closing.signal.aborted || damaged === undefined) return
    damaged.registered()
    this.#part = new ClusterPart(
      {
        ...this.#deps,
        ...cluster,
        storage: this.#storage,
        damaged,
        find: (topicId, partition) => this.#hosting.find(topicId, partition),
        replicas: () => this.#hosting.replicas,
        movedBack: this.#movedBack,
      },
      { ...this.#options, incarnation },
    )
    this.#hosting.join(
      {
        // Before it registered it gave up all that it led. What was created since then, by somebody
        // who did not know, has no records yet.
        mayLead: ({ revision, leaderEpoch }, log) =>
          revision > incarnation || (leaderEpoch === 0 && log.endOffset === 0),
      },
      metadata.image,
    )
    void this.#creationsMade().catch(() => undefined)
  }

  /** The registration is gone: all roles are given up. */
  async leave(): Promise<void> {
    const part = this.#part
    this.#part = undefined
    this.#hosting.leave()
    await part?.close()
  }

  append(
    requests: readonly AppendRequest[],
    signal: AbortSignal,
    admitted: () => void = () => undefined,
  ): Promise<AppendResult>[] {
    const call = new AppendCall(signal)
    let waiting = requests.length
    const answers = requests.map((request) => {
      const { promise, settle } = call.open()
      this.#underWay++
      this.#append(request, this.#counted(request.acks, settle), () => {
        if (--waiting === 0) admitted()
      })
      return promise
    })
    call.listen()
    return answers
  }

  /**
   * Takes no more appends, so that leaderships can be handed over without leaving a producer in doubt.
   * Resolves when all that were taken are answered, or when the signal aborts.
   */
  async settleAppends(signal: AbortSignal): Promise<void> {
    this.#isHandingOver = true
    if (this.#underWay === 0) return
    await unlessAborted(this.#whenSettled.promise, signal).catch(() => undefined)
  }

  fetch(request: FetchRequest, signal: AbortSignal): Promise<FetchResult[]> {
    return this.#fetch.run(request, signal)
  }

  /** What a follower asks of this node as a leader. */
  async replicaFetch(
    request: ReplicaFetchRequest,
    signal: AbortSignal,
  ): Promise<ReplicaFetchReply> {
    if (this.#part === undefined) return 'session-unknown'
    return await this.#part.fetch(request, signal)
  }

  /** Makes the preferred leader of a partition that this node leads its leader; whether that came about. */
  async handBack({ topicId, partition }: PartitionPlace): Promise<boolean> {
    return (await this.#part?.handBack(topicId, partition)) === true
  }

  /** What this node holds, whatever it is to it; undefined for what it does not. */
  replicaLogs(places: readonly PartitionPlace[]): (ReplicaLog | undefined)[] {
    return places.map(({ topicId, partition }) => {
      const log = this.#storage.find(topicId, partition)
      const leads = this.#hosting.find(topicId, partition)?.tenure !== undefined
      return log && replicaLogOf(log, leads)
    })
  }

  async resolveOffset(
    topicId: TopicId,
    partition: number,
    at: OffsetQuery,
  ): Promise<{ offset: number; lastEpoch: number }> {
    const replica = this.#get(topicId, partition)
    const { log } = replica
    if (at !== 'earliest') await this.#settled(replica)
    const offset = await this.#locate(log, at)
    return { offset, lastEpoch: log.epochs.epochAt(offset - 1) }
  }

  offsets(topicId: TopicId, partition: number): PartitionOffsets {
    return offsetsOf(this.#get(topicId, partition))
  }

  offsetsOf(partitions: readonly PartitionPlace[]): Promise<(PartitionOffsets | undefined)[]> {
    return Promise.resolve(
      partitions.map(({ topicId, partition }) => this.offsetsNow(topicId, partition)),
    )
  }

  offsetsNow(topicId: TopicId, partition: number): PartitionOffsets | undefined {
    const replica = this.#find(topicId, partition)
    return 'ok' in replica ? undefined : offsetsOf(replica)
  }

  async deleteRecords(
    topicId: TopicId,
    partition: number,
    before: number,
  ): Promise<{ logStartOffset: number }> {
    const replica = this.#get(topicId, partition)
    const { log, tenure } = replica
    if (before > log.highWatermark) {
      throw new ServiceError('offset-out-of-range', `the log ends at ${log.highWatermark}`, {
        members: { tail: log.highWatermark },
      })
    }
    await this.#storage.raiseStart(log, before)
    await this.#within(REMOVAL_MS, notRemoved(), (signal) =>
      tenure?.removedEverywhere(before, signal),
    )
    return { logStartOffset: log.startOffset }
  }

  /** Refuses new work, waits for what was admitted, and stops the storage in good order. */
  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return
    this.#unsubscribe()
    this.#closing.abort(new ServiceError('draining', 'the node is shutting down'))
    const parted = this.#part?.close()
    await this.#storage.stopWaiting()
    await parted
    await this.#storage.close()
    this.#hosting.close(unknownOutcome())
  }

  async #begin(): Promise<void> {
    const { metadata, cluster } = this.#deps
    if (cluster === undefined) await this.#joinAlone()
    else this.#hosting.follow(metadata.image)
    this.#unsubscribe = metadata.onChange((image) => this.#follow(image))
  }

  /** Nobody else has the records: a log whose creation was lost may have had some. */
  async #joinAlone(): Promise<void> {
    const { creationsLost } = this.#storage
    this.#hosting.join({ mayLead: () => true }, this.#deps.metadata.image, (log) => {
      if (creationsLost) log.damage = LOST_CREATION
    })
    await this.#creationsMade()
  }

  /** Logs that were lost with a part of the journal are there again. */
  async #creationsMade(): Promise<void> {
    if (!this.#storage.creationsLost) return
    this.#storage.creationsLost = false
    await this.#storage.checkpoints.run(false)
  }

  #follow(image: MetadataImage): void {
    this.#hosting.follow(image)
    this.#part?.follow(image)
  }

  #append(
    request: AppendRequest,
    settle: (result: AppendResult) => void,
    admitted: () => void,
  ): void {
    const refusal = this.#refusal()
    if (refusal !== undefined) {
      settle(refusal)
      admitted()
      return
    }
    this.#storage.gate.enter(request.batch.length, (outcome) => {
      if (outcome === 'overloaded') {
        const isFull = this.#storage.diskIsFull
        settle(
          isFull
            ? refuse('disk-full', 'the disk is full')
            : refuse('overloaded', 'too many bytes wait to be written'),
        )
      } else {
        const replica = this.#find(request.topicId, request.partition)
        if ('ok' in replica) settle(replica)
        else replica.append(request, settle)
      }
      admitted()
    })
  }

  #refusal(): Refusal | undefined {
    if (this.#isHandingOver) return refuse('draining', 'the node hands over what it leads')
    return this.#storage.diskIsFull ? refuse('disk-full', 'the disk is full') : undefined
  }

  #counted(acks: Acks, settle: (result: AppendResult) => void): (result: AppendResult) => void {
    const { clock } = this.#deps
    const startMs = clock.monotonicMs()
    return (result) => {
      if (result.ok) this.#meter.appended(acks, clock.monotonicMs() - startMs)
      this.#underWay--
      if (this.#isHandingOver && this.#underWay === 0) this.#whenSettled.resolve()
      settle(result)
    }
  }

  /** The partition, if this node leads it. */
  #find(topicId: TopicId, partition: number): Replica | Refusal {
    if (this.#closing.signal.aborted) return refuse('draining', 'the node is shutting down')
    const replica = this.#hosting.find(topicId, partition)
    if (replica !== undefined) return replica.refusal() ?? replica
    const topic = this.#deps.metadata.image.topicsById.get(topicId)
    if (topic === undefined) return refuse('topic-not-found', 'the topic does not exist')
    if (partition >= 0 && partition < topic.partitions.length) {
      return refuse('partition-unavailable', `partition ${partition} is not on this node`)
    }
    return refuse('partition-not-found', `there is no partition ${partition}`)
  }

  /** The partition, if this node follows it in sync, as far as it knows. */
  #inSyncFollower(topicId: TopicId, partition: number): Replica | undefined {
    if (this.#closing.signal.aborted) return undefined
    const replica = this.#hosting.find(topicId, partition)
    const state = this.#deps.metadata.image.topicsById.get(topicId)?.partitions[partition]
    if (replica?.following === undefined || state === undefined) return undefined
    const isCurrent = state.leaderEpoch === replica.following.leaderEpoch
    return isCurrent && state.isr.includes(this.#options.nodeId) ? replica : undefined
  }

  #get(topicId: TopicId, partition: number): Replica {
    const replica = this.#find(topicId, partition)
    return 'ok' in replica ? throwRefusal(replica) : replica
  }

  /** A new leader may not know yet how far its predecessor had committed (KIP-207). */
  async #settled(replica: Replica): Promise<void> {
    const { tenure, log } = replica
    if (tenure === undefined || log.highWatermark >= tenure.epochStart) return
    const notReady = 'the leader is new and not ready yet'
    const reason = new ServiceError('partition-unavailable', notReady)
    await this.#within(SETTLE_MS, reason, (signal) => replica.committed(tenure.epochStart, signal))
    if (replica.tenure !== tenure) throw reason
  }

  /** Rejects with the reason when it takes longer. */
  async #within(
    waitMs: number,
    reason: ServiceError,
    wait: (signal: AbortSignal) => Promise<void> | undefined,
  ): Promise<void> {
    const late = new AbortController()
    const timer = this.#deps.clock.timer(waitMs, () => late.abort(reason))
    try {
      await wait(AbortSignal.any([late.signal, this.#closing.signal]))
    } finally {
      timer.cancel()
    }
  }

  async #locate(log: PartitionLog, at: OffsetQuery): Promise<number> {
    if (at === 'earliest') return log.startOffset
    if (at === 'latest') return log.highWatermark
    if ('last' in at) return Math.max(log.startOffset, log.highWatermark - at.last)
    return new TimeLookup(this.#storage, log, at.timeMs, this.#closing.signal).run()
  }

  /** The process is about to end: nobody may believe that an answer is still to come. */
  #fail(): void {
    this.#closing.abort(unknownOutcome())
    this.#hosting.close(unknownOutcome())
  }
}

function notRemoved(): ServiceError {
  const detail = 'the records are removed, but a replica that may lead next has not said so yet'
  return new ServiceError('outcome-unknown', detail)
}

function replicaLogOf(log: PartitionLog, leads: boolean): ReplicaLog {
  const { lastEpoch, startOffset: logStartOffset, endOffset: logEndOffset, damage } = log
  return { leads, lastEpoch, logStartOffset, logEndOffset, damaged: damage !== undefined }
}

function offsetsOf({ log, leaderEpoch }: Replica): PartitionOffsets {
  return {
    logStartOffset: log.startOffset,
    highWatermark: log.highWatermark,
    logEndOffset: log.endOffset,
    sizeBytes: log.sizeBytes,
    leaderEpoch,
  }
}

function unknownOutcome(): ServiceError {
  return new ServiceError('outcome-unknown', 'the node has stopped; the records may be written')
}
