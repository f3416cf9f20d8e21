/**
 * Where a log and the journal change together: every change of a log is a frame, given to the
 * journal in the same turn. What the journal refuses for want of space is taken back, at once and
 * for all logs, so that no frame is ever built on a missing one.
 */
import { batchChecksum, batchLastOffset } from '../core/record-batch.ts'
import type { Clock } from '../env/clock.ts'
import { ServiceError } from '../lib/service-error.ts'
import type { CheckpointWriter } from './checkpoint-writer.ts'
import type { DiskSpace } from './disk-space.ts'
import type { Journal } from './journal.ts'
import type { FlushMode, FrameKind } from './journal-frames.ts'
import { encodeEpochStart, encodeFlush, encodeOffset, FRAME } from './journal-frames.ts'
import type { KnownChecksum } from './journal-group.ts'
import type { LogPlace } from './log-files.ts'
import type { LogWriter } from './log-writer.ts'
import type { PartitionLog } from './partition-log.ts'

export interface LogAppenderDeps {
  readonly journal: Journal
  readonly writer: LogWriter
  readonly disk: DiskSpace
  readonly clock: Clock
  readonly checkpoints: () => CheckpointWriter
  readonly onFatal: (error: unknown) => void
}

/** The last frame of a log in a group of the journal, and where the log ends with it. */
interface Outstanding {
  readonly group: Promise<void>
  endOffset: number
}

export class LogAppender {
  readonly #deps: LogAppenderDeps
  readonly #outstanding = new Map<PartitionLog, Outstanding>()
  readonly #wantedFlush = new WeakMap<PartitionLog, FlushMode>()
  /** Of groups that have no place in the journal yet, in their order. */
  #unplaced: { readonly log: PartitionLog; readonly frames: Outstanding }[] = []
  #lastGroup: Promise<void> = Promise.resolve()
  #refusalsSeen = 0

  constructor(deps: LogAppenderDeps) {
    this.#deps = deps
    deps.journal.onPlaced = (group) => this.#placed(group)
  }

  /** The largest batch that the journal takes. */
  get maxBatchBytes(): number {
    return this.#deps.journal.maxPayloadBytes
  }

  /**
   * Takes in a stamped batch that continues the log; `durableEnd` tells when it is safe.
   * @throws ServiceError `disk-full`, `overloaded`, `draining`; nothing was taken in then
   */
  append(log: PartitionLog, batch: Uint8Array): void {
    this.settleRefusals()
    if (this.#deps.disk.isFull || !log.registered) throw diskFull()
    const nowMs = this.#deps.clock.nowMs()
    const lastOffset = batchLastOffset(batch)
    if (log.mustRoll(batch.length, lastOffset, nowMs)) this.roll(log)
    if (log.flush === 'commit') {
      const group = this.#journal(log, FRAME.append, batch, batchChecksum(batch))
      log.append(batch, nowMs)
      log.journaledEnd = log.endOffset
      this.#track(log, group)
    } else {
      log.append(batch, nowMs)
      this.#deps.writer.note(log)
    }
    this.#deps.checkpoints().note(log)
  }

  /**
   * Begins a new segment. Recovery must lay out the same segments, so the journal knows of them;
   * not of those which it has no records of.
   * @throws as `append`
   */
  roll(log: PartitionLog): void {
    if (log.flush === 'commit') {
      const group = this.#journal(log, FRAME.roll, encodeOffset(log.endOffset))
      group.catch(() => log.unroll())
    }
    log.roll(this.#deps.clock.nowMs())
    this.#deps.checkpoints().note(log)
  }

  /** Journals that the log exists; records may follow at once. */
  create(log: PartitionLog, payload: Uint8Array): void {
    log.registered = false
    this.#deps.checkpoints().note(log)
    const register = () => {
      log.registered = true
    }
    const lost = () => {
      log.registered = false
    }
    const created = this.#insist(log, FRAME.create, payload, register, lost)
    // Records that are in no journal must not be promised before recovery would know their log.
    const done = log.flush === 'os' ? this.#hold(log, created) : created
    done.catch(() => undefined)
  }

  /** Resolves when the deletion is durable. */
  delete(log: PartitionLog): Promise<void> {
    log.deleted = true
    log.tail.clear()
    this.#deps.checkpoints().note(log)
    return this.#insist(log, FRAME.delete, new Uint8Array(0))
  }

  /** Resolves when the new start is durable, and with it the right to remove what is below. */
  raiseStart(log: PartitionLog): Promise<void> {
    this.#deps.checkpoints().note(log)
    return this.#insist(log, FRAME.logStart, encodeOffset(log.startOffset))
  }

  /**
   * Cuts the log to `endOffset`, at the place given, or to nothing. All of it must be journaled and
   * written. Resolves when that is durable; nothing may be appended before.
   */
  async truncate(log: PartitionLog, endOffset: number, place: LogPlace | undefined): Promise<void> {
    await this.#replaceEnd(log, FRAME.truncate, endOffset, () => log.cutEnd(endOffset, place))
  }

  /** Drops all records, so that the next one gets `startOffset`; as `truncate`. */
  async restart(log: PartitionLog, startOffset: number): Promise<void> {
    await this.#replaceEnd(log, FRAME.restart, startOffset, () => log.restartAt(startOffset))
  }

  async #replaceEnd(
    log: PartitionLog,
    kind: FrameKind,
    offset: number,
    change: () => void,
  ): Promise<void> {
    let isDone = false
    const changeOnce = () => {
      if (!isDone) change()
      isDone = true
    }
    this.#outstanding.delete(log)
    const done = this.#insist(log, kind, encodeOffset(offset), changeOnce)
    this.#deps.checkpoints().note(log)
    await done
  }

  /** Notes that a leader epoch begins at the end of the log. */
  beginEpoch(log: PartitionLog, leaderEpoch: number): void {
    if (leaderEpoch <= log.epochs.latest) return
    log.beginEpoch(leaderEpoch)
    this.#deps.checkpoints().note(log)
    const payload = encodeEpochStart(leaderEpoch, log.endOffset)
    this.#insist(log, FRAME.epochStart, payload).catch(() => undefined)
  }

  /**
   * Changes how records are promised. From `os` to `commit`, what was promised as written is synced
   * first; records that come meanwhile are promised when that is done.
   */
  async setFlush(log: PartitionLog, flush: FlushMode): Promise<void> {
    this.#wantedFlush.set(log, flush)
    if (log.flush === flush) return
    if (flush === 'commit') {
      while (log.writtenEnd < log.endOffset) await this.#deps.writer.flush(log, log.endOffset)
    }
    if (log.deleted || log.flush === flush || this.#wantedFlush.get(log) !== flush) return
    log.flush = flush
    this.#deps.checkpoints().note(log)
    if (flush === 'os') this.#deps.writer.note(log)
    await this.#hold(log, flush === 'os' ? this.#noteFlush(log, flush) : this.#beginCommit(log))
  }

  /** Recovery may insist on every record only when those that are in no journal are synced. */
  async #beginCommit(log: PartitionLog): Promise<void> {
    await this.#deps.checkpoints().secure(log)
    if (log.flush === 'commit' && !log.deleted) await this.#noteFlush(log, 'commit')
  }

  #noteFlush(log: PartitionLog, flush: FlushMode): Promise<void> {
    return this.#insist(log, FRAME.flush, encodeFlush(flush))
  }

