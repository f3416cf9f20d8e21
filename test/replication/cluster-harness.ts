/**
 * Several nodes' partitions on simulated disks, with metadata that a test changes by hand and calls
 * that go through the codec but over no network.
 */
import type { TopicId, TopicName } from '../../src/core/ids.ts'
import type { PartitionState } from '../../src/core/partition-state.ts'
import { initialSlotMap } from '../../src/core/slot-map.ts'
import type { TopicConfig } from '../../src/core/topic.ts'
import { defaultTopicConfig } from '../../src/core/topic.ts'
import type { Logger } from '../../src/env/logger.ts'
import { nullLogger } from '../../src/env/logger.ts'
import { SeededRandom } from '../../src/env/seeded-random.ts'
import type {
  MetadataImage,
  MetadataView,
  NodeImage,
  TopicImage,
} from '../../src/metadata/metadata-image.ts'
import { partitionMetadataKey } from '../../src/metadata/metadata-keys.ts'
import { decodePartition } from '../../src/metadata/metadata-records.ts'
import type {
  Entry,
  MetadataStore,
  Transaction,
  TransactionOutcome,
} from '../../src/metadata/metadata-store.ts'
import type { Replica } from '../../src/replication/replica.ts'
import type { LeaderPeer } from '../../src/replication/replica-fetcher.ts'
import type { ReplicaManagerOptions } from '../../src/replication/replica-manager.ts'
import { ReplicaManager } from '../../src/replication/replica-manager.ts'
import type { PartitionLog } from '../../src/storage/partition-log.ts'
import type { ReplicaFetchReply, ReplicaFetchRequest } from '../../src/wire/replica-fetch.ts'
import {
  decodeReplicaAnswer,
  decodeReplicaFetch,
  encodeReplicaAnswer,
  encodeReplicaFetch,
} from '../../src/wire/replica-fetch-codec.ts'
import { SimClock } from '../sim/sim-clock.ts'
import { SimFileSystem } from '../sim/sim-file-system.ts'
import { DATA, NEVER, request, SMALL } from './replica-harness.ts'

const TOPIC = 't' as TopicName
export const TOPIC_ID = '1'.padStart(32, '0') as TopicId
const STEP_MS = 5
const PATIENCE_MS = 60_000

class NodeMetadata implements MetadataView {
  image: MetadataImage
  /** Does not hear of changes meanwhile. */
  isBehind: boolean = false
  readonly #listeners = new Set<(image: MetadataImage) => void>()

  constructor(image: MetadataImage) {
    this.image = image
  }

  onChange(listener: (image: MetadataImage) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  see(image: MetadataImage): void {
    if (this.isBehind) return
    this.image = image
    for (const listener of this.#listeners) listener(image)
  }
}

export interface HarnessNode {
  readonly nodeId: number
  readonly metadata: NodeMetadata
  readonly fatal: unknown[]
  fileSystem: SimFileSystem
  manager: ReplicaManager
  readonly process: { isDead: boolean }
  /** Takes calls, and is registered. */
  isUp: boolean
}

/** What becomes of a call to the store: by default it is carried out. */
export type StoreFate = (
  transaction: Transaction | string,
) => 'done' | 'lost' | 'done-unheard' | Error

export class ClusterHarness {
  readonly clock = new SimClock({ immediates: 'microtask' })
  readonly random = new SeededRandom(1)
  readonly nodes = new Map<number, HarnessNode>()
  readonly options: Partial<ReplicaManagerOptions>
  /** Every fetch of a follower, as it was sent. */
  readonly fetches: ReplicaFetchRequest[] = []
  readonly transactions: Transaction[] = []
  logger: Logger = nullLogger
  storeFate: StoreFate = () => 'done'
  /** Whether nodes can be sure that nobody else was elected. */
  isFresh: boolean = true
  /** Disks of nodes that start from now on take no time at all, not even a turn. */
  hasInstantDisks: boolean = false
  /** Told of a node that has its logs and is not registered yet. */
  onOpened: (node: HarnessNode) => void = () => undefined
  /** Looks at, or changes, what a leader answers; may throw. */
  onReply: (
    leader: number,
    request: ReplicaFetchRequest,
    reply: ReplicaFetchReply,
  ) => ReplicaFetchReply = (_leader, _request, reply) => reply
  #image: MetadataImage

  constructor(
    topic: { replicas: readonly number[]; partitions?: number; config?: Partial<TopicConfig> },
    options: Partial<ReplicaManagerOptions> = {},
  ) {
    const { replicas, partitions = 1, config } = topic
    this.options = { ...SMALL, ...options }
    const none: MetadataImage = {
      clusterId: 'test-cluster',
      version: 100,
      topics: new Map(),
      topicsById: new Map(),
      nodes: new Map(),
      controller: undefined,
      members: new Map(),
      removedTopics: new Map(),
    }
    this.#image = withTopic(none, {
      name: TOPIC,
      id: TOPIC_ID,
      config: { ...defaultTopicConfig(3), minInsyncReplicas: 1, ...config },
      slotMap: initialSlotMap(partitions),
      createdAtMs: 0,
      partitions: Array.from({ length: partitions }, () => ({
        replicas,
        leader: -1,
        leaderEpoch: 0,
        isr: replicas,
        elr: [],
        state: 'active' as const,
        revision: 100,
      })),
    })
  }

