/**
 * Makes checkpoints: has every changed log written and synced up to one moment, a few at a time so
 * that the disk is left to the journal in between, notes where each stands, and frees the journal
 * up to that moment.
 */
import type { Clock, Timer } from '../env/clock.ts'
import type { FileSystem } from '../env/file-system.ts'
import type { Logger } from '../env/logger.ts'
import { ServiceError } from '../lib/service-error.ts'
import type { CheckpointedLog } from './checkpoint.ts'
import { writeCheckpointText } from './checkpoint.ts'
import type { DiskSpace } from './disk-space.ts'
import { isNoSpace } from './disk-space.ts'
import type { FilePool } from './file-pool.ts'
import type { Journal } from './journal.ts'
import type { JournalPosition } from './journal-index.ts'
import type { LogWriter } from './log-writer.ts'
import type { NodeIdentity } from './node-identity.ts'
import type { PartitionLog } from './partition-log.ts'
import { NOT_COMPACTED } from './partition-log.ts'
import type { SegmentState } from './segment.ts'
import type { SegmentFiles } from './segment-files.ts'

/** An active segment's index is written when so much of the segment is missing in it. */
const INDEX_LAG_BYTES = 512 * 1024
/** Syncs compete with the journal's; with very many logs the journal would fill up before they are through. */
const CONCURRENT_SYNCS = 1
const CONCURRENT_SYNCS_URGENT = 8
const MANY_LOGS = 256

export interface CheckpointWriterDeps {
  readonly fileSystem: FileSystem
  readonly files: FilePool
  readonly segmentFiles: SegmentFiles
  readonly writer: LogWriter
  readonly journal: Journal
  readonly disk: DiskSpace
  readonly clock: Clock
  readonly logger: Logger
}

export interface CheckpointWriterOptions {
  readonly dataDirectory: string
  readonly logsDirectory: string
  readonly identity: NodeIdentity
  readonly intervalMs: number
  readonly nextLogId: () => number
  readonly creationsLost: () => boolean
  /** Resolves when all that was journaled so far is settled: to false if some of it was refused. */
  readonly journaled: () => Promise<boolean>
  /** A part of the journal is free again. */
  readonly onFreed: () => void
  readonly onFatal: (error: unknown) => void
}

interface Capture {
  readonly log: PartitionLog
  readonly generation: number
  readonly state: CheckpointedLog
}

interface Captured {
  readonly position: JournalPosition
  readonly captures: readonly Capture[]
  readonly nextLogId: number
}

export class CheckpointWriter {
  readonly #deps: CheckpointWriterDeps
  readonly #options: CheckpointWriterOptions
  /** What the next checkpoint says of each log. */
  readonly #texts = new Map<number, string>()
  /** Below the offset the log is synced, as long as it was not cut since. */
  readonly #synced = new WeakMap<PartitionLog, { generation: number; endOffset: number }>()
  readonly #forgotten = new WeakSet<PartitionLog>()
  /** As the last checkpoint has it, as long as the log was not cut since. */
  readonly #held = new WeakMap<PartitionLog, { generation: number; closedEnd: number }>()
  #afterNext: (() => void)[] = []
  #changed = new Set<PartitionLog>()
  #running: Promise<void> | undefined
  #timer: Timer | undefined
  #closed: boolean = false
  lastDurationMs = 0

  constructor(deps: CheckpointWriterDeps, options: CheckpointWriterOptions) {
    this.#deps = deps
    this.#options = options
  }

  /** The log differs from what the last checkpoint said, or there was none of it. */
  note(log: PartitionLog): void {
    this.#changed.add(log)
  }

  /** The files of a deleted log are gone, and with them the need to know of it. */
  forget(log: PartitionLog): void {
    // A checkpoint that is being made may have it.
    this.#forgotten.add(log)
    this.#changed.delete(log)
    this.#texts.delete(log.identity.logId)
  }

  start(): void {
    this.#arm()
  }

  /** The segments below it are closed, and the last checkpoint has all of them. */
  closedEnd(log: PartitionLog): number {
    const held = this.#held.get(log)
    return held?.generation === log.generation ? held.closedEnd : 0
  }

  /** Runs `job` once a checkpoint is durable that has all that was changed until now. */
  afterNext(job: () => void): void {
    this.#afterNext.push(job)
  }

