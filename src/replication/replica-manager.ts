/**
 * The partitions that this node hosts, as the metadata say, and what fronts ask of them. Follows the
 * metadata: a partition assigned to the node gets a log, one whose topic was removed loses it.
 */
import type { PartitionKey, TopicId } from '../core/ids.ts'
import { partitionKey } from '../core/ids.ts'
import type { TopicConfig } from '../core/topic.ts'
import { ServiceError } from '../lib/service-error.ts'
import type { MetadataImage, MetadataView, TopicImage } from '../metadata/metadata-image.ts'
import { LogManager } from '../storage/log-manager.ts'
import { LOST_CREATION } from '../storage/log-recovery.ts'
import type { PartitionLog } from '../storage/partition-log.ts'
import type { StorageOptions } from '../storage/storage-options.ts'
import { STORAGE_DEFAULTS } from '../storage/storage-options.ts'
import type { StorageDeps } from '../storage/storage-parts.ts'
import type {
  AppendRequest,
  FetchRequest,
  FetchResult,
  OffsetQuery,
  PartitionOffsets,
  Refusal,
  StorageService,
} from '../wire/internal.ts'
import { AppendCall, refuse } from './append-call.ts'
import type { AppendResult } from './pending-acks.ts'
import { Replica } from './replica.ts'
import { ReplicaFetch, throwRefusal } from './replica-fetch.ts'
import { TimeLookup } from './time-lookup.ts'

export interface ReplicaManagerDeps extends StorageDeps {
  readonly metadata: MetadataView
  /** A write or a sync failed in a way after which nothing can be promised: the process must end. */
  readonly onFatal: (error: unknown) => void
}

export type ReplicaManagerOptions = Partial<StorageOptions> &
  Pick<StorageOptions, 'dataDirectory' | 'nodeId'>

export class ReplicaManager implements StorageService {
  readonly #deps: ReplicaManagerDeps
  readonly #nodeId: number
  readonly #storage: LogManager
  readonly #fetch: ReplicaFetch
  readonly #replicas = new Map<PartitionKey, Replica>()
  /** Topics as they were when they were last looked at. */
  readonly #seen = new Map<TopicId, TopicImage>()
  #removed: ReadonlySet<TopicId> = new Set()
  readonly #closing = new AbortController()
  #unsubscribe: () => void = () => undefined

  private constructor(deps: ReplicaManagerDeps, storage: LogManager, nodeId: number) {
    this.#deps = deps
    this.#storage = storage
    this.#nodeId = nodeId
    this.#fetch = new ReplicaFetch({
      clock: deps.clock,
      closing: this.#closing.signal,
      reader: storage.reader,
      find: ({ topicId, partition }) => this.#find(topicId, partition),
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
    const all: StorageOptions = { ...STORAGE_DEFAULTS, clusterId, ...options }
    let manager: ReplicaManager | undefined
    let failed = false
    const onFatal = (error: unknown) => {
      if (failed) return
      failed = true
      if (manager !== undefined) manager.#fail()
      deps.onFatal(error)
    }
    const storage = await LogManager.open(deps, all, onFatal)
    manager = new ReplicaManager(deps, storage, options.nodeId)
    await manager.#begin()
    return manager
  }

  /** Of all partitions that are hosted here. */
  get replicas(): Iterable<Replica> {
    return this.#replicas.values()
  }

  /** The logs below the replicas, for measurements. */
  get storage(): LogManager {
    return this.#storage
  }

  append(requests: readonly AppendRequest[], signal: AbortSignal): Promise<AppendResult>[] {
    const call = new AppendCall(signal)
    const answers = requests.map((request) => {
      const { promise, settle } = call.open()
      this.#append(request, settle)
      return promise
    })
    call.listen()
    return answers
  }

  fetch(request: FetchRequest, signal: AbortSignal): Promise<FetchResult[]> {
    return this.#fetch.run(request, signal)
  }

  async resolveOffset(
    topicId: TopicId,
    partition: number,
    at: OffsetQuery,
  ): Promise<{ offset: number; lastEpoch: number }> {
    const replica = this.#get(topicId, partition)
    const { log } = replica
    const offset = await this.#locate(log, at)
    return { offset, lastEpoch: log.epochs.epochAt(offset - 1) }
  }

  offsets(topicId: TopicId, partition: number): PartitionOffsets {
    const { log, leaderEpoch } = this.#get(topicId, partition)
    return {
      logStartOffset: log.startOffset,
      highWatermark: log.highWatermark,
      logEndOffset: log.endOffset,
      sizeBytes: log.sizeBytes,
      leaderEpoch,
    }
  }

  async deleteRecords(
    topicId: TopicId,
    partition: number,
    before: number,
  ): Promise<{ logStartOffset: number }> {
    const { log } = this.#get(topicId, partition)
    if (before > log.highWatermark) {
      throw new ServiceError('offset-out-of-range', `the log ends at ${log.highWatermark}`, {
        members: { tail: log.highWatermark },
      })
    }
    await this.#storage.raiseStart(log, before)
    return { logStartOffset: log.startOffset }
  }

