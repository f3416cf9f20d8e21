/**
 * Moves leaderships of a node that goes on, one after the other and so that no producer is left in
 * doubt: the partition takes no more records, those it took are committed, and then another leads.
 * Only the leader can do so, as nobody else knows what is under way.
 */
import type { TopicId } from '../core/ids.ts'
import type { Clock } from '../env/clock.ts'
import type { Logger } from '../env/logger.ts'
import type { Counter } from '../env/metrics.ts'
import { unlessAborted } from '../lib/unless-aborted.ts'
import { whyOf } from '../lib/why.ts'
import type { MetadataView } from '../metadata/metadata-image.ts'
import { partitionMetadataKey } from '../metadata/metadata-keys.ts'
import type { MetadataStore } from '../metadata/metadata-store.ts'
import type { PartitionChange } from '../metadata/partition-writes.ts'
import { writeHandover } from './leader-handover.ts'
import type { PreferredLeaderOptions } from './preferred-leaders.ts'
import { PreferredLeaders, preferredMove } from './preferred-leaders.ts'
import type { Replica } from './replica.ts'

export interface LeaderMovesDeps {
  readonly store: MetadataStore
  readonly metadata: MetadataView
  readonly clock: Clock
  readonly logger: Logger
  readonly find: (topicId: TopicId, partition: number) => Replica | undefined
  /** Counts leaderships that went back to preferred leaders. */
  readonly movedBack: Counter
}

export interface LeaderMovesOptions {
  readonly nodeId: number
  readonly incarnation: number
  readonly preferred?: Partial<PreferredLeaderOptions>
}

const PREFERRED: PreferredLeaderOptions = { settleMs: 300_000, imbalance: 0.1, movesPerRound: 100 }
const INTERVAL_MS = 10_000
/** How long a partition may stand still; what is not committed by then leaves it where it is. */
const STAND_STILL_MS = 1_000

export class LeaderMoves {
  readonly #deps: LeaderMovesDeps
  readonly #options: LeaderMovesOptions
  readonly #preferred: PreferredLeaders
  readonly #stop = new AbortController()
  readonly #running: Promise<void>

  constructor(deps: LeaderMovesDeps, options: LeaderMovesOptions) {
    this.#deps = deps
    this.#options = options
    this.#preferred = new PreferredLeaders({ ...PREFERRED, ...options.preferred })
    this.#running = this.#run(this.#stop.signal)
  }

  /**
   * Moves what can be moved; resolves with how many were. A partition that cannot be settled in time
   * is left; when the store does not answer nothing stands still, and no more are tried.
   */
  async move(changes: readonly PartitionChange[]): Promise<number> {
    const { logger } = this.#deps
    let moved = 0
    for (const change of changes) {
      if (this.#stop.signal.aborted) break
      try {
        if (await this.#moveOne(change)) moved++
      } catch (error) {
        if (this.#stop.signal.aborted) break
        logger.warn({ why: whyOf(error) }, 'a leadership was not moved')
        break
      }
    }
    return moved
  }

  /** Makes the preferred leader of a partition that this node leads its leader; whether that came about. */
  async handBack(topicId: TopicId, partition: number): Promise<boolean> {
    const { metadata, movedBack } = this.#deps
    const change = preferredMove(metadata.image, this.#options.nodeId, { topicId, partition })
    if (change === undefined) return false
    const moved = await this.move([change])
    movedBack.increment(moved)
    return moved === 1
  }

  async close(): Promise<void> {
    this.#stop.abort(new Error('the node takes part no longer'))
    await this.#running
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock, metadata, logger, movedBack } = this.#deps
    while (!signal.aborted) {
      this.#preferred.observe(metadata.image, clock.monotonicMs())
      const changes = this.#preferred.plan(
        metadata.image,
        this.#options.nodeId,
        clock.monotonicMs(),
      )
      const moved = await this.move(changes)
      movedBack.increment(moved)
      if (changes.length > 0) {
        const fields = { moved, left: changes.length - moved }
        logger.info(fields, 'leadership was moved to preferred leaders')
      }
      await clock.sleep(INTERVAL_MS, signal).catch(() => undefined)
    }
  }

  async #moveOne(change: PartitionChange): Promise<boolean> {
    const { store, clock, find } = this.#deps
    const { topicId, partition, seenRevision } = change
    const replica = find(topicId, partition)
    if (replica?.tenure === undefined) return false
    const { signal } = this.#stop
    const entry = await unlessAborted(store.get(partitionMetadataKey(topicId, partition)), signal)
    if (entry?.modRevision !== seenRevision) return false
    const late = new AbortController()
    const timer = clock.timer(STAND_STILL_MS, () => late.abort())
    try {
      const stop = AbortSignal.any([signal, late.signal])
      return await replica.handOver(() => this.#write(change, stop), stop)
    } catch (error) {
      if (!late.signal.aborted) throw error
      return false
    } finally {
      timer.cancel()
    }
  }

  async #write(change: PartitionChange, signal: AbortSignal): Promise<boolean> {
    const { written, error } = await writeHandover(
      this.#deps.store,
      this.#options,
      [change],
      0,
      signal,
    )
    if (error !== undefined) throw error
    return written.length > 0
  }
}