  /** Makes one soon; one that runs is enough. */
  request(): void {
    if (this.#closed || this.#running !== undefined) return
    this.run(false).catch(() => undefined)
  }

  /** Makes one, after one that runs. Everything that was changed before the call is in it. */
  async run(clean: boolean): Promise<void> {
    while (this.#running !== undefined) await this.#running
    this.#running = this.#make(clean)
    try {
      await this.#running
    } catch (error) {
      // Without space no checkpoint can be made; that is no reason to end the process.
      if (!(error instanceof ServiceError)) this.#options.onFatal(error)
      throw error
    } finally {
      this.#running = undefined
    }
  }

  /** Makes durable what was written of the log. */
  async syncLog(log: PartitionLog): Promise<void> {
    const { files, segmentFiles, fileSystem } = this.#deps
    const synced = this.#synced.get(log)
    const syncedEnd = synced?.generation === log.generation ? synced.endOffset : 0
    for (const segment of log.segments) {
      if (segment.endOffset <= syncedEnd || log.deleted) continue
      await files.sync(segmentFiles.path(log, segment, 'log'))
      if (segment.writtenBytes - segment.indexedBytes >= INDEX_LAG_BYTES) {
        await segmentFiles.persistIndex(log, segment)
      }
    }
    if (!log.directoryUnsynced || log.deleted) return
    log.directoryUnsynced = false
    await fileSystem.syncDirectory(log.directory)
  }

  /** Makes durable what was written of the log and the names that lead there, whoever else is at it. */
  async secure(log: PartitionLog): Promise<void> {
    const { fileSystem } = this.#deps
    try {
      await this.syncLog(log)
      if (!log.directoryMade || log.deleted) return
      await fileSystem.syncDirectory(log.directory)
      await fileSystem.syncDirectory(this.#options.logsDirectory)
    } catch (error) {
      this.#options.onFatal(error)
      throw error
    }
  }

  /** No more by itself; one that runs is waited for. */
  async close(): Promise<void> {
    this.#closed = true
    this.#timer?.cancel()
    await this.#running?.catch(() => undefined)
  }

  #arm(): void {
    this.#timer = this.#deps.clock.timer(this.#options.intervalMs, () => {
      if (this.#changed.size > 0) this.request()
      if (!this.#closed) this.#arm()
    })
  }

  async #make(clean: boolean): Promise<void> {
    const { journal, clock } = this.#deps
    const startedMs = clock.monotonicMs()
    const jobs = this.#afterNext
    this.#afterNext = []
    let captured = await this.#capture()
    try {
      while (!(await this.#settleAll(captured, clean))) {
        this.#noteAgain(captured)
        captured = await this.#capture()
      }
      await this.#commit(captured, clean)
    } catch (error) {
      // No checkpoint has them, nor what waits for one: that is up to the next.
      this.#noteAgain(captured)
      this.#afterNext.unshift(...jobs)
      throw error
    }
    for (const job of jobs) job()
    journal.release(captured.position)
    this.#options.onFreed()
    this.lastDurationMs = clock.monotonicMs() - startedMs
  }

  #noteAgain({ captures }: Captured): void {
    for (const { log } of captures) if (!this.#forgotten.has(log)) this.#changed.add(log)
  }

  /** Writes what was captured and has been settled. */
  async #commit({ position, captures, nextLogId }: Captured, clean: boolean): Promise<void> {
    const { journal, writer, fileSystem } = this.#deps
    if (writer.rootUnsynced) {
      writer.rootUnsynced = false
      await fileSystem.syncDirectory(this.#options.logsDirectory)
    }
    const { identity } = this.#options
    const lost = this.#options.creationsLost() ? { creationsLost: true as const } : {}
    const start = journal.witnessed(position)
    await this.#write({ identity, journal: start, clean, nextLogId, ...lost })
    for (const { log, generation, state } of captures) {
      const closedEnd = state.segments.at(-1)?.baseOffset ?? 0
      this.#held.set(log, { generation, closedEnd })
    }
  }

  /** Resolves to false if something of it has gone since: it is to be captured anew. */
  async #settleAll({ captures }: Captured, clean: boolean): Promise<boolean> {
    let isWhole = true
    const rest = captures.values()
    const settle = async () => {
      for (const capture of rest) {
        const state = await this.#settle(capture)
        const { log } = capture
        if (state === undefined) isWhole = false
        else if (!this.#forgotten.has(log)) {
          this.#texts.set(log.identity.logId, JSON.stringify(state))
        }
      }
    }
    const isUrgent = clean || captures.length > MANY_LOGS
    const workers = isUrgent ? CONCURRENT_SYNCS_URGENT : CONCURRENT_SYNCS
    await Promise.all(Array.from({ length: workers }, settle))
    return isWhole
  }

  /** The state of all changed logs at one place of the journal, which is durable up to there. */
  async #capture(): Promise<Captured> {
    const { journal } = this.#deps
    for (;;) {
      const settled = this.#options.journaled()
      const position = journal.positionOf(journal.nextSequence)
      const nextLogId = this.#options.nextLogId()
      const changed = this.#changed
      this.#changed = new Set()
      const captures = [...changed].map((log) => {
        return { log, generation: log.generation, state: describe(log) }
      })
      if (await settled) return { position, captures, nextLogId }
      // Some of what was captured has been refused: it is not in the logs any more.
      for (const log of changed) this.#changed.add(log)
    }
  }