  get image(): MetadataImage {
    return this.#image
  }

  get topic(): TopicImage {
    return this.#image.topics.get(TOPIC) as TopicImage
  }

  state(partition = 0) {
    const state = this.topic.partitions[partition]
    if (state === undefined) throw new Error(`no partition ${partition}`)
    return state
  }

  node(nodeId: number): HarnessNode {
    const node = this.nodes.get(nodeId)
    if (node === undefined) throw new Error(`no node ${nodeId}`)
    return node
  }

  log(nodeId: number, partition = 0): PartitionLog {
    const log = this.node(nodeId).manager.storage.find(TOPIC_ID, partition)
    if (log === undefined) throw new Error(`node ${nodeId} has no log`)
    return log
  }

  replica(nodeId: number, partition = 0): Replica {
    const replica = this.node(nodeId).manager.find(TOPIC_ID, partition)
    if (replica === undefined) throw new Error(`node ${nodeId} has no replica`)
    return replica
  }

  /** Opens the storage of the node, registers it and lets it take part. */
  async start(nodeId: number, options: Partial<ReplicaManagerOptions> = {}): Promise<HarnessNode> {
    const known = this.nodes.get(nodeId)
    const metadata = new NodeMetadata(this.#image)
    const fileSystem =
      known?.fileSystem ??
      new SimFileSystem({
        random: this.random,
        ...(!this.hasInstantDisks && { clock: this.clock, latencyMs: 0 }),
      })
    const fatal: unknown[] = []
    const process = { isDead: false }
    const opening = ReplicaManager.open(
      {
        fileSystem,
        clock: this.clock,
        random: this.random,
        logger: this.logger,
        metadata,
        cluster: {
          store: this.#store(process),
          peer: (leader) => this.#peer(process, leader),
          isFresh: () => this.isFresh,
          reregister: () => undefined,
        },
        onFatal: (error) => fatal.push(error),
      },
      { dataDirectory: DATA, nodeId, ...this.options, ...options },
    )
    const manager = await this.clock.run(opening)
    const node = { nodeId, metadata, fatal, fileSystem, manager, process, isUp: true }
    this.nodes.set(nodeId, node)
    this.onOpened(node)
    const incarnation = this.#register(nodeId)
    manager.join(incarnation)
    return node
  }

  /** The process is gone, its machine goes on; others see that it is not there. */
  kill(nodeId: number): void {
    const node = this.node(nodeId)
    node.fileSystem = node.fileSystem.kill()
    this.#gone(node)
  }

  crash(nodeId: number): void {
    const node = this.node(nodeId)
    node.fileSystem = node.fileSystem.crash(this.random)
    this.#gone(node)
  }

  /** The node gives up its roles and comes back as another incarnation. */
  async reregister(nodeId: number): Promise<void> {
    await this.clock.run(this.node(nodeId).manager.leave())
    this.node(nodeId).manager.join(this.#register(nodeId))
  }

  /** As the metadata would have it, in another epoch. */
  elect(leader: number, change: Partial<PartitionState> = {}, partition = 0): void {
    const leaderEpoch = this.state(partition).leaderEpoch + 1
    this.change({ leader, leaderEpoch, ...change }, partition)
  }

  change(change: Partial<PartitionState>, partition = 0): void {
    this.#publish(() => {
      const { topic } = this
      const revision = this.#image.version + 1
      return withTopic(this.#image, {
        ...topic,
        partitions: topic.partitions.map((state, number) =>
          number === partition ? { ...state, ...change, revision } : state,
        ),
      })
    })
  }

  configure(config: Partial<TopicConfig>): void {
    const { topic } = this
    this.#publish(() =>
      withTopic(this.#image, { ...topic, config: { ...topic.config, ...config } }),
    )
  }

  removeTopic(): void {
    this.#publish(() => ({
      ...this.#image,
      topics: new Map(),
      topicsById: new Map(),
      removedTopics: new Map([[TOPIC_ID, 0]]),
    }))
  }

  /** The node hears what it missed. */
  catchUp(nodeId: number): void {
    const { metadata } = this.node(nodeId)
    metadata.isBehind = false
    metadata.see(this.#image)
  }

  append(nodeId: number, values: readonly string[], options: Parameters<typeof request>[2] = {}) {
    const { manager } = this.node(nodeId)
    const [answer] = manager.append([request(TOPIC_ID, values, options)], NEVER)
    if (answer === undefined) throw new Error('a request has an answer')
    return answer
  }

  /** Appends and drives time until the answer is there. */
  async appended(
    nodeId: number,
    values: readonly string[],
    options: Parameters<typeof request>[2] = {},
  ) {
    return await this.clock.run(this.append(nodeId, values, options))
  }

  /** Lets time pass until it holds. */
  async until(what: string, holds: () => boolean, patienceMs = PATIENCE_MS): Promise<void> {
    for (let ms = 0; ms < patienceMs; ms += STEP_MS) {
      if (holds()) return
      await this.clock.runFor(STEP_MS)
    }
    throw new Error(`it did not come to this: ${what}`)
  }

  /** Until the logs of the nodes are the same, durably. */
  async untilCopied(nodeIds: readonly number[], partition = 0): Promise<void> {
    const ends = () => nodeIds.map((nodeId) => this.log(nodeId, partition))
    await this.until(
      'the logs have the same end',
      () => new Set(ends().flatMap((log) => [log.endOffset, log.durableEnd])).size === 1,
    )
  }

  #gone(node: HarnessNode): void {
    node.isUp = false
    node.process.isDead = true
    node.metadata.isBehind = true
    this.#publish(() => {
      const nodes = new Map(this.#image.nodes)
      nodes.delete(node.nodeId)
      return { ...this.#image, nodes }
    })
  }

  #register(nodeId: number): number {
    const incarnation = this.#image.version + 1
    const entry: NodeImage = { id: nodeId, url: '', rack: '', incarnation, draining: false }
    this.#publish(() => ({
      ...this.#image,
      nodes: new Map(this.#image.nodes).set(nodeId, entry),
    }))
    return incarnation
  }

  #publish(next: () => MetadataImage): void {
    this.#image = { ...next(), version: this.#image.version + 1 }
    for (const { metadata } of this.nodes.values()) metadata.see(this.#image)
  }

  #peer(process: { isDead: boolean }, leader: number): LeaderPeer | undefined {
    if (this.nodes.get(leader)?.isUp !== true) return undefined
    return {
      replicaFetch: async (fetch, signal) => {
        if (process.isDead) return await never()
        this.fetches.push(fetch)
        const { manager } = this.node(leader)
        const sent = decodeReplicaFetch(join(encodeReplicaFetch(fetch)))
        const reply = await manager.replicaFetch(sent, signal)
        signal.throwIfAborted()
        const answer = this.onReply(leader, fetch, reply)
        return decodeReplicaAnswer(join(encodeReplicaAnswer(answer)))
      },
    }
  }

  #store(process: { isDead: boolean }): MetadataStore {
    const unused = () => {
      throw new Error('not used by replicas')
    }
    return {
      maxOperations: 128,
      get: async (key) => {
        if (process.isDead) return await never()
        const fate = this.storeFate(key)
        if (fate instanceof Error) throw fate
        return this.#entry(key)
      },
      transact: async (transaction) => {
        if (process.isDead) return await never()
        this.transactions.push(transaction)
        const fate = this.storeFate(transaction)
        if (fate instanceof Error) throw fate
        if (fate === 'lost') throw new Error('the call was lost')
        const outcome = this.#transact(transaction)
        if (fate === 'done-unheard') throw new Error('the answer was lost')
        return outcome
      },
      list: unused,
      watch: unused,
      lease: unused,
      close: () => Promise.resolve(),
    }
  }

  #entry(key: string): Entry | undefined {
    const nodes = [...this.#image.nodes.values()]
    const node = nodes.find(({ id }) => key === `/nodes/${id}`)
    if (node !== undefined) {
      return { key, value: '', createRevision: node.incarnation, modRevision: node.incarnation }
    }
    const partition = this.topic.partitions.findIndex(
      (_, number) => key === partitionMetadataKey(TOPIC_ID, number),
    )
    if (partition === -1) return undefined
    return { key, value: '', createRevision: 100, modRevision: this.state(partition).revision }
  }

  #transact({ compare, put }: Transaction): TransactionOutcome {
    const holds = compare.every(
      ({ key, target, equals }) => (this.#entry(key)?.[target] ?? 0) === equals,
    )
    if (!holds) return { succeeded: false, revision: this.#image.version }
    for (const { key, value } of put) {
      const partition = this.topic.partitions.findIndex(
        (_, number) => key === partitionMetadataKey(TOPIC_ID, number),
      )
      this.change(decodePartition(value), partition)
    }
    return { succeeded: true, revision: this.#image.version }
  }
}

/** What a process that is gone waits for. */
const never = (): Promise<never> => new Promise(() => undefined)

function withTopic(image: MetadataImage, topic: TopicImage): MetadataImage {
  return {
    ...image,
    topics: new Map(image.topics).set(topic.name, topic),
    topicsById: new Map(image.topicsById).set(topic.id, topic),
  }
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts))
}
