/**
 * Natural batching: while a batch of a partition is being written, what arrives for it gathers and
 * is the next one, and goes when that is done or it has grown worth it. Nothing waits for a timer
 * unless the topic asks to linger. Owns the bounds on unfinished writes and their deadline.
 */
import type { Clock, Timer } from '../env/clock.ts'
import type { Logger } from '../env/logger.ts'
import { ByteBudget } from '../lib/byte-budget.ts'
import { ServiceError } from '../lib/service-error.ts'
import type { TopicImage } from '../metadata/metadata-image.ts'
import type { Acks, AppendRequest, Refusal, StorageService } from '../wire/internal.ts'
import type { AppendResult, PendingBatch, ProduceEntry } from './produce-lane.ts'
import { appendRequestOf, ProduceLane, settleBatch } from './produce-lane.ts'
import type { ProduceMeter } from './produce-meter.ts'

export interface ProduceBatcherDeps {
  readonly clock: Clock
  readonly storage: StorageService
  readonly logger: Logger
  readonly meter: ProduceMeter
  /** Told when a partition's batch is complete, so that records without a key go elsewhere next. */
  readonly onCut: (topic: TopicImage, partition: number) => void
}

export interface ProduceBatcherOptions {
  /** Bytes of records that may be unfinished at once. */
  readonly pendingBytes: number
  /** Entries that may be unfinished at once. */
  readonly pendingEntries: number
  /** After this the client is told that the outcome is unknown. */
  readonly timeoutMs: number
  /** Batches of one partition that may be on their way at once, while what waits is small. */
  readonly inFlightPerPartition: number
  /** With so many bytes a batch gains nothing from waiting for those before it. */
  readonly worthSendingBytes: number
}

export type NewEntry = Omit<ProduceEntry, 'addedMs' | 'count'>

const SWEEP_MS = 1000
const RETRY_AFTER_MS = 1000

export class ProduceBatcher {
  readonly #deps: ProduceBatcherDeps
  readonly #options: ProduceBatcherOptions
  readonly #budget: ByteBudget
  /** Forgotten with the image of the topic; a lane that still has work is held by `#active`. */
  readonly #lanes = new WeakMap<TopicImage, Map<number, ProduceLane>>()
  readonly #active = new Set<ProduceLane>()
  readonly #stop = new AbortController()
  #due: ProduceLane[] = []
  #entries = 0
  #sweep: Timer | undefined
  #whenIdle: (() => void)[] = []

  constructor(deps: ProduceBatcherDeps, options: ProduceBatcherOptions) {
    this.#deps = deps
    this.#options = options
    this.#budget = new ByteBudget(options.pendingBytes)
  }

  get pendingBytes(): number {
    return this.#budget.used
  }

  get pendingEntries(): number {
    return this.#entries
  }

  /**
   * Makes room for the entries of one request; each must then be added.
   * @throws ServiceError `overloaded` at the bounds
   */
  reserve(entries: number, sizeBytes: number): void {
    const isFull = this.#entries > 0 && this.#entries + entries > this.#options.pendingEntries
    if (isFull || !this.#budget.tryAcquire(sizeBytes)) {
      throw new ServiceError('overloaded', 'too many writes are unfinished', {
        retryAfterMs: RETRY_AFTER_MS,
      })
    }
    this.#entries += entries
  }

  /** Takes records for one partition; `settle` is called exactly once, after this has returned. */
  add(topic: TopicImage, partition: number, acks: Acks, entry: NewEntry): void {
    const lane = this.#lane(topic, partition, acks)
    const { length: count } = entry.records
    lane.add({ ...entry, count, addedMs: this.#deps.clock.monotonicMs() })
    this.#active.add(lane)
    this.#sweep ??= this.#deps.clock.timer(SWEEP_MS, this.#onSweep)
    if (lane.isFull) this.#deps.onCut(topic, partition)
    this.#consider(lane)
  }

  /** Resolves when nothing is unfinished. New entries are for the caller to keep away. */
  idle(): Promise<void> {
    if (this.#active.size === 0) return Promise.resolve()
    return new Promise((resolve) => {
      this.#whenIdle.push(resolve)
    })
  }

  /** Stops waiting for storage: what is unfinished ends as unknown. */
  close(): void {
    this.#stop.abort(new ServiceError('draining', 'the front is closing'))
    this.#expire(Number.POSITIVE_INFINITY)
    this.#sweep?.cancel()
    this.#sweep = undefined
  }

  #lane(topic: TopicImage, partition: number, acks: Acks): ProduceLane {
    let lanes = this.#lanes.get(topic)
    if (lanes === undefined) {
      lanes = new Map()
      this.#lanes.set(topic, lanes)
    }
    const key = partition * 3 + acks + 1
    let lane = lanes.get(key)
    if (lane === undefined) {
      lane = new ProduceLane(topic, partition, acks)
      lanes.set(key, lane)
    }
    return lane
  }

  /** Sees to it that the lane sends when it may. */
  #consider(lane: ProduceLane): void {
    if (lane.isDue || lane.pending.length === 0 || !this.#maySend(lane)) return
    const { lingerMs } = lane.topic.config
    if (lingerMs > 0 && !lane.isFull) {
      lane.linger ??= this.#deps.clock.timer(lingerMs, () => {
        lane.linger = undefined
        if (this.#maySend(lane)) this.#makeDue(lane)
      })
      return
    }
    this.#makeDue(lane)
  }

  #maySend(lane: ProduceLane): boolean {
    const { inFlightPerPartition, worthSendingBytes } = this.#options
    return lane.inFlight.size < inFlightPerPartition || lane.pendingBytes >= worthSendingBytes
  }