  /** Promises nothing more of the log until `ready`; never again if that fails. */
  async #hold(log: PartitionLog, ready: Promise<unknown>): Promise<void> {
    log.hold()
    await ready
    if (!log.deleted) log.release()
  }

  /** Resolves when all that was journaled so far is settled: to false if some of it was refused. */
  async journaled(): Promise<boolean> {
    this.settleRefusals()
    const group = this.#lastGroup
    try {
      await group
      return true
    } catch (error) {
      if (!isDiskFull(error)) throw error
      // Taken back once, it is not to be waited for again: whoever asks next would ask for ever.
      if (this.#lastGroup === group) this.#lastGroup = Promise.resolve()
      return false
    }
  }

  /** Takes back what the journal has refused; before anything else is built on it. */
  settleRefusals(): void {
    const { journal, disk } = this.#deps
    if (journal.refusals === this.#refusalsSeen) return
    this.#refusalsSeen = journal.refusals
    disk.noteFull()
    this.#unplaced = []
    for (const log of [...this.#outstanding.keys()]) {
      this.#outstanding.delete(log)
      if (log.flush === 'commit' && !log.deleted) log.refuseFrom(log.keptEnd)
    }
  }

  #journal(
    log: PartitionLog,
    kind: FrameKind,
    payload: Uint8Array,
    known?: KnownChecksum,
  ): Promise<void> {
    const { journal, disk } = this.#deps
    try {
      this.#lastGroup = journal.append(kind, log.identity.logId, [payload], known)
      return this.#lastGroup
    } catch (error) {
      if (isDiskFull(error)) disk.noteFull()
      throw error
    }
  }

  /** Frames of a group settle together: a log waits for each group once. */
  #track(log: PartitionLog, group: Promise<void>): void {
    const last = this.#outstanding.get(log)
    if (last?.group === group) {
      last.endOffset = log.endOffset
      return
    }
    const outstanding: Outstanding = { group, endOffset: log.endOffset }
    this.#outstanding.set(log, outstanding)
    this.#unplaced.push({ log, frames: outstanding })
    group.then(
      () => this.#journaledTo(log, outstanding),
      (error: unknown) => {
        if (isDiskFull(error)) this.settleRefusals()
        else this.#deps.onFatal(error)
      },
    )
  }

  #placed(group: Promise<void>): void {
    const behind = this.#unplaced.findIndex(({ frames }) => frames.group !== group)
    const placed = this.#unplaced.splice(0, behind === -1 ? this.#unplaced.length : behind)
    for (const { log, frames } of placed) if (!log.deleted) log.place(frames.endOffset)
  }

  #journaledTo(log: PartitionLog, outstanding: Outstanding): void {
    if (this.#outstanding.get(log) === outstanding) this.#outstanding.delete(log)
    if (log.deleted) return
    log.keep(outstanding.endOffset)
    this.#deps.writer.note(log)
  }

  /** Journals a frame that is no record; tries again as long as there is no space. */
  async #insist(
    log: PartitionLog,
    kind: FrameKind,
    payload: Uint8Array,
    admitted: () => void = () => undefined,
    lost: () => void = () => undefined,
  ): Promise<void> {
    for (;;) {
      try {
        const group = this.#journal(log, kind, payload)
        admitted()
        await group
        return
      } catch (error) {
        lost()
        if (!isDiskFull(error) && !isOverloaded(error)) {
          if (!isDraining(error)) this.#deps.onFatal(error)
          throw error
        }
        this.settleRefusals()
        await this.#deps.disk.retry()
        if (log.deleted && kind !== FRAME.delete) return
      }
    }
  }
}

function diskFull(): ServiceError {
  return new ServiceError('disk-full', 'the disk is full', { retryAfterMs: 1000 })
}

function isDiskFull(error: unknown): boolean {
  return error instanceof ServiceError && error.code === 'disk-full'
}

function isOverloaded(error: unknown): boolean {
  return error instanceof ServiceError && error.code === 'overloaded'
}

function isDraining(error: unknown): boolean {
  return error instanceof ServiceError && error.code === 'draining'
}
