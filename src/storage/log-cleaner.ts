/**
 * Removes what a topic no longer keeps: whole segments that are too old or too many, always below
 * the high watermark. The start of the log rises first, durably; files go a while later, when
 * no reader can be in them.
 */
import type { Clock, Timer } from '../env/clock.ts'
import type { Logger } from '../env/logger.ts'
import { ServiceError } from '../lib/service-error.ts'
import type { PartitionLog } from './partition-log.ts'
import type { Segment } from './segment.ts'

/** A wall clock that ran further than this from the monotonic one was set: ages mean nothing then. */
const CLOCK_JUMP_MS = 10 * 60_000
/** How long nothing is removed for its age after that, so that a mistake can be mended. */
const CLOCK_DISTRUST_MS = 60 * 60_000
/** A wrong clock or setting may not empty a log in one pass. */
const SEGMENTS_PER_PASS = 1000

export interface LogCleanerDeps {
  readonly clock: Clock
  readonly logger: Logger
}

export interface LogCleanerOptions {
  readonly intervalMs: number
  readonly logs: () => Iterable<PartitionLog>
  /** Raises the start of the log durably and removes the segments below. */
  readonly raiseStart: (log: PartitionLog, startOffset: number) => Promise<unknown>
  /** Closes the active segment; may throw when there is no space. */
  readonly roll: (log: PartitionLog) => void
}

export class LogCleaner {
  readonly #deps: LogCleanerDeps
  readonly #options: LogCleanerOptions
  #timer: Timer | undefined
  #running: Promise<void> = Promise.resolve()
  #closed: boolean = false
  /** Wall clock minus monotonic clock, as it was at the last pass. */
  #clockOffsetMs: number
  #distrustUntilMs = Number.NEGATIVE_INFINITY

  constructor(deps: LogCleanerDeps, options: LogCleanerOptions) {
    this.#deps = deps
    this.#options = options
    this.#clockOffsetMs = deps.clock.nowMs() - deps.clock.monotonicMs()
  }

  start(): void {
    this.#timer = this.#deps.clock.timer(this.#options.intervalMs, () => {
      this.#running = this.run()
        .catch((error: unknown) => this.#deps.logger.warn({ err: error }, 'retention failed'))
        .then(() => {
          if (!this.#closed) this.start()
        })
    })
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#timer?.cancel()
    await this.#running
  }

  /** Whether the wall clock can be gone by. */
  get trustsClock(): boolean {
    return this.#deps.clock.monotonicMs() >= this.#distrustUntilMs
  }

  /** One pass over all logs. */
  async run(): Promise<void> {
    this.#checkClock()
    const clockIsSteady = this.trustsClock
    for (const log of this.#options.logs()) {
      if (this.#closed) return
      if (log.deleted || log.damage !== undefined) continue
      await this.#clean(log, clockIsSteady)
    }
  }

  /** Ages are trusted only if the wall clock has not jumped lately. */
  #checkClock(): void {
    const { clock, logger } = this.#deps
    const monotonicMs = clock.monotonicMs()
    const offsetMs = clock.nowMs() - monotonicMs
    const jumpedMs = offsetMs - this.#clockOffsetMs
    this.#clockOffsetMs = offsetMs
    if (Math.abs(jumpedMs) > CLOCK_JUMP_MS) {
      this.#distrustUntilMs = monotonicMs + CLOCK_DISTRUST_MS
      logger.error(
        { jumpedMs, pauseMs: CLOCK_DISTRUST_MS },
        'the clock was set; for a while no records are removed for their age',
      )
    }
  }

  async #clean(log: PartitionLog, clockIsSteady: boolean): Promise<void> {
    const nowMs = this.#deps.clock.nowMs()
    if (clockIsSteady) this.#rollIdle(log, nowMs)
    const expired = expiredSegments(log, clockIsSteady ? nowMs : undefined)
    const last = expired.at(-1)
    if (last === undefined) return
    await this.#options.raiseStart(log, last.endOffset)
    const { topicName, partition } = log.identity
    this.#deps.logger.info(
      { topicName, partition, segments: expired.length, startOffset: last.endOffset },
      'retention removed segments',
    )
  }

  /** An active segment would never expire as long as nothing is appended. */
  #rollIdle(log: PartitionLog, nowMs: number): void {
    const active = log.segments.at(-1)
    if (active === undefined || active.sizeBytes === 0) return
    const { retentionMs } = log.settings
    const ageMs = nowMs - active.createdAtMs
    const isExpired = retentionMs >= 0 && nowMs - active.maxTimestampMs > retentionMs
    if (ageMs <= log.rollMs && !(isExpired && ageMs > retentionMs)) return
    try {
      this.#options.roll(log)
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error
    }
  }
}

/** The oldest segments that may go, by age unless `nowMs` is undefined, and by size. */
export function expiredSegments(log: PartitionLog, nowMs: number | undefined): Segment[] {
  const { retentionMs, retentionBytes } = log.settings
  let keptBytes = log.sizeBytes
  const expired: Segment[] = []
  for (const segment of log.segments.slice(0, -1)) {
    const isTooOld =
      nowMs !== undefined && retentionMs >= 0 && nowMs - segment.maxTimestampMs > retentionMs
    const isTooMuch = retentionBytes >= 0 && keptBytes - segment.sizeBytes >= retentionBytes
    if (!(isTooOld || isTooMuch) || segment.endOffset > log.highWatermark) break
    if (expired.length === SEGMENTS_PER_PASS) break
    keptBytes -= segment.sizeBytes
    expired.push(segment)
  }
  return expired
}
