/**
 * Moves leaderships of a node that goes on, a few at a time and so that no producer is left in
 * doubt: the partition takes no more records, those it took are committed, and then another leads.
 * Only the leader can do so, as nobody else knows what is under way.
 */
import type { TopicId } from '../core/ids.ts'
import type { Clock } from '../env/clock.ts'
import type { Logger } from '../env/logger.ts'
import type { Counter } from '../env/metrics.ts'
import type { Random } from '../env/random.ts'
import { unlessAborted } from '../lib/unless-aborted.ts'
import { whyOf } from '../lib/why.ts'
import type { MetadataView } from '../metadata/metadata-image.ts'
import { partitionMetadataKey } from '../metadata/metadata-keys.ts'
import type { MetadataStore } from '../metadata/metadata-store.ts'
import type { PartitionChange } from '../metadata/partition-writes.ts'
import { untilStoreAnswers } from '../metadata/until-store-answers.ts'
import { planHandover, writeHandover } from './leader-handover.ts'
import type { PreferredLeaderOptions } from './preferred-leaders.ts'
import { PreferredLeaders, preferredMove } from './preferred-leaders.ts'
import type { Replica } from './replica.ts'

export interface LeaderMovesDeps {
  readonly store: MetadataStore
  readonly metadata: MetadataView
  readonly clock: Clock
  readonly random: Random
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
const CONCURRENT = 16
const RETRY_MS = 100

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
    const left = changes.values()
    let moved = 0
    let hasFailed: boolean = false
    const work = async () => {
      // They share what is left.
      for (const change of left) {
        if (await this.#moveOne(change)) moved++
        if (hasFailed || this.#stop.signal.aborted) return
      }
    }
    const workers = Array.from({ length: Math.min(CONCURRENT, changes.length) }, () =>
      work().catch((error: unknown) => {
        if (!hasFailed && !this.#stop.signal.aborted) {
          logger.warn({ why: whyOf(error) }, 'a leadership was not moved')
        }
        hasFailed = true
      }),
    )
    await Promise.all(workers)
    return moved
  }

  /** Moves all that others can lead as it is; resolves with how many came to be moved. */
  moveAll(): Promise<number> {
    return this.move(planHandover(this.#deps.metadata.image, this.#options.nodeId))
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
      const write = () => this.#write(change)
      return await replica.handOver({ fromRevision: seenRevision, write }, stop)
    } catch (error) {
      if (!late.signal.aborted) throw error
      return false
    } finally {
      timer.cancel()
    }
  }

  /** Asked for until the store answers: what it did not answer may come about as long as it may be. */
  async #write(change: PartitionChange): Promise<boolean> {
    const { store } = this.#deps
    const { signal } = this.#stop
    const { topicId, partition, seenRevision } = change
    const attempt = async () => {
      const { written, error } = await writeHandover(store, this.#options, [change], 0, signal)
      if (error !== undefined) throw error
      if (written.length > 0) return true
      // Refused, perhaps because an earlier attempt came about.
      const entry = await store.get(partitionMetadataKey(topicId, partition))
      return entry?.modRevision !== seenRevision
    }
    return await untilStoreAnswers(attempt, { ...this.#deps, retryMs: RETRY_MS }, signal)
  }
}