  /**
   * Has the log written and synced as captured; resolves to what the checkpoint says of it. Records
   * of a log that flushes to the operating system are in no journal: what the disk refused of them
   * since must not be in the checkpoint. Undefined if such a log flushes on commit by now.
   */
  async #settle(capture: Capture): Promise<CheckpointedLog | undefined> {
    const { log, state } = capture
    if (log.deleted || log.damage !== undefined) return state
    while (log.flush === 'os') {
      const { generation } = log
      const latest = describe(log)
      await this.#sync(log, log.endOffset)
      if (generation === log.generation) return withoutGone(latest, log)
    }
    if (state.flush === 'os' && capture.generation !== log.generation) return undefined
    await this.#sync(log, state.endOffset)
    return withoutGone(state, log)
  }

  async #sync(log: PartitionLog, endOffset: number): Promise<void> {
    const { generation } = log
    await this.#deps.writer.flush(log, endOffset)
    await this.syncLog(log)
    this.#synced.set(log, { generation, endOffset })
  }

  async #write(head: Parameters<typeof writeCheckpointText>[2]): Promise<void> {
    const { fileSystem, disk } = this.#deps
    const { dataDirectory } = this.#options
    for (;;) {
      try {
        await writeCheckpointText(fileSystem, dataDirectory, head, this.#texts.values())
        return
      } catch (error) {
        if (!isNoSpace(error)) throw error
        disk.noteFull()
        await disk.retry()
      }
    }
  }
}

function describe(log: PartitionLog): CheckpointedLog {
  const { logId, topicId, topicName, partition } = log.identity
  return {
    logId,
    topicId,
    topicName,
    partition,
    flush: log.flush,
    startOffset: log.startOffset,
    endOffset: log.endOffset,
    highWatermark: log.highWatermark,
    segments: log.segments.map((segment) => segment.state),
    epochs: log.epochs.starts,
    ...(log.compacted === NOT_COMPACTED ? {} : { compacted: log.compacted }),
    ...(log.deleted ? { deleted: true as const } : {}),
    ...(log.damage === undefined ? {} : { damage: log.damage }),
    ...(log.lossPossible ? { lossPossible: true as const } : {}),
  }
}

/**
 * What was deleted since the capture may never have been written, and the journal may not yet say
 * that it is deleted: the checkpoint then says so first.
 */
function withoutGone(state: CheckpointedLog, log: PartitionLog): CheckpointedLog {
  const startOffset = Math.min(log.startOffset, state.endOffset)
  if (startOffset === state.startOffset) return state
  const kept = new Set(log.segments.map(({ baseOffset }) => baseOffset))
  // A segment that compaction has joined to the one before is not gone.
  const isGone = ({ baseOffset, endOffset }: SegmentState) =>
    endOffset <= startOffset && !kept.has(baseOffset)
  return {
    ...state,
    startOffset,
    highWatermark: Math.max(state.highWatermark, startOffset),
    segments: state.segments.filter((segment) => !isGone(segment)),
  }
}