  #makeDue(lane: ProduceLane): void {
    if (lane.isDue || lane.pending.length === 0) return
    lane.isDue = true
    this.#due.push(lane)
    if (this.#due.length === 1) this.#deps.clock.immediate(this.#flush)
  }

  /** Sends what is due, all of one turn in one call. */
  readonly #flush = (): void => {
    const lanes = this.#due
    this.#due = []
    for (const lane of lanes) lane.isDue = false
    this.#send(lanes)
  }

  #send(lanes: readonly ProduceLane[]): void {
    const batches: PendingBatch[] = []
    const requests: AppendRequest[] = []
    const sentMs = this.#deps.clock.monotonicMs()
    for (const lane of lanes) {
      if (lane.pending.length === 0) continue
      lane.linger?.cancel()
      lane.linger = undefined
      this.#deps.onCut(lane.topic, lane.partition)
      for (const batch of lane.takeBatches(sentMs)) {
        lane.inFlight.add(batch)
        requests.push(appendRequestOf(batch))
        batches.push(batch)
      }
    }
    if (requests.length === 0) return
    const results = this.#deps.storage.append(requests, this.#stop.signal)
    for (const [i, batch] of batches.entries()) {
      results[i]?.then(
        (result) => this.#finish(batch, result),
        (error: unknown) => this.#fail(batch, error),
      )
    }
  }

  /** What has gathered goes first, so that the disk works while the answers are written. */
  #finish(batch: PendingBatch, result: AppendResult): void {
    const { meter, clock } = this.#deps
    const { lane } = batch
    lane.inFlight.delete(batch)
    if (lane.topic.config.lingerMs > 0) this.#consider(lane)
    else if (!lane.isDue && this.#maySend(lane)) this.#send([lane])
    const [oldest] = batch.entries
    if (oldest !== undefined) {
      const { sentMs } = batch
      meter.batch(sentMs - oldest.addedMs, clock.monotonicMs() - sentMs)
    }
    settleBatch(batch, result)
    this.#release(batch.entries)
    this.#retire(lane)
  }

  /** The contract of storage says that this does not happen; the records may have been written. */
  #fail(batch: PendingBatch, error: unknown): void {
    this.#deps.logger.error({ err: error }, 'an append failed in an unforeseen way')
    this.#finish(batch, unknownOutcome('the write failed half-way'))
  }

  #retire(lane: ProduceLane): void {
    if (!lane.isIdle) return
    this.#active.delete(lane)
    if (this.#active.size > 0) return
    const resolvers = this.#whenIdle
    this.#whenIdle = []
    for (const resolve of resolvers) resolve()
  }

  #release(entries: readonly ProduceEntry[]): void {
    this.#entries -= entries.length
    for (const entry of entries) this.#budget.release(entry.sizeBytes)
  }

  readonly #onSweep = (): void => {
    this.#sweep = undefined
    this.#expire(this.#deps.clock.monotonicMs() - this.#options.timeoutMs)
    if (this.#active.size > 0) this.#sweep = this.#deps.clock.timer(SWEEP_MS, this.#onSweep)
  }

  /** Ends what was added before `addedMs`. What was sent keeps its place in the bounds until storage answers. */
  #expire(addedMs: number): void {
    for (const lane of this.#active) {
      for (const batch of lane.inFlight.filter()) {
        for (const entry of batch.entries) {
          if (entry.addedMs >= addedMs) continue
          const { settle } = entry
          entry.settle = undefined
          settle?.(unknownOutcome('the write was not confirmed in time'), -1)
        }
      }
      const unsent = lane.removeOlder(addedMs)
      for (const entry of unsent) entry.settle?.(NOT_SENT, -1)
      this.#release(unsent)
      this.#retire(lane)
    }
  }
}

const NOT_SENT: Refusal = {
  ok: false,
  code: 'overloaded',
  detail: 'earlier writes to the partition take too long',
  committed: 'no',
}

function unknownOutcome(detail: string): Refusal {
  return { ok: false, code: 'outcome-unknown', detail, committed: 'unknown' }
}