  /** Refuses new work, waits for what was admitted, and stops the storage in good order. */
  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return
    this.#unsubscribe()
    const stopping = new ServiceError('draining', 'the node is shutting down')
    this.#closing.abort(stopping)
    await this.#storage.close()
    for (const replica of this.#replicas.values()) replica.close(unknownOutcome())
  }

  async #begin(): Promise<void> {
    const { creationsLost } = this.#storage
    this.#follow(this.#deps.metadata.image, (log) => {
      if (creationsLost) log.damage = LOST_CREATION
    })
    if (creationsLost) {
      this.#storage.creationsLost = false
      await this.#storage.checkpoints.run(false)
    }
    this.#unsubscribe = this.#deps.metadata.onChange((image) => this.#follow(image))
  }

  #follow(image: MetadataImage, created: (log: PartitionLog) => void = () => undefined): void {
    for (const topicId of image.removedTopics.keys()) {
      if (!this.#removed.has(topicId)) this.#remove(topicId)
    }
    this.#removed = new Set(image.removedTopics.keys())
    for (const topic of image.topics.values()) {
      if (this.#seen.get(topic.id) === topic) continue
      this.#seen.set(topic.id, topic)
      topic.partitions.forEach(({ replicas, leaderEpoch }, partition) => {
        if (replicas.includes(this.#nodeId)) this.#host(topic, partition, leaderEpoch, created)
      })
    }
  }

  #host(
    topic: TopicImage,
    partition: number,
    leaderEpoch: number,
    created: (log: PartitionLog) => void,
  ): void {
    const { clock } = this.#deps
    const { config } = topic
    const key = partitionKey(topic.id, partition)
    const stamped = config.timestamps === 'append'
    const options = { leaderEpoch, appendTimeMs: () => (stamped ? clock.nowMs() : -1) }
    const known = this.#replicas.get(key)
    let log = known?.log ?? this.#storage.find(topic.id, partition)
    if (log === undefined) {
      const { id: topicId, name: topicName } = topic
      log = this.#storage.create({ topicId, topicName, partition, flush: config.flush })
      created(log)
    }
    this.#configureLog(log, config)
    if (known !== undefined) known.configure(options)
    else {
      const { appender } = this.#storage
      this.#replicas.set(key, new Replica({ log, appender }, options))
    }
  }

  #configureLog(log: PartitionLog, config: TopicConfig): void {
    log.settings = {
      segmentBytes: config.segmentBytes,
      segmentMs: config.segmentMs,
      retentionMs: config.retentionMs,
      retentionBytes: config.retentionBytes,
    }
    if (log.damage !== undefined) return
    this.#storage.appender.setFlush(log, config.flush).catch((error: unknown) => {
      this.#deps.logger.warn({ err: error, log: log.identity }, 'the flush mode did not change')
    })
  }

  /** Only an explicit tombstone removes records: that a topic is unknown proves nothing. */
  #remove(topicId: TopicId): void {
    const hosted = [...this.#storage.logs].filter((log) => log.identity.topicId === topicId)
    this.#seen.delete(topicId)
    for (const log of hosted) {
      const key = partitionKey(topicId, log.identity.partition)
      this.#replicas
        .get(key)
        ?.close(
          new ServiceError('topic-not-found', 'the topic was deleted', { committed: 'unknown' }),
        )
      this.#replicas.delete(key)
      this.#storage.delete(log).catch((error: unknown) => {
        this.#deps.logger.warn({ err: error, log: log.identity }, 'a log was not deleted')
      })
    }
  }

  #append(request: AppendRequest, settle: (result: AppendResult) => void): void {
    if (this.#storage.diskIsFull) {
      settle(refuse('disk-full', 'the disk is full'))
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
        return
      }
      const replica = this.#find(request.topicId, request.partition)
      if ('ok' in replica) settle(replica)
      else replica.append(request, settle)
    })
  }

  #find(topicId: TopicId, partition: number): Replica | Refusal {
    if (this.#closing.signal.aborted) return refuse('draining', 'the node is shutting down')
    const replica = this.#replicas.get(partitionKey(topicId, partition))
    if (replica !== undefined) return replica
    const topic = this.#deps.metadata.image.topicsById.get(topicId)
    if (topic === undefined) return refuse('topic-not-found', 'the topic does not exist')
    if (partition >= 0 && partition < topic.partitions.length) {
      return refuse('partition-unavailable', `partition ${partition} is not on this node`)
    }
    return refuse('partition-not-found', `there is no partition ${partition}`)
  }

  #get(topicId: TopicId, partition: number): Replica {
    const replica = this.#find(topicId, partition)
    if ('ok' in replica) return throwRefusal(replica)
    const { damage } = replica.log
    if (damage !== undefined) throw new ServiceError('partition-damaged', damage)
    return replica
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
    for (const replica of this.#replicas.values()) replica.close(unknownOutcome())
  }
}

function unknownOutcome(): ServiceError {
  return new ServiceError('outcome-unknown', 'the node has stopped; the records may be written')
}
