/**
 * What a storage node does as one of several, for as long as it is registered: serves its followers,
 * copies its leaders, and writes changes of its in-sync replicas.
 */
import type { TopicId } from '../core/ids.ts'
import type { Clock } from '../env/clock.ts'
import type { Logger } from '../env/logger.ts'
import type { Counter } from '../env/metrics.ts'
import type { Random } from '../env/random.ts'
import type { MetadataImage, MetadataView } from '../metadata/metadata-image.ts'
import type { MetadataStore } from '../metadata/metadata-store.ts'
import type { LogManager } from '../storage/log-manager.ts'
import type { ReplicaFetchReply, ReplicaFetchRequest } from '../wire/replica-fetch.ts'
import type { DamagedLogs } from './damaged-logs.ts'
import { FollowerSessions } from './follower-sessions.ts'
import { FullDisk } from './full-disk.ts'
import { IsrChanges } from './isr-changes.ts'
import { LeaderMoves } from './leader-moves.ts'
import type { PreferredLeaderOptions } from './preferred-leaders.ts'
import type { Replica } from './replica.ts'
import type { LeaderPeer } from './replica-fetcher.ts'
import { ReplicaFetchers } from './replica-fetchers.ts'

export interface ClusterPartDeps {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly storage: LogManager
  readonly store: MetadataStore
  readonly metadata: MetadataView
  readonly damaged: DamagedLogs
  readonly peer: (nodeId: number) => LeaderPeer | undefined
  readonly find: (topicId: TopicId, partition: number) => Replica | undefined
  readonly replicas: () => Iterable<Replica>
  /** Counts leaderships that went back to preferred leaders. */
  readonly movedBack: Counter
}

export interface ClusterPartOptions {
  readonly nodeId: number
  readonly incarnation: number
  readonly lagMaxMs: number
  readonly preferred?: Partial<PreferredLeaderOptions>
}

export class ClusterPart {
  readonly #sessions: FollowerSessions
  readonly #fetchers: ReplicaFetchers
  readonly #isrChanges: IsrChanges
  readonly #leaderMoves: LeaderMoves
  readonly #fullDisk: FullDisk
  #nodes: MetadataImage['nodes']

  constructor(deps: ClusterPartDeps, options: ClusterPartOptions) {
    const { storage, metadata, find } = deps
    this.#nodes = metadata.image.nodes
    this.#sessions = new FollowerSessions({
      ...deps,
      reader: storage.reader,
      find: ({ topicId, partition }) => find(topicId, partition),
    })
    this.#fetchers = new ReplicaFetchers(deps, options)
    this.#isrChanges = new IsrChanges(deps, options)
    this.#leaderMoves = new LeaderMoves(deps, options)
    const isFull = () => storage.diskIsFull
    const handOver = () => this.#leaderMoves.moveAll()
    this.#fullDisk = new FullDisk({ ...deps, isFull, handOver }, options)
  }

  /** When the node last asked for records, on the monotonic clock; -Infinity for never. */
  seenMs(nodeId: number): number {
    return this.#sessions.seenMs(nodeId)
  }

  /** A follower asks for records. */
  fetch(request: ReplicaFetchRequest, signal: AbortSignal): Promise<ReplicaFetchReply> {
    return this.#sessions.fetch(request, signal)
  }

  /** Makes the preferred leader of a partition that this node leads its leader; whether that came about. */
  handBack(topicId: TopicId, partition: number): Promise<boolean> {
    return this.#leaderMoves.handBack(topicId, partition)
  }

  /** The role of the replica may have changed. */
  assign(replica: Replica): void {
    this.#fetchers.assign(replica)
  }

  /** A follower that is not in sync has come further. */
  outsider(replica: Replica): void {
    this.#isrChanges.consider(replica)
  }

  /** Whoever has come or gone is dealt with at once. */
  follow({ nodes }: MetadataImage): void {
    if (nodes === this.#nodes) return
    for (const nodeId of new Set([...nodes.keys(), ...this.#nodes.keys()])) {
      const isSame = nodes.get(nodeId)?.incarnation === this.#nodes.get(nodeId)?.incarnation
      if (!isSame) this.#fetchers.wake(nodeId)
    }
    this.#nodes = nodes
    this.#isrChanges.considerAll()
  }

  async close(): Promise<void> {
    const ended = [this.#leaderMoves.close(), this.#fullDisk.close()]
    this.#sessions.close()
    await this.#fetchers.close()
    await this.#isrChanges.close()
    await Promise.all(ended)
  }
}
