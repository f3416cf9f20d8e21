/** Which leader is copied for which of the partitions that this node follows: one fetcher per leader. */
import type { Clock } from '../env/clock.ts'
import type { Logger } from '../env/logger.ts'
import type { Random } from '../env/random.ts'
import type { LogManager } from '../storage/log-manager.ts'
import type { DamagedLogs } from './damaged-logs.ts'
import type { Following, Replica } from './replica.ts'
import type { LeaderPeer } from './replica-fetcher.ts'
import { ReplicaFetcher } from './replica-fetcher.ts'

export interface ReplicaFetchersDeps {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly storage: LogManager
  readonly damaged: DamagedLogs
  /** Another node as the metadata know it now; undefined while it is not up. */
  readonly peer: (nodeId: number) => LeaderPeer | undefined
}

export interface ReplicaFetchersOptions {
  readonly nodeId: number
  readonly incarnation: number
}

/** Short enough that a follower of an idle leader is seen to be alive. */
const WAIT_MS = 500
const ANSWER_BYTES_MAX = 8 * 1024 * 1024

export class ReplicaFetchers {
  readonly #deps: ReplicaFetchersDeps
  readonly #options: ReplicaFetchersOptions
  readonly #fetchers = new Map<number, ReplicaFetcher>()
  readonly #followed = new Map<Replica, Following>()
  /** Fetchers with nothing left to copy, as long as they are at it. */
  readonly #closing = new Set<Promise<void>>()

  constructor(deps: ReplicaFetchersDeps, options: ReplicaFetchersOptions) {
    this.#deps = deps
    this.#options = options
  }

  /** The role of the replica may have changed. */
  assign(replica: Replica): void {
    const { following } = replica
    const before = this.#followed.get(replica)
    const isSameLeader = before?.leader === following?.leader
    if (before !== undefined && !isSameLeader) this.#leave(replica, before.leader)
    if (following === undefined) return
    this.#followed.set(replica, following)
    // Most changes are of the replicas in sync: for them no request is interrupted.
    if (isSameLeader && before?.leaderEpoch === following.leaderEpoch) return
    this.#fetcher(following.leader).add(replica)
  }

  /** The node has come or gone: whoever waits for it looks again. */
  wake(leader: number): void {
    this.#fetchers.get(leader)?.wake()
  }

  async close(): Promise<void> {
    const fetchers = [...this.#fetchers.values()]
    this.#fetchers.clear()
    this.#followed.clear()
    await Promise.all([...this.#closing, ...fetchers.map((fetcher) => fetcher.close())])
  }

  #leave(replica: Replica, leader: number): void {
    this.#followed.delete(replica)
    const fetcher = this.#fetchers.get(leader)
    fetcher?.remove(replica)
    if (fetcher?.partitions !== 0) return
    this.#fetchers.delete(leader)
    const closing = fetcher.close().finally(() => this.#closing.delete(closing))
    this.#closing.add(closing)
  }

  #fetcher(leader: number): ReplicaFetcher {
    let fetcher = this.#fetchers.get(leader)
    if (fetcher === undefined) {
      const { peer, ...deps } = this.#deps
      fetcher = new ReplicaFetcher(
        { ...deps, leader: () => peer(leader) },
        { ...this.#options, leaderId: leader, waitMs: WAIT_MS, maxBytes: ANSWER_BYTES_MAX },
      )
      this.#fetchers.set(leader, fetcher)
    }
    return fetcher
  }
}
