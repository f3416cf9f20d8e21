/**
 * A front of a cluster without its public HTTP: follows the metadata through the storage nodes and
 * finds the leaders. Holds nothing that a client depends on.
 */

import { OFFSETS_PARTITIONS } from '../core/internal-topics.ts'
import type { Clock } from '../env/clock.ts'
import type { Logger } from '../env/logger.ts'
import type { Metrics } from '../env/metrics.ts'
import type { Random } from '../env/random.ts'
import type { Transport } from '../env/transport.ts'
import { ClusterStorage } from '../front/cluster-storage.ts'
import type { FrontOptions } from '../front/front.ts'
import { Front } from '../front/front.ts'
import { CoordinatorClient } from '../front/groups/coordinator-client.ts'
import { RemoteCoordinators } from '../front/groups/remote-coordinators.ts'
import { TopicAdmin } from '../front/topic-admin.ts'
import { InternalClient } from '../internal/internal-client.ts'
import { RequestSignature } from '../internal/request-signature.ts'
import { MetadataFollower } from '../metadata/metadata-follower.ts'
import { RemoteMetadata } from '../metadata/remote-metadata.ts'
import { untilStoreAnswers } from '../metadata/until-store-answers.ts'
import type { GroupService } from '../wire/groups.ts'
import { Lifecycle } from './lifecycle.ts'

export interface ClusterFrontDeps {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly metrics: Metrics
  readonly transport: Transport
}

export interface ClusterFrontOptions {
  /** Where storage nodes are found before the metadata are known; at least one. */
  readonly seeds: readonly string[]
  /** The same in the whole cluster. */
  readonly secret: string
  /** Whether the transport proves who calls and protects what is sent; the same in the whole cluster. */
  readonly hasMutualTls?: boolean
  readonly autoCreateTopics: boolean
  /** In-sync replicas of this rack are read first; empty for leaders only. */
  readonly rack?: string
  readonly front?: FrontOptions
  /** Of the topic that groups are kept in, should it have to be made; 50. */
  readonly offsetsPartitions?: number
}

export class ClusterFront {
  readonly metadata: MetadataFollower
  readonly store: RemoteMetadata
  readonly storage: ClusterStorage
  readonly topics: TopicAdmin
  readonly groups: GroupService
  readonly front: Front
  readonly #lifecycle = new Lifecycle()

  private constructor(options: ClusterFrontOptions, deps: ClusterFrontDeps) {
    const { secret, seeds, hasMutualTls = false, rack = '' } = options
    const clusterId = () => this.metadata.image.clusterId || undefined
    const identity = {
      nodeId: 'front' as const,
      incarnation: 0,
      get clusterId() {
        return clusterId()
      },
    }
    const signature = new RequestSignature(deps, { secret, signBodies: !hasMutualTls })
    const client = new InternalClient({ ...deps, signature, identity })
    const nodes = () => [...this.metadata.image.nodes.values()]
    this.store = new RemoteMetadata({ ...deps, client, seeds, nodes })
    // A storage node that is asked may be behind another one that was.
    const follow = { hasLinearizableLists: false }
    this.metadata = new MetadataFollower({ ...deps, store: this.store }, follow)
    this.storage = new ClusterStorage({ ...deps, client, metadata: this.metadata }, { rack })
    this.topics = new TopicAdmin({ ...deps, store: this.store, view: this.metadata }, options)
    this.groups = new CoordinatorClient(
      {
        ...deps,
        metadata: this.metadata,
        topics: this.topics,
        coordinators: new RemoteCoordinators({
          ...deps,
          metadata: this.metadata,
          nodes: this.storage.nodes,
        }),
      },
      { partitions: options.offsetsPartitions ?? OFFSETS_PARTITIONS.cluster },
    )
    this.front = new Front(
      { ...deps, storage: this.storage, metadata: this.metadata, topics: this.topics },
      options.front,
    )
  }

  /** Resolves when the metadata are known; however long no storage node answers. */
  static async start(
    options: ClusterFrontOptions,
    deps: ClusterFrontDeps,
    signal: AbortSignal,
  ): Promise<ClusterFront> {
    const front = new ClusterFront(options, deps)
    const { metadata, store, storage } = front
    front.#lifecycle.started(() => store.close())
    try {
      await untilStoreAnswers(() => metadata.start(), deps, signal)
    } catch (error) {
      await front.stop()
      throw error
    }
    front.#lifecycle.started(() => metadata.close())
    front.#lifecycle.started(() => storage.close())
    front.#lifecycle.started(() => front.front.close())
    return front
  }

  async stop(): Promise<void> {
    await this.#lifecycle.stop()
  }
}
