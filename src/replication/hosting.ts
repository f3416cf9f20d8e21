/**
 * The partitions that this node hosts, as the metadata say: one that is assigned to it gets a log and
 * a role, one whose topic was removed loses it.
 */

import { effectiveMinInsync } from '../core/election.ts'
import type { PartitionKey, TopicId } from '../core/ids.ts'
import { partitionKey } from '../core/ids.ts'
import type { TopicConfig } from '../core/topic.ts'
import { isCompacted } from '../core/topic.ts'
import type { Clock } from '../env/clock.ts'
import type { Logger } from '../env/logger.ts'
import { ServiceError } from '../lib/service-error.ts'
import type { MetadataImage, PartitionImage, TopicImage } from '../metadata/metadata-image.ts'
import type { LogManager } from '../storage/log-manager.ts'
import type { CompactionSettings, PartitionLog } from '../storage/partition-log.ts'
import type { ReplicaDeps, Role } from './replica.ts'
import { Replica } from './replica.ts'

/** What lets a node take part: without it, it hosts and does nothing. */
export interface Membership {
  /** Whether the node may lead an epoch: only one to which it was elected since it is up. */
  mayLead(state: PartitionImage, log: PartitionLog): boolean
}

export interface HostingDeps {
  readonly clock: Clock
  readonly logger: Logger
  readonly storage: LogManager
  readonly replica: Pick<ReplicaDeps, 'lagMaxMs' | 'peers' | 'isFresh' | 'onOutsider' | 'onRole'>
}

const IDLE: Role = { kind: 'idle' }
/** The leader alone decides what is too old or too much: others remove what it says that it removed. */
const UNTIL_TOLD = { retentionMs: -1, retentionBytes: -1 }

export class Hosting {
  readonly #deps: HostingDeps
  readonly #nodeId: number
  readonly #replicas = new Map<PartitionKey, Replica>()
  /** Topics as they were when they were last looked at. */
  readonly #seen = new Map<TopicId, TopicImage>()
  #removed: ReadonlySet<TopicId> = new Set()
  #membership: Membership | undefined

  constructor(deps: HostingDeps, options: { nodeId: number }) {
    this.#deps = deps
    this.#nodeId = options.nodeId
  }

  get replicas(): Iterable<Replica> {
    return this.#replicas.values()
  }

  find(topicId: TopicId, partition: number): Replica | undefined {
    return this.#replicas.get(partitionKey(topicId, partition))
  }

  /** Takes part from now on. `created` is told of logs that were not there. */
  join(
    membership: Membership,
    image: MetadataImage,
    created: (log: PartitionLog) => void = () => undefined,
  ): void {
    this.#membership = membership
    this.follow(image, created)
  }

  /** Takes part no longer: all roles are given up. */
  leave(): void {
    this.#membership = undefined
    this.#seen.clear()
    for (const replica of this.#replicas.values()) {
      replica.become(IDLE)
      replica.log.settings = { ...replica.log.settings, ...UNTIL_TOLD }
    }
  }

