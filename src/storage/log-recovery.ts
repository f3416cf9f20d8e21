/**
 * Brings the logs back after a stop: each as the checkpoint has it, then what the journal holds
 * beyond. The cost is that of the journal, however large the logs are. Where the journal is
 * damaged, logs that cannot be shown to be whole are marked so; none is silently shortened.
 */
import {
  batchBaseOffset,
  batchBytes,
  batchLastOffset,
  batchLeaderEpoch,
  checkBatch,
} from '../core/record-batch.ts'
import type { Logger } from '../env/logger.ts'
import { ServiceError } from '../lib/service-error.ts'
import type { Checkpoint, CheckpointedLog } from './checkpoint.ts'
import { replayStart } from './checkpoint.ts'
import type { Journal } from './journal.ts'
import type { EchoedFrame } from './journal-echo.ts'
import {
  decodeCreation,
  decodeEpochStart,
  decodeFlush,
  decodeOffset,
  FRAME,
} from './journal-frames.ts'
import type { JournalFrame } from './journal-group.ts'
import type { JournalPosition } from './journal-index.ts'
import type { LogFiles } from './log-files.ts'
import type { LogWriter } from './log-writer.ts'
import type { MemoryTail } from './memory-tail.ts'
import type { PartitionLog } from './partition-log.ts'

/** What is wrong with a log that may have been created, and written to, in a damaged part of the journal. */
export const LOST_CREATION = 'its records may have been in the damaged part of the journal'

export interface JournalDamage {
  readonly detail: string
  readonly from: JournalPosition
  /** Undefined: nothing behind it can be read. */
  readonly to: JournalPosition | undefined
}

export interface RecoveredLogs {
  readonly logs: Map<number, PartitionLog>
  /** Deleted with their topics, files still there. */
  readonly deleted: PartitionLog[]
  readonly nextLogId: number
  readonly journalDamage: readonly JournalDamage[]
  /** The creation of a log that is not here may have been in what is damaged. */
  readonly creationsLost: boolean
  readonly replayedBytes: number
}

export interface LogRecoveryDeps {
  readonly journal: Journal
  readonly logFiles: LogFiles
  readonly writer: LogWriter
  readonly memory: MemoryTail
  readonly logger: Logger
  readonly nowMs: () => number
}

export class LogRecovery {
  readonly #deps: LogRecoveryDeps
  readonly #maxUnwrittenBytes: number
  readonly #logs = new Map<number, PartitionLog>()
  readonly #deleted: PartitionLog[] = []
  readonly #changed = new Set<PartitionLog>()
  readonly #damage: JournalDamage[] = []
  /** Logs that may miss frames which lay in the damaged part of the journal. */
  readonly #suspects = new Set<PartitionLog>()
  /** Logs whose next batch was not there; a cut may still explain it. */
  readonly #gaps = new Map<PartitionLog, string>()
  /** Logs whose files below the offset are gone; that they start behind it by now, a later frame has to say. */
  readonly #removed = new Map<PartitionLog, number>()
  #nextLogId = 1
  /** This start or the last one, which did not get far enough to say so, cannot know all logs. */
  #creationsLost: boolean = false

  constructor(deps: LogRecoveryDeps, options: { maxUnwrittenBytes: number }) {
    this.#deps = deps
    this.#maxUnwrittenBytes = options.maxUnwrittenBytes
  }

  async run(checkpoint: Checkpoint): Promise<RecoveredLogs> {
    this.#nextLogId = checkpoint.nextLogId
    this.#creationsLost = checkpoint.creationsLost === true
    for (const state of checkpoint.logs) this.#restore(state)
    if (!checkpoint.clean) await this.#adoptUnjournaled()
    const replayedBytes = await this.#replay(replayStart(checkpoint))
    this.#judge()
    for (const log of this.#changed) await this.#deps.writer.flush(log, log.endOffset)
    await this.#deps.logFiles.verify([...this.#logs.values()])
    return {
      logs: this.#logs,
      deleted: this.#deleted,
      nextLogId: this.#nextLogId,
      journalDamage: this.#damage,
      creationsLost: this.#creationsLost,
      replayedBytes,
    }
  }

  #restore(state: CheckpointedLog): void {
    const log = this.#deps.logFiles.restore(state)
    if (state.deleted === true) this.#deleted.push(log)
    else this.#logs.set(state.logId, log)
  }

