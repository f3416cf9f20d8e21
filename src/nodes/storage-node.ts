/**
 * A storage node of a cluster: its logs, the internal protocol, its registration, and the controller
 * that runs on one of them. Owns the order in which they start, and stops them in the reverse. The
 * sockets are the caller's.
 */

import { GroupCoordinator } from '../coordinator/group-coordinator.ts'
import type { LocalReplica } from '../core/election.ts'
import type { TopicId } from '../core/ids.ts'
import type { Clock } from '../env/clock.ts'
import type { FileSystem } from '../env/file-system.ts'
import type { Logger } from '../env/logger.ts'
import type { Metrics } from '../env/metrics.ts'
import type { Random } from '../env/random.ts'
import type { Transport } from '../env/transport.ts'
import { registerGroupEndpoint } from '../internal/group-endpoint.ts'
import type { InternalIdentity } from '../internal/identity.ts'
import { InternalClient } from '../internal/internal-client.ts'
import { InternalService } from '../internal/internal-service.ts'
import { registerOperatorEndpoints } from '../internal/operator-endpoints.ts'
import { registerReplicaEndpoint } from '../internal/replica-endpoint.ts'
import { RequestSignature } from '../internal/request-signature.ts'
import { StorageClient } from '../internal/storage-client.ts'
import { registerStorageEndpoints } from '../internal/storage-endpoints.ts'
import { VERSION } from '../lib/version.ts'
import { ensureCluster } from '../metadata/cluster-bootstrap.ts'
import { registerMetadataEndpoints } from '../metadata/metadata-endpoints.ts'
import { MetadataFeed } from '../metadata/metadata-feed.ts'
import { MetadataFollower } from '../metadata/metadata-follower.ts'
import type { MetadataStore } from '../metadata/metadata-store.ts'
import { checkPeers } from '../metadata/peer-agreement.ts'
import { untilStoreAnswers } from '../metadata/until-store-answers.ts'
import { Controller } from '../replication/controller.ts'
import type { NodeSession } from '../replication/node-session.ts'
import { NodeRegistration } from '../replication/registration.ts'
import type { LeaderPeer } from '../replication/replica-fetcher.ts'
import { ReplicaManager } from '../replication/replica-manager.ts'
import { isNoSpace } from '../storage/disk-space.ts'
import { readLastRegistration, writeLastRegistration } from '../storage/last-registration.ts'
import type { StorageOptions } from '../storage/storage-options.ts'
import { measureCalls, measureLease, measureMetadata } from './cluster-metrics.ts'
import { measureGroups } from './group-metrics.ts'
import { Lifecycle } from './lifecycle.ts'
import { measureStorage } from './storage-metrics.ts'

export interface StorageNodeDeps {
  readonly clock: Clock
  readonly random: Random
  readonly fileSystem: FileSystem
  readonly logger: Logger
  readonly metrics: Metrics
  /** Closed by the caller, after the node has stopped. */
  readonly store: MetadataStore
  readonly transport: Transport
  /** Begins to take calls for the service; resolves with where other nodes reach it. */
  readonly listen: (
    service: InternalService,
  ) => Promise<{ readonly url: string; close(): Promise<void> }>
  /** What was acknowledged can no longer be vouched for, or the node may not go on: the process must end. */
  readonly onFatal: (error: unknown) => void
}

export interface StorageNodeOptions {
  readonly nodeId: number
  readonly rack: string
  readonly dataDirectory: string
  /** The same in the whole cluster. */
  readonly secret: string
  /** Whether the transport proves who calls and protects what is sent; the same in the whole cluster. */
  readonly hasMutualTls?: boolean
  /** Start although the data of this node are gone; it copies them from others. */
  readonly acceptEmptyData: boolean
  /** Time to live of the registration. */
  readonly leaseTtlMs?: number
  readonly replicaLagMaxMs?: number
  readonly storage?: Partial<StorageOptions>
}

const LEASE_TTL_MS = 10_000
const NOTE_RETRY_MS = 1_000
/** What appends may take to commit before leaderships are handed over all the same. */
const SETTLE_MS = 2_000
const FAREWELL_MS = 300
/** Beyond the time that a leader may wait for records. */
const FETCH_SLACK_MS = 5_000

export class StorageNode {
  readonly #deps: StorageNodeDeps
  readonly #options: StorageNodeOptions
  readonly #lifecycle = new Lifecycle()
  readonly #stop = new AbortController()
  readonly #metadata: MetadataFollower
  readonly #feed: MetadataFeed
  readonly #client: InternalClient
  readonly #service: InternalService
  readonly #peers = new Map<number, StorageClient>()
  #manager: ReplicaManager | undefined
  #registration: NodeRegistration | undefined
  #controller: Controller | undefined
  #session: NodeSession | undefined
  #joining: Promise<void> = Promise.resolve()