  follow(image: MetadataImage, created: (log: PartitionLog) => void = () => undefined): void {
    for (const topicId of image.removedTopics.keys()) {
      if (!this.#removed.has(topicId)) this.#remove(topicId)
    }
    this.#removed = new Set(image.removedTopics.keys())
    // What a node has is surveyed before it takes part: no log may be made until then.
    if (this.#membership === undefined) return
    for (const topic of image.topics.values()) {
      const before = this.#seen.get(topic.id)
      if (before === topic) continue
      this.#seen.set(topic.id, topic)
      topic.partitions.forEach((state, partition) => {
        const isSame = before?.config === topic.config && before.partitions[partition] === state
        if (!isSame) this.#host(topic, partition, state, created)
      })
    }
  }

  /** Nobody is left waiting at any of them. */
  close(reason: ServiceError): void {
    for (const replica of this.#replicas.values()) replica.close(reason)
  }

  #host(
    topic: TopicImage,
    partition: number,
    state: PartitionImage,
    created: (log: PartitionLog) => void,
  ): void {
    const key = partitionKey(topic.id, partition)
    let replica = this.#replicas.get(key)
    if (replica === undefined) {
      if (!state.replicas.includes(this.#nodeId)) return
      replica = this.#make(topic, partition, created)
      this.#replicas.set(key, replica)
    }
    const role = this.#roleOf(replica, topic.config, state)
    this.#configure(replica.log, topic.config, role)
    this.#trust(replica.log, state)
    replica.become(role)
  }

  #make(topic: TopicImage, partition: number, created: (log: PartitionLog) => void): Replica {
    const { storage, clock, replica } = this.#deps
    let log = storage.find(topic.id, partition)
    if (log === undefined) {
      const { id: topicId, name: topicName, config } = topic
      log = storage.create({ topicId, topicName, partition, flush: config.flush })
      created(log)
    }
    const { appender } = storage
    return new Replica({ ...replica, log, appender, clock, nodeId: this.#nodeId })
  }

  #roleOf(replica: Replica, config: TopicConfig, state: PartitionImage): Role {
    const { replicas, isr, elr, leader, leaderEpoch, revision } = state
    if (leader === -1 || !replicas.includes(this.#nodeId)) return IDLE
    if (replicas.length > 1 && replica.log.lastEpoch > leaderEpoch) {
      this.#deps.logger.error(
        { log: replica.log.identity, leaderEpoch, logEpoch: replica.log.lastEpoch },
        'the metadata are older than the log: the partition stands still',
      )
      return IDLE
    }
    if (leader !== this.#nodeId) return { kind: 'follower', following: { leader, leaderEpoch } }
    if (this.#membership?.mayLead(state, replica.log) !== true) return IDLE
    const { clock } = this.#deps
    const minInsync = effectiveMinInsync(state, config.minInsyncReplicas)
    return {
      kind: 'leader',
      term: {
        leaderEpoch,
        assignment: { replicas, isr, elr, minInsync, revision },
        appendTimeMs: () => (config.timestamps === 'append' ? clock.nowMs() : -1),
      },
    }
  }

  #configure(log: PartitionLog, config: TopicConfig, role: Role): void {
    const { segmentBytes, segmentMs, retentionMs, retentionBytes, cleanup } = config
    const removes = role.kind === 'leader' && cleanup !== 'compact'
    const retention = removes ? { retentionMs, retentionBytes } : UNTIL_TOLD
    log.settings = { segmentBytes, segmentMs, ...retention, compaction: compactionOf(config) }
    if (log.damage !== undefined) return
    this.#deps.storage.appender.setFlush(log, config.flush).catch((error: unknown) => {
      this.#deps.logger.warn({ err: error, log: log.identity }, 'the flush mode did not change')
    })
  }

  /**
   * One that may have lost records gave its vote up before the node was registered: whoever gives it one
   * again has seen what it holds.
   */
  #trust(log: PartitionLog, { replicas }: PartitionImage): void {
    if (!log.lossPossible || replicas.length === 1) return
    log.lossPossible = false
    this.#deps.storage.checkpoints.note(log)
  }

  /** Only an explicit tombstone removes records: that a topic is unknown proves nothing. */
  #remove(topicId: TopicId): void {
    const { storage, logger } = this.#deps
    const hosted = [...storage.logs].filter((log) => log.identity.topicId === topicId)
    this.#seen.delete(topicId)
    for (const log of hosted) {
      const key = partitionKey(topicId, log.identity.partition)
      const replica = this.#replicas.get(key)
      replica?.close(
        new ServiceError('topic-not-found', 'the topic was deleted', { committed: 'unknown' }),
      )
      this.#replicas.delete(key)
      storage.delete(log).catch((error: unknown) => {
        logger.warn({ err: error, log: log.identity }, 'a log was not deleted')
      })
    }
  }
}

/** Every replica compacts for itself: what is left is the same. */
function compactionOf(config: TopicConfig): CompactionSettings | undefined {
  if (!isCompacted(config)) return undefined
  const { minCleanableDirtyRatio, minCompactionLagMs, maxCompactionLagMs } = config
  return {
    minDirtyRatio: minCleanableDirtyRatio,
    minLagMs: minCompactionLagMs,
    maxLagMs: maxCompactionLagMs === -1 ? Number.POSITIVE_INFINITY : maxCompactionLagMs,
    deleteRetentionMs: config.deleteRetentionMs,
  }
}