  /** What went straight to the segments is as good as its checksums. */
  async #adoptUnjournaled(): Promise<void> {
    for (const log of this.#logs.values()) {
      if (log.flush !== 'os') continue
      log.lossPossible = true
      await this.#deps.logFiles.adoptWritten(log)
    }
  }

  async #replay(start: JournalPosition | undefined): Promise<number> {
    let bytes = 0
    let from = start
    for (;;) {
      const outcome = await this.#deps.journal.replay(from, (frame) => this.#apply(frame))
      bytes += outcome.bytes
      if (outcome.end !== 'damaged') return bytes
      const { detail, damagedAt, resumeAt, lost } = outcome
      this.#deps.logger.error({ damagedAt, resumeAt }, `the journal is damaged: ${detail}`)
      // A damaged seal held no frames, and what the checkpoint has is not missed.
      if (lost?.length !== 0) {
        this.#damage.push({ detail, from: damagedAt, to: resumeAt })
        if (lost !== undefined) for (const frame of lost) await this.#applyLost(frame)
        else this.#suspectAll()
      }
      if (resumeAt === undefined) return bytes
      from = resumeAt
    }
  }

  /** Which logs the damaged part was about is not known. */
  #suspectAll(): void {
    this.#creationsLost = true
    for (const log of this.#logs.values()) this.#suspects.add(log)
  }

  /** Of what could not be read only the records are not repeated. */
  async #applyLost({ kind, logId, payload }: EchoedFrame): Promise<void> {
    const log = this.#logs.get(logId)
    if (kind !== FRAME.append) await this.#apply({ sequence: -1, kind, logId, payload })
    else if (log !== undefined) this.#suspects.add(log)
  }

  #apply(frame: JournalFrame): undefined | Promise<void> {
    if (frame.kind === FRAME.create) return this.#create(frame)
    const log = this.#logs.get(frame.logId)
    if (log === undefined) {
      this.#deps.logger.error({ logId: frame.logId }, 'the journal has a frame of an unknown log')
      return undefined
    }
    this.#changed.add(log)
    switch (frame.kind) {
      case FRAME.append:
        return this.#append(log, frame.payload)
      case FRAME.truncate:
        return this.#truncate(log, frame.payload)
      case FRAME.logStart:
        return this.#raiseStart(log, frame.payload)
      case FRAME.epochStart:
        this.#beginEpoch(log, frame.payload)
        return undefined
      case FRAME.delete:
        this.#delete(log)
        return undefined
      case FRAME.roll:
        if (decodeOffset(frame.payload) === log.endOffset) log.roll(this.#deps.nowMs())
        return undefined
      case FRAME.flush:
        return this.#setFlush(log, frame.payload)
      case FRAME.restart:
        this.#restart(log, frame.payload)
        return undefined
      default:
        throw new Error(`the journal has a frame of kind ${frame.kind}: a newer Curlew wrote it`)
    }
  }

  #create(frame: JournalFrame): undefined | Promise<void> {
    const creation = decodeCreation(frame.payload)
    if (creation === undefined) {
      throw new Error('the journal has a creation of a newer format: a newer Curlew wrote it')
    }
    const log = this.#deps.logFiles.create(frame.logId, creation)
    this.#logs.set(frame.logId, log)
    this.#changed.add(log)
    if (this.#creationsLost) log.damage = LOST_CREATION
    this.#nextLogId = Math.max(this.#nextLogId, frame.logId + 1)
    if (log.flush === 'commit') return undefined
    log.lossPossible = true
    return this.#deps.logFiles.adoptWritten(log)
  }

  #append(log: PartitionLog, payload: Uint8Array): undefined | Promise<void> {
    if (log.damage !== undefined || this.#gaps.has(log)) return undefined
    if (
      checkBatch(payload, 0, payload.length) !== 'valid' ||
      batchBytes(payload) !== payload.length
    ) {
      log.damage = 'the journal holds a batch that is not valid'
      return undefined
    }
    const baseOffset = batchBaseOffset(payload)
    if (batchLastOffset(payload) < log.endOffset) return undefined
    if (baseOffset !== log.endOffset || batchLeaderEpoch(payload) < log.lastEpoch) {
      this.#gaps.set(
        log,
        `records ${log.endOffset} to ${baseOffset - 1} are missing in the journal`,
      )
      return undefined
    }
    this.#suspects.delete(log)
    log.append(payload.slice(), this.#deps.nowMs())
    log.keep(log.endOffset)
    this.#deps.writer.note(log)
    return this.#deps.memory.pinnedBytes > this.#maxUnwrittenBytes ? this.#drain() : undefined
  }

  async #truncate(log: PartitionLog, payload: Uint8Array): Promise<void> {
    const endOffset = decodeOffset(payload)
    if (endOffset === undefined || endOffset > log.endOffset) return
    this.#gaps.delete(log)
    if (endOffset === log.endOffset) return
    if (!(await this.#deps.logFiles.isThere(log, endOffset - 1))) {
      // Of a log that was cut to nothing the file may go.
      if (endOffset > log.startOffset) this.#removed.set(log, endOffset)
      log.restartAt(endOffset)
      return
    }
    await this.#deps.writer.flush(log, log.endOffset)
    const place = await this.#deps.logFiles.placeOf(log, endOffset).catch((error: unknown) => {
      if (!(error instanceof ServiceError)) throw error
      log.damage ??= error.message
      return undefined
    })
    if (log.damage !== undefined) return
    log.uncommit(endOffset)
    log.cutEnd(endOffset, place)
  }

  #restart(log: PartitionLog, payload: Uint8Array): void {
    const startOffset = decodeOffset(payload)
    if (startOffset === undefined) return
    // Whatever was missing before is not wanted any more.
    this.#gaps.delete(log)
    this.#removed.delete(log)
    this.#suspects.delete(log)
    log.restartAt(startOffset)
  }

  #raiseStart(log: PartitionLog, payload: Uint8Array): undefined | Promise<void> {
    const startOffset = decodeOffset(payload)
    if (startOffset === undefined) return undefined
    if (startOffset > (this.#removed.get(log) ?? Number.POSITIVE_INFINITY)) {
      this.#removed.delete(log)
    }
    if (startOffset <= log.endOffset) raiseStart(log, startOffset)
    else if (log.flush === 'os') return this.#restartAt(log, startOffset)
    else {
      const missing = `records ${log.endOffset} to ${startOffset - 1} are missing in the journal`
      this.#gaps.set(log, missing)
    }
    return undefined
  }

  /** Files that would lead up to the new start may be removed already: begins at what is left. */
  async #restartAt(log: PartitionLog, startOffset: number): Promise<void> {
    const base = await this.#deps.logFiles.lastBase(log, startOffset)
    log.cutEnd(Math.max(base, log.endOffset), undefined)
    await this.#deps.logFiles.adoptWritten(log)
    if (log.endOffset < startOffset) log.cutEnd(startOffset, undefined)
    raiseStart(log, startOffset)
  }

  #beginEpoch(log: PartitionLog, payload: Uint8Array): void {
    const epoch = decodeEpochStart(payload)
    if (epoch === undefined || epoch.startOffset !== log.endOffset) return
    if (epoch.leaderEpoch > log.epochs.latest) log.beginEpoch(epoch.leaderEpoch)
  }

  async #setFlush(log: PartitionLog, payload: Uint8Array): Promise<void> {
    const flush = decodeFlush(payload)
    if (flush === undefined) return
    await this.#deps.writer.flush(log, log.endOffset)
    log.flush = flush
    if (flush === 'commit') return
    log.lossPossible = true
    await this.#deps.logFiles.adoptWritten(log)
  }

  #delete(log: PartitionLog): void {
    log.deleted = true
    log.tail.clear()
    this.#logs.delete(log.identity.logId)
    this.#changed.delete(log)
    this.#suspects.delete(log)
    this.#gaps.delete(log)
    this.#removed.delete(log)
    this.#deleted.push(log)
  }

  #judge(): void {
    for (const [log, offset] of this.#removed) {
      log.damage ??= `the file of records before ${offset} is missing in ${log.directory}`
    }
    for (const [log, detail] of this.#gaps) {
      if (log.flush === 'os') log.lossPossible = true
      else log.damage ??= detail
    }
    for (const log of this.#suspects) {
      if (log.damage !== undefined || log.flush === 'os') continue
      log.damage = `records from ${log.endOffset} on may have been in the damaged part of the journal`
    }
    for (const log of this.#logs.values()) {
      if (log.damage === undefined) continue
      const { topicName, partition } = log.identity
      this.#deps.logger.error({ topicName, partition }, `partition damaged: ${log.damage}`)
    }
  }

  async #drain(): Promise<void> {
    for (const log of this.#changed) await this.#deps.writer.flush(log, log.keptEnd)
  }
}

function raiseStart(log: PartitionLog, startOffset: number): void {
  log.raiseStart(startOffset)
  log.startIsDurable(startOffset)
}
