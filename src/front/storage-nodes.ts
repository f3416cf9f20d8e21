/**
 * The storage nodes as a front sees them: who leads a partition, who is near, how a node is called.
 * Calls to a node that the metadata no longer know end soon after, however silent it is.
 */
import type { TopicId } from '../core/ids.ts'
import type { Clock, Timer } from '../env/clock.ts'
import type { InternalClient } from '../internal/internal-client.ts'
import { StorageClient } from '../internal/storage-client.ts'
import type { MetadataImage, MetadataView, NodeImage } from '../metadata/metadata-image.ts'

export interface Leader {
  readonly client: StorageClient
  readonly leaderEpoch: number
}

export interface StorageNodesDeps {
  readonly clock: Clock
  readonly client: InternalClient
  readonly metadata: MetadataView
}

interface KnownNode {
  readonly client: StorageClient
  readonly gone: AbortController
}

/** What a node that lost its registration may take to answer what is under way. */
const GRACE_MS = 1_000

export class StorageNodes {
  readonly #deps: StorageNodesDeps
  readonly #rack: string
  readonly #nodes = new Map<number, KnownNode>()
  readonly #graces = new Set<Timer>()
  readonly #unsubscribe: () => void

  /** `rack`: where this front is; empty if it does not matter. */
  constructor(deps: StorageNodesDeps, rack: string) {
    this.#deps = deps
    this.#rack = rack
    this.#unsubscribe = deps.metadata.onChange((image) => this.#leaveGone(image))
  }

  /** Undefined while the partition has no leader that is up. */
  leaderOf(topicId: TopicId, partition: number): Leader | undefined {
    const state = this.#deps.metadata.image.topicsById.get(topicId)?.partitions[partition]
    if (state === undefined || state.leader === -1) return undefined
    const client = this.#node(state.leader)
    return client && { client, leaderEpoch: state.leaderEpoch }
  }

  /** Undefined while the node is not up. */
  nodeOf(nodeId: number): StorageClient | undefined {
    return this.#node(nodeId)
  }

  /**
   * A follower in the rack of this front that is in sync, while the leader is not there itself. One
   * that is not in sync may be behind for ever (KAFKA-14372).
   */
  nearFollowerOf(topicId: TopicId, partition: number): StorageClient | undefined {
    if (this.#rack === '') return undefined
    const { nodes, topicsById } = this.#deps.metadata.image
    const state = topicsById.get(topicId)?.partitions[partition]
    if (state === undefined || nodes.get(state.leader)?.rack === this.#rack) return undefined
    const isNear = (node: NodeImage | undefined) => node?.rack === this.#rack && !node.draining
    const near = state.isr.filter((id) => id !== state.leader && isNear(nodes.get(id)))
    const chosen = near[partition % near.length]
    return chosen === undefined ? undefined : this.#node(chosen)
  }

  /** Whether the node is in the rack of this front. */
  isNear({ target }: StorageClient): boolean {
    for (const { url, rack } of this.#deps.metadata.image.nodes.values()) {
      if (url === target.url) return rack === this.#rack
    }
    return false
  }

  close(): void {
    this.#unsubscribe()
    for (const grace of this.#graces) grace.cancel()
    this.#graces.clear()
  }

  #node(nodeId: number): StorageClient | undefined {
    const node = this.#deps.metadata.image.nodes.get(nodeId)
    if (node === undefined) return undefined
    const known = this.#nodes.get(nodeId)
    if (known !== undefined) return known.client
    const { url, incarnation } = node
    const gone = new AbortController()
    const client = new StorageClient(this.#deps.client, { url, incarnation }, gone.signal)
    this.#nodes.set(nodeId, { client, gone })
    return client
  }

  #leaveGone({ nodes }: MetadataImage): void {
    for (const [nodeId, { client, gone }] of this.#nodes) {
      if (nodes.get(nodeId)?.incarnation === client.target.incarnation) continue
      this.#nodes.delete(nodeId)
      const grace = this.#deps.clock.timer(GRACE_MS, () => {
        this.#graces.delete(grace)
        gone.abort(new Error('the node is no longer registered'))
      })
      this.#graces.add(grace)
    }
  }
}
