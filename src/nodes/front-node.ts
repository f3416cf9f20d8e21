/** A front of a cluster with its public HTTP. */
import type { FrontConfig } from '../config.ts'
import { Groups } from '../front/groups/groups.ts'
import { OfflinePartitions } from '../front/offline-partitions.ts'
import { PartitionElections } from '../front/partition-elections.ts'
import type { App } from '../http/app.ts'
import { buildPublicApp } from '../http/public/public-app.ts'
import type { ClusterFrontDeps } from './cluster-front.ts'
import { ClusterFront } from './cluster-front.ts'
import { measureMetadata } from './cluster-metrics.ts'
import { drained } from './drained.ts'
import { Lifecycle } from './lifecycle.ts'
import { publicAppOptions } from './public-app-options.ts'

export class FrontNode {
  readonly #core: ClusterFront
  readonly #app: App
  readonly #lifecycle: Lifecycle
  /** Where it listens, with the port that it got. */
  readonly url: string

  private constructor(core: ClusterFront, app: App, lifecycle: Lifecycle, url: string) {
    this.#core = core
    this.#app = app
    this.#lifecycle = lifecycle
    this.url = url
  }

  /** Resolves when requests are served, which needs one storage node that answers. */
  static async start(
    config: FrontConfig,
    deps: ClusterFrontDeps,
    signal: AbortSignal,
  ): Promise<FrontNode> {
    const lifecycle = new Lifecycle()
    try {
      const { clusterSecret: secret, storage: seeds, autoCreateTopics, rack } = config
      const front = { waitingReads: config.maxWaitingReads }
      const hasMutualTls = config.tlsCert !== ''
      const options = { secret, hasMutualTls, seeds, autoCreateTopics, rack, front }
      const core = await ClusterFront.start(options, deps, signal)
      lifecycle.started(() => core.stop())
      const { metadata, storage, topics, store } = core
      measureMetadata(deps.metrics, metadata)
      const groups = new Groups({ ...deps, storage, metadata, service: core.groups })
      core.front.onDrain(() => groups.drain())
      const app = await buildPublicApp(
        {
          ...deps,
          front: core.front,
          groups,
          topics,
          elections: new PartitionElections({
            ...deps,
            store,
            view: metadata,
            handBack: (topicId, partition) => storage.handBack(topicId, partition),
          }),
          offline: new OfflinePartitions({
            metadata,
            replicaLogs: (node, places) => storage.replicaLogs(node, places),
          }),
          storage,
          metadata,
          controller: () => metadata.image.controller?.nodeId ?? -1,
          draining: () => lifecycle.isDraining,
          notReady: () => notReady(lifecycle, core),
        },
        publicAppOptions(config),
      )
      lifecycle.started(() => app.close())
      const url = await app.listen({ host: config.host, port: config.port })
      return new FrontNode(core, app, lifecycle, url)
    } catch (error) {
      await lifecycle.stop()
      throw error
    }
  }

  /** Takes no new work and finishes what is under way, until the signal aborts. */
  async drain(signal: AbortSignal): Promise<void> {
    this.#lifecycle.isDraining = true
    await drained([this.#core.front.drain(), this.#app.whenIdle()], signal)
  }

  async stop(): Promise<void> {
    this.#lifecycle.isDraining = true
    await this.#lifecycle.stop()
  }
}

function notReady({ isDraining }: Lifecycle, { metadata }: ClusterFront): readonly string[] {
  if (isDraining) return ['the node is shutting down']
  return metadata.image.nodes.size === 0 ? ['no storage node is up'] : []
}