  private constructor(options: StorageNodeOptions, deps: StorageNodeDeps) {
    this.#deps = deps
    this.#options = options
    this.#feed = new MetadataFeed(deps)
    this.#metadata = new MetadataFollower({ ...deps, onApply: this.#feed.apply })
    const { secret, hasMutualTls = false } = options
    const signature = new RequestSignature(deps, { secret, signBodies: !hasMutualTls })
    const identity = this.#identity()
    this.#client = new InternalClient({ ...deps, signature, identity })
    this.#service = new InternalService({ ...deps, signature, identity })
  }

  /** Resolves when the node is registered; however long the store is away. */
  static async start(
    options: StorageNodeOptions,
    deps: StorageNodeDeps,
    signal: AbortSignal,
  ): Promise<StorageNode> {
    const node = new StorageNode(options, deps)
    try {
      await node.#start(AbortSignal.any([signal, node.#stop.signal]))
      return node
    } catch (error) {
      await node.stop()
      throw error
    }
  }

  get metadata(): MetadataFollower {
    return this.#metadata
  }

  get manager(): ReplicaManager {
    return this.#manager as ReplicaManager
  }

  /** Why the node cannot serve; empty when it can. */
  get notReady(): readonly string[] {
    if (this.#lifecycle.isDraining) return ['the node is shutting down']
    const reasons = [this.#registration?.notReady, this.#metadata.staleReason]
    return reasons.filter((reason) => reason !== undefined)
  }

  /** Hands over what it leads, and finishes what is under way, until the signal aborts. */
  async drain(signal: AbortSignal): Promise<void> {
    this.#lifecycle.isDraining = true
    await this.#controller?.stop()
    await this.#registration
      ?.resign(signal, () => this.#settleAppends(signal))
      .catch(() => undefined)
    this.#service.drain()
    // Fronts hear who leads now; what they still send is refused, where a closed port would cut it off.
    await this.#deps.clock.sleep(FAREWELL_MS, signal).catch(() => undefined)
  }

  async stop(): Promise<void> {
    this.#lifecycle.isDraining = true
    this.#stop.abort()
    await this.#lifecycle.stop()
  }

  async #settleAppends(signal: AbortSignal): Promise<void> {
    const late = new AbortController()
    const timer = this.#deps.clock.timer(SETTLE_MS, () => late.abort())
    try {
      await this.#manager?.settleAppends(AbortSignal.any([signal, late.signal]))
    } finally {
      timer.cancel()
    }
  }

  async #start(signal: AbortSignal): Promise<void> {
    const deps = this.#deps
    const { fileSystem, clock, random, logger } = deps
    const { dataDirectory, nodeId } = this.#options
    const patience = { clock, random, logger }
    await untilStoreAnswers(() => ensureCluster(deps), patience, signal)
    await untilStoreAnswers(() => this.#metadata.start(), patience, signal)
    this.#lifecycle.started(() => this.#metadata.close())
    await checkPeers({ clock, client: this.#client }, this.#metadata.image, nodeId, signal)
    const lastIncarnation = await readLastRegistration(fileSystem, dataDirectory)
    const manager = await this.#openStorage()
    measureStorage(deps.metrics, manager, this.#metadata)
    this.#measure()
    registerStorageEndpoints(this.#service, manager, clock)
    registerReplicaEndpoint(this.#service, (request, stop) => manager.replicaFetch(request, stop))
    registerOperatorEndpoints(this.#service, manager)
    const coordinator = this.#coordinate(manager)
    registerGroupEndpoint(this.#service, coordinator)
    registerMetadataEndpoints(this.#service, this.#feed, deps.store)
    const server = await deps.listen(this.#service)
    this.#lifecycle.started(() => server.close())
    this.#controller = new Controller({ ...deps, metadata: this.#metadata }, { nodeId })
    this.#lifecycle.started(() => this.#controller?.stop())
    await this.#register(manager, server.url, lastIncarnation, signal)
  }

  #coordinate(manager: ReplicaManager): GroupCoordinator {
    const deps = this.#deps
    const coordinator = new GroupCoordinator(
      { ...deps, metadata: this.#metadata, storage: manager },
      { nodeId: this.#options.nodeId },
    )
    this.#lifecycle.started(() => coordinator.close())
    measureGroups(deps.metrics, coordinator)
    return coordinator
  }

  #isFresh(): boolean {
    return this.#registration?.isFresh(this.#deps.clock.monotonicMs()) === true
  }

  #measure(): void {
    const { metrics, clock } = this.#deps
    measureMetadata(metrics, this.#metadata)
    measureLease(metrics, clock, () => this.#registration?.renewedMs)
    measureCalls(metrics, this.#service)
  }

  async #openStorage(): Promise<ReplicaManager> {
    const { nodeId, dataDirectory, acceptEmptyData, replicaLagMaxMs, storage } = this.#options
    const deps = this.#deps
    const manager = await ReplicaManager.open(
      {
        ...deps,
        metadata: this.#metadata,
        cluster: {
          store: deps.store,
          peer: (id) => this.#peer(id),
          isFresh: () => this.#isFresh(),
          reregister: () => this.#registration?.reregister(),
        },
      },
      {
        ...storage,
        dataDirectory,
        nodeId,
        mustExist: !acceptEmptyData && this.#isKnown(),
        ...(replicaLagMaxMs !== undefined && { replicaLagMaxMs }),
      },
    )
    this.#manager = manager
    this.#lifecycle.started(() => manager.close())
    return manager
  }

  async #register(
    manager: ReplicaManager,
    url: string,
    lastIncarnation: number | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const { nodeId, rack, acceptEmptyData, leaseTtlMs } = this.#options
    const knowsAll = lastIncarnation !== undefined && !manager.storage.creationsLost
    const youngSince = knowsAll ? lastIncarnation : Number.POSITIVE_INFINITY
    const registration = new NodeRegistration(
      {
        ...this.#deps,
        metadata: this.#metadata,
        localReplica: (topicId, partition, createdRevision) =>
          localReplica(manager, topicId, partition, createdRevision > youngSince),
        onRegistered: (session) => this.#join(manager, session),
        onLost: () => this.#leave(manager),
      },
      {
        nodeId,
        url,
        rack,
        version: VERSION,
        directoryId: manager.storage.identity.directoryId,
        acceptNewDirectory: acceptEmptyData,
        ttlMs: leaseTtlMs ?? LEASE_TTL_MS,
        ...(lastIncarnation !== undefined && { lastIncarnation }),
      },
    )
    this.#registration = registration
    this.#lifecycle.started(() => registration.close())
    await registration.start(signal)
  }

  /** Roles start when it is written down that they did. */
  #join(manager: ReplicaManager, session: NodeSession): void {
    this.#session = session
    this.#joining = this.#note(session).then(
      () => {
        if (this.#session !== session || this.#lifecycle.isDraining) return
        manager.join(session.incarnation)
        this.#controller?.start(session)
      },
      (error: unknown) => this.#deps.onFatal(error),
    )
  }

  /** As often as it takes for a full disk to have room, or for the session to be over. */
  async #note(session: NodeSession): Promise<void> {
    const { fileSystem, clock, logger } = this.#deps
    const { signal } = this.#stop
    while (this.#session === session && !signal.aborted) {
      try {
        await writeLastRegistration(fileSystem, this.#options.dataDirectory, session.incarnation)
        return
      } catch (error) {
        if (!isNoSpace(error)) throw error
        logger.warn({}, 'the disk has no room to write down that this node is registered')
      }
      await clock.sleep(NOTE_RETRY_MS, signal).catch(() => undefined)
    }
  }

  async #leave(manager: ReplicaManager): Promise<void> {
    this.#session = undefined
    await this.#joining
    await this.#controller?.stop()
    await manager.leave()
  }

  /** Whether the cluster knows of records that should be here. */
  #isKnown(): boolean {
    const { nodeId } = this.#options
    for (const topic of this.#metadata.image.topics.values()) {
      if (topic.partitions.some(({ replicas }) => replicas.includes(nodeId))) return true
    }
    return false
  }

  #identity(): InternalIdentity {
    const { nodeId } = this.#options
    const clusterId = () => this.#metadata.image.clusterId || undefined
    const incarnation = () => this.#session?.incarnation ?? 0
    return {
      nodeId,
      get clusterId() {
        return clusterId()
      },
      get incarnation() {
        return incarnation()
      },
    }
  }

  #peer(nodeId: number): LeaderPeer | undefined {
    const node = this.#metadata.image.nodes.get(nodeId)
    if (node === undefined) {
      this.#peers.delete(nodeId)
      return undefined
    }
    let client = this.#peers.get(nodeId)
    const target = { url: node.url, incarnation: node.incarnation }
    if (client?.target.url !== target.url || client.target.incarnation !== target.incarnation) {
      client = new StorageClient(this.#client, target)
      this.#peers.set(nodeId, client)
    }
    const { clock } = this.#deps
    return {
      replicaFetch: (request, signal) => {
        const deadlineMs = clock.monotonicMs() + request.waitMs + FETCH_SLACK_MS
        return (client as StorageClient).replicaFetch(request, { deadlineMs, signal })
      },
    }
  }
}

/** `isYoung`: the partition came after all that this folder ever took part in. */
function localReplica(
  manager: ReplicaManager,
  topicId: TopicId,
  partition: number,
  isYoung: boolean,
): LocalReplica {
  const log = manager.storage.find(topicId, partition)
  if (log === undefined) return isYoung ? 'kept' : 'lost'
  if (log.damage !== undefined) return 'lost'
  return log.lossPossible ? 'loss-possible' : 'kept'
}
