/**
 * A front, a storage node and the metadata in one process. Owns the order in which they start, and
 * stops them in the reverse.
 */
import type { Config } from '../config.ts'
import { GroupCoordinator } from '../coordinator/group-coordinator.ts'
import { OFFSETS_PARTITIONS } from '../core/internal-topics.ts'
import type { Clock } from '../env/clock.ts'
import type { FileSystem } from '../env/file-system.ts'
import type { Logger } from '../env/logger.ts'
import type { Metrics } from '../env/metrics.ts'
import type { Random } from '../env/random.ts'
import { Front } from '../front/front.ts'
import { CoordinatorClient } from '../front/groups/coordinator-client.ts'
import { Groups } from '../front/groups/groups.ts'
import { OfflinePartitions } from '../front/offline-partitions.ts'
import { PartitionElections } from '../front/partition-elections.ts'
import { TopicAdmin } from '../front/topic-admin.ts'
import type { App } from '../http/app.ts'
import { buildPublicApp } from '../http/public/public-app.ts'
import { VERSION } from '../lib/version.ts'
import { ensureCluster, registerOnlyNode } from '../metadata/cluster-bootstrap.ts'
import { EmbeddedStore } from '../metadata/embedded-store.ts'
import { MetadataFollower } from '../metadata/metadata-follower.ts'
import { ReplicaManager } from '../replication/replica-manager.ts'
import { makeRoomToStart } from '../storage/disk-space.ts'
import { isOfStorageNode } from '../storage/last-registration.ts'
import { DataDirectoryError, readIdentity } from '../storage/node-identity.ts'
import { drained } from './drained.ts'
import { measureGroups } from './group-metrics.ts'
import { Lifecycle } from './lifecycle.ts'
import { MetadataCopy } from './metadata-copy.ts'
import { publicAppOptions } from './public-app-options.ts'
import { measureStorage } from './storage-metrics.ts'

export interface StandaloneDeps {
  readonly clock: Clock
  readonly random: Random
  readonly fileSystem: FileSystem
  readonly logger: Logger
  readonly metrics: Metrics
  /** What was acknowledged can no longer be vouched for: the process must end at once. */
  readonly onFatal: (error: unknown) => void
}

/** The only node there is. */
const NODE_ID = 1

export class StandaloneNode {
  readonly #front: Front
  readonly #app: App
  readonly #lifecycle: Lifecycle
  /** Where it listens, with the port that it got. */
  readonly url: string

  private constructor(front: Front, app: App, lifecycle: Lifecycle, url: string) {
    this.#front = front
    this.#app = app
    this.#lifecycle = lifecycle
    this.url = url
  }

  /** Resolves when requests are served; what a failed start had opened is closed again. */
  static async start(config: Config, deps: StandaloneDeps): Promise<StandaloneNode> {
    const lifecycle = new Lifecycle()
    try {
      return await start(config, deps, lifecycle, (front, app, url) => {
        return new StandaloneNode(front, app, lifecycle, url)
      })
    } catch (error) {
      await lifecycle.stop()
      throw error
    }
  }

  /** Takes no new work and finishes what is under way, until the signal aborts. */
  async drain(signal: AbortSignal): Promise<void> {
    this.#lifecycle.isDraining = true
    await drained([this.#front.drain(), this.#app.whenIdle()], signal)
  }

  async stop(): Promise<void> {
    this.#lifecycle.isDraining = true
    await this.#lifecycle.stop()
  }
}

async function start(
  config: Config,
  deps: StandaloneDeps,
  lifecycle: Lifecycle,
  make: (front: Front, app: App, url: string) => StandaloneNode,
): Promise<StandaloneNode> {
  const { store, metadata } = await startMetadata(config, deps, lifecycle)
  const storage = await startStorage(config, deps, metadata)
  lifecycle.started(() => storage.close())
  const copy = new MetadataCopy({ ...deps, store, metadata }, config.data)
  lifecycle.started(() => copy.close())
  copy.start()
  measureStorage(deps.metrics, storage, metadata)

  const coordinators = new GroupCoordinator({ ...deps, metadata, storage }, { nodeId: NODE_ID })
  lifecycle.started(() => coordinators.close())
  measureGroups(deps.metrics, coordinators)
  const topics = new TopicAdmin({ ...deps, store, view: metadata }, config)
  const front = new Front(
    { ...deps, storage, metadata, topics },
    { pendingBytes: config.unwrittenBytes * 2, waitingReads: config.maxWaitingReads },
  )
  const service = new CoordinatorClient(
    { ...deps, metadata, topics, coordinators },
    { partitions: OFFSETS_PARTITIONS.standalone },
  )
  const groups = new Groups({ ...deps, storage, metadata, service })
  front.onDrain(() => groups.drain())
  const app = await buildPublicApp(
    {
      ...deps,
      front,
      groups,
      topics,
      elections: new PartitionElections({ ...deps, store, view: metadata }),
      offline: new OfflinePartitions({
        metadata,
        replicaLogs: async (_node, places) => storage.replicaLogs(places),
      }),
      storage,
      metadata,
      controller: () => NODE_ID,
      draining: () => lifecycle.isDraining,
      // A full disk or a damaged partition does not count: the rest can still be served.
      notReady: () => (lifecycle.isDraining ? ['the node is shutting down'] : []),
    },
    publicAppOptions(config),
  )
  lifecycle.started(async () => {
    front.close()
    await app.close()
  })
  const url = await app.listen({ host: config.host, port: config.port })
  return make(front, app, url)
}

async function startMetadata(config: Config, deps: StandaloneDeps, lifecycle: Lifecycle) {
  await deps.fileSystem.makeDirectory(config.data)
  if (await isOfStorageNode(deps.fileSystem, config.data)) {
    throw new DataDirectoryError(
      `${config.data} belongs to a storage node of a cluster: start it with \`curlew storage\``,
    )
  }
  // A folder that has an identity has had metadata: without them its records belong to nothing.
  const isKnown = (await readIdentity(deps.fileSystem, config.data)) !== undefined
  await makeRoomToStart(deps.fileSystem, config.data, config.minFreeBytes)
  const store = EmbeddedStore.open(deps, {
    path: `${config.data}/metadata.db`,
    createIfMissing: !isKnown,
  })
  lifecycle.started(() => store.close())
  await ensureCluster({ ...deps, store })
  const url = `http://${config.host}:${config.port}`
  await registerOnlyNode(store, NODE_ID, { url, rack: '', version: VERSION })
  // This store tells of every change: there is nothing to look for.
  const metadata = new MetadataFollower({ ...deps, store }, { relistMs: Number.POSITIVE_INFINITY })
  lifecycle.started(() => metadata.close())
  await metadata.start()
  return { store, metadata }
}

function startStorage(config: Config, deps: StandaloneDeps, metadata: MetadataFollower) {
  return ReplicaManager.open(
    { ...deps, metadata },
    {
      dataDirectory: config.data,
      nodeId: NODE_ID,
      mustExist: metadata.image.topics.size > 0,
      memoryBytes: config.memoryTailBytes,
      maxUnwrittenBytes: config.unwrittenBytes,
      maxJournalBytes: config.journalBytes,
      minFreeBytes: config.minFreeBytes,
      checkpointIntervalMs: config.checkpointIntervalMs,
      journal: { fileBytes: config.journalFileBytes },
    },
  )
}
