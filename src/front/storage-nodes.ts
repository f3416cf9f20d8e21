/** The storage nodes as a front sees them: who leads a partition, and how that node is called. */
import type { TopicId } from '../core/ids.ts'
import type { InternalClient } from '../internal/internal-client.ts'
import { StorageClient } from '../internal/storage-client.ts'
import type { MetadataView } from '../metadata/metadata-image.ts'

export interface Leader {
  readonly client: StorageClient
  readonly leaderEpoch: number
}

export class StorageNodes {
  readonly #client: InternalClient
  readonly #metadata: MetadataView
  readonly #nodes = new Map<number, StorageClient>()

  constructor(deps: { client: InternalClient; metadata: MetadataView }) {
    this.#client = deps.client
    this.#metadata = deps.metadata
  }

  /** Undefined while the partition has no leader that is up. */
  leaderOf(topicId: TopicId, partition: number): Leader | undefined {
    const state = this.#metadata.image.topicsById.get(topicId)?.partitions[partition]
    if (state === undefined || state.leader === -1) return undefined
    const client = this.#node(state.leader)
    return client && { client, leaderEpoch: state.leaderEpoch }
  }

  #node(nodeId: number): StorageClient | undefined {
    const node = this.#metadata.image.nodes.get(nodeId)
    if (node === undefined) {
      this.#nodes.delete(nodeId)
      return undefined
    }
    const { url, incarnation } = node
    const known = this.#nodes.get(nodeId)
    if (known?.target.url === url && known.target.incarnation === incarnation) return known
    const client = new StorageClient(this.#client, { url, incarnation })
    this.#nodes.set(nodeId, client)
    return client
  }
}
