/**
 * Compacts logs in the background, one at a time and no faster than it may, the one with the most
 * to gain first.
 */
import type { Clock, Timer } from '../env/clock.ts'
import type { Logger } from '../env/logger.ts'
import type { CheckpointWriter } from './checkpoint-writer.ts'
import type { CompactionPassDeps } from './compaction-pass.ts'
import { CompactionPass } from './compaction-pass.ts'
import type { CompactionPlan } from './compaction-plan.ts'
import { planCompaction } from './compaction-plan.ts'
import type { DiskSpace } from './disk-space.ts'
import type { PartitionLog } from './partition-log.ts'
import type { Segment } from './segment.ts'

/** Shorter sleeps cost more than they bring. */
const PAUSE_MIN_MS = 4

export interface LogCompactorDeps extends CompactionPassDeps {
  readonly clock: Clock
  readonly logger: Logger
  readonly disk: DiskSpace
}

export interface LogCompactorOptions {
  readonly intervalMs: number
  readonly bytesPerSecond: number
  readonly keyMapBytes: number
  /** Where it is looked how much is free, and how much of that must stay. */
  readonly directory: string
  readonly minFreeBytes: number
  readonly logs: () => Iterable<PartitionLog>
  readonly checkpoints: Pick<CheckpointWriter, 'closedEnd' | 'note' | 'afterNext'>
  /** Removes the files of segments that are in no checkpoint any more. */
  readonly removeFiles: (log: PartitionLog, segments: readonly Segment[]) => void
  /** Whether the wall clock can be gone by. */
  readonly trustsClock: () => boolean
}

export class LogCompactor {
  readonly #deps: LogCompactorDeps
  readonly #options: LogCompactorOptions
  readonly #stopping = new AbortController()
  readonly #lastPassMs = new WeakMap<PartitionLog, number>()
  #timer: Timer | undefined
  #running: Promise<void> = Promise.resolve()
  /** Time that was spent less than it may take. */
  #owedMs = 0
  /** Since the start of the process. */
  readBytes = 0
  removedBytes = 0
  passes = 0

  constructor(deps: LogCompactorDeps, options: LogCompactorOptions) {
    this.#deps = deps
    this.#options = options
  }

  start(): void {
    this.#timer = this.#deps.clock.timer(this.#options.intervalMs, () => {
      void this.run().then(() => {
        if (!this.#stopping.signal.aborted) this.start()
      })
    })
  }

  /** Stops at once: what is not whole is given up. */
  async close(): Promise<void> {
    this.#stopping.abort()
    this.#timer?.cancel()
    await this.#running
  }

  /** Share of the log's closed segments that is not compacted; undefined if it has no such segments. */
  dirtyRatio(log: PartitionLog): number | undefined {
    return this.#plan(log)?.dirtyRatio
  }

  /** When the last pass over the log ended, by the wall clock; undefined before the first. */
  lastPassMs(log: PartitionLog): number | undefined {
    return this.#lastPassMs.get(log)
  }

  /** Compacts each log that is due, once; after what runs. */
  run(): Promise<void> {
    this.#running = this.#running
      .then(() => this.#run())
      .catch((error: unknown) => this.#deps.logger.warn({ err: error }, 'compaction failed'))
    return this.#running
  }

  async #run(): Promise<void> {
    const due: { log: PartitionLog; dirtyRatio: number }[] = []
    for (const log of this.#options.logs()) {
      const plan = this.#plan(log)
      if (plan?.isDue === true) due.push({ log, dirtyRatio: plan.dirtyRatio })
    }
    due.sort((a, b) => b.dirtyRatio - a.dirtyRatio)
    for (const { log } of due) {
      if (this.#stopping.signal.aborted || this.#deps.disk.isFull) return
      // It may have changed while others were compacted.
      const plan = this.#plan(log)
      if (plan?.isDue === true && (await this.#hasRoom(plan))) await this.#compact(log, plan)
    }
  }

  #plan(log: PartitionLog): CompactionPlan | undefined {
    const closedEnd = this.#options.checkpoints.closedEnd(log)
    return planCompaction(log, closedEnd, this.#deps.clock.nowMs())
  }

  /** Old and new segments are there together for a while, which must not cost producers their room. */
  async #hasRoom({ segments }: CompactionPlan): Promise<boolean> {
    let bytes = 0
    for (const { sizeBytes } of segments) bytes += sizeBytes
    const { fileSystem, logger } = this.#deps
    const freeBytes = await fileSystem.freeBytes(this.#options.directory)
    if (freeBytes - bytes >= this.#options.minFreeBytes) return true
    logger.warn({ freeBytes, neededBytes: bytes }, 'there is no room to compact a partition')
    return false
  }

  async #compact(log: PartitionLog, plan: CompactionPlan): Promise<void> {
    const { clock, logger } = this.#deps
    const { checkpoints, keyMapBytes, trustsClock, removeFiles } = this.#options
    const { topicName, partition } = log.identity
    const pass = new CompactionPass(this.#deps, log, plan, {
      keyMapBytes,
      nowMs: clock.nowMs(),
      mayPurge: trustsClock(),
      pace: (bytes) => this.#pace(bytes),
      onReplaced: (replaced) => {
        checkpoints.note(log)
        checkpoints.afterNext(() => removeFiles(log, replaced))
      },
    })
    try {
      const { end, removedBytes } = await pass.run()
      this.removedBytes += removedBytes
      if (end === 'overtaken') return
      this.passes++
      this.#lastPassMs.set(log, clock.nowMs())
      checkpoints.note(log)
      logger.info(
        { topicName, partition, removedBytes, endOffset: log.compacted.endOffset },
        'a partition was compacted',
      )
    } catch (error) {
      if (this.#stopping.signal.aborted) return
      logger.error({ err: error, topicName, partition }, 'a partition was not compacted')
    }
  }

  /** Leaves disk and processor to others for as long as the bytes may take. */
  async #pace(bytes: number): Promise<void> {
    const { signal } = this.#stopping
    signal.throwIfAborted()
    this.readBytes += bytes
    this.#owedMs += (bytes * 1000) / this.#options.bytesPerSecond
    if (this.#owedMs < PAUSE_MIN_MS) return
    const pauseMs = this.#owedMs
    this.#owedMs = 0
    await this.#deps.clock.sleep(pauseMs, signal)
  }
}
