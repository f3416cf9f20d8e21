/**
 * The storage of a node: all its logs over one journal, from the opening of the data folder to its
 * closing. Wires the parts together; what they do is theirs.
 */
import type { PartitionKey, TopicId } from '../core/ids.ts'
import { partitionKey } from '../core/ids.ts'
import { AppendGate } from './append-gate.ts'
import type { Checkpoint } from './checkpoint.ts'
import { missingJournal, readCheckpoint } from './checkpoint.ts'
import { CheckpointWriter } from './checkpoint-writer.ts'
import { DataDirectory } from './data-directory.ts'
import { FileRemover } from './file-remover.ts'
import type { LogCreation } from './journal-frames.ts'
import { encodeCreation } from './journal-frames.ts'
import { LogAppender } from './log-appender.ts'
import { LogCleaner } from './log-cleaner.ts'
import { LogCompactor } from './log-compactor.ts'
import { LogReader } from './log-reader.ts'
import type { RecoveredLogs } from './log-recovery.ts'
import { LogRecovery } from './log-recovery.ts'
import type { NodeIdentity } from './node-identity.ts'
import { DataDirectoryError } from './node-identity.ts'
import type { PartitionLog } from './partition-log.ts'
import { quarantineJournal, quarantineLog } from './quarantine.ts'
import type { Segment } from './segment.ts'
import type { SegmentFiles } from './segment-files.ts'
import type { StorageOptions } from './storage-options.ts'
import type { StorageDeps, StorageParts } from './storage-parts.ts'
import { assembleStorage } from './storage-parts.ts'

export class LogManager {
  readonly appender: LogAppender
  readonly reader: LogReader
  readonly gate: AppendGate
  readonly checkpoints: CheckpointWriter
  readonly cleaner: LogCleaner
  readonly compactor: LogCompactor
  readonly segmentFiles: SegmentFiles
  /**
   * Parts of the journal could not be read, so that a log that is not here may have been in them. For
   * the caller to take back once it has made those logs and marked them; a checkpoint must follow.
   */
  creationsLost: boolean
  readonly #parts: StorageParts
  readonly #remover: FileRemover
  readonly #logs = new Map<PartitionKey, PartitionLog>()
  /** Settles when the start that a log has is durable. */
  readonly #starts = new WeakMap<PartitionLog, Promise<void>>()
  #nextLogId: number

  private constructor(parts: StorageParts, recovered: RecoveredLogs) {
    const { options } = parts
    this.#parts = parts
    this.#nextLogId = recovered.nextLogId
    this.creationsLost = recovered.creationsLost
    this.reader = new LogReader(parts)
    this.segmentFiles = parts.segmentFiles
    this.#remover = new FileRemover(parts, { delayMs: options.fileDeleteDelayMs })
    this.appender = new LogAppender({ ...parts, checkpoints: () => this.checkpoints })
    this.checkpoints = new CheckpointWriter(parts, {
      dataDirectory: parts.directory.path,
      logsDirectory: parts.logFiles.root,
      identity: parts.directory.identity,
      intervalMs: options.checkpointIntervalMs,
      nextLogId: () => this.#nextLogId,
      creationsLost: () => this.creationsLost,
      journaled: () => this.appender.journaled(),
      onFreed: () => this.gate.wake(),
      onFatal: parts.onFatal,
    })
    this.gate = new AppendGate(parts, {
      hasRoom: (bytes) => this.#hasRoom(bytes),
      maxWaitMs: options.appendWaitMs,
      maxWaiting: options.appendsWaitingMax,
    })
    this.cleaner = new LogCleaner(parts, {
      intervalMs: options.retentionIntervalMs,
      logs: () => this.#logs.values(),
      raiseStart: (log, startOffset) => this.raiseStart(log, startOffset),
      roll: (log) => this.appender.roll(log),
    })
    this.compactor = new LogCompactor(parts, {
      intervalMs: options.compactionIntervalMs,
      bytesPerSecond: options.compactionBytesPerSecond,
      keyMapBytes: options.compactionKeyBytes,
      directory: parts.directory.path,
      minFreeBytes: options.minFreeBytes,
      logs: () => this.#logs.values(),
      checkpoints: this.checkpoints,
      removeFiles: (log, segments) => this.#removeLeft(log, segments),
      trustsClock: () => this.cleaner.trustsClock,
    })
    parts.progress.listener = () => this.gate.wake()
    parts.disk.onHealed = () => {
      parts.writer.resume()
      this.gate.wake()
    }
    this.#adopt(recovered)
  }

  /**
   * Opens the data folder, recovers its logs and makes a checkpoint of them.
   * @throws DataDirectoryError when the folder cannot be used; it says what to do
   */
  static async open(
    deps: StorageDeps,
    options: StorageOptions,
    onFatal: (error: unknown) => void,
  ): Promise<LogManager> {
    const { clusterId, nodeId, mustExist } = options
    const directory = await DataDirectory.open(deps, {
      path: options.dataDirectory,
      clusterId,
      nodeId,
      mustExist,
    })
    let parts: StorageParts | undefined
    try {
      const checkpoint = await loadCheckpoint(deps, directory.path)
      parts = await assembleStorage(deps, options, directory, onFatal)
      const recovered = await recover(parts, checkpoint)
      const manager = new LogManager(parts, recovered)
      parts.journal.start()
      await manager.checkpoints.run(false)
      // The second one tells a journal that has lost its records from one that has none yet.
      await parts.journal.writeSeal()
      await manager.checkpoints.run(false)
      manager.checkpoints.start()
      manager.cleaner.start()
      manager.compactor.start()
      return manager
    } catch (error) {
      await parts?.disk.close()
      await parts?.journal.close()
      await parts?.files.close()
      await directory.close()
      throw error
    }
  }

  /** Whose data these are. */
  get identity(): NodeIdentity {
    return this.#parts.directory.identity
  }

  /** All logs but deleted ones. */
  get logs(): Iterable<PartitionLog> {
    return this.#logs.values()
  }

  get diskIsFull(): boolean {
    return this.#parts.disk.isFull
  }

  /** Bytes accepted that are in no segment yet. */
  get unwrittenBytes(): number {
    return this.#parts.memory.pinnedBytes
  }

  /** Logs that have batches to write, as far as the writer has looked. */
  get unwrittenLogs(): number {
    return this.#parts.writer.waiting
  }

  /** Recent batches in memory, with what they cost beside their bytes. */
  get memoryBytes(): number {
    return this.#parts.memory.usedBytes
  }

  /** What a recovery would have to read. */
  get journalBytes(): number {
    return this.#parts.journal.bytesInUse
  }

  get openFiles(): number {
    return this.#parts.files.openFiles
  }

  find(topicId: TopicId, partition: number): PartitionLog | undefined {
    return this.#logs.get(partitionKey(topicId, partition))
  }

  /** Makes an empty log; records may follow at once. */
  create(creation: LogCreation): PartitionLog {
    const log = this.#parts.logFiles.create(this.#nextLogId++, creation)
    this.#logs.set(keyOf(log), log)
    this.appender.create(log, encodeCreation(creation))
    return log
  }

  /** Removes a log for good: durably when this resolves, its files after a delay. */
  async delete(log: PartitionLog): Promise<void> {
    this.#logs.delete(keyOf(log))
    this.#parts.writer.forget(log)
    await this.appender.delete(log)
    this.#removeLater(log)
  }

  /** Resolves when all that the log holds is in its segments; waits while the disk is full. */
  write(log: PartitionLog): Promise<void> {
    return this.#parts.writer.flush(log, log.endOffset)
  }

  /**
   * Cuts the log to the last end of a batch at or below `offset`, which is durable when this
   * resolves. Nothing may be appended to the log meanwhile.
   */
  async truncate(log: PartitionLog, offset: number): Promise<void> {
    if (offset >= log.endOffset || log.deleted) return
    const { writer, logFiles } = this.#parts
    // What a full disk refuses meanwhile shortens the log by itself.
    while (!(await this.appender.journaled()));
    await writer.flush(log, log.endOffset)
    const { endOffset, place } = await logFiles.boundaryBelow(log, offset)
    if (log.deleted) return
    const before = log.segments
    // What is below the start is not here to be kept.
    if (offset < log.startOffset) await this.appender.restart(log, offset)
    else if (endOffset < log.startOffset) await this.appender.restart(log, endOffset)
    else {
      log.uncommit(endOffset)
      await this.appender.truncate(log, endOffset, place)
    }
    if (place !== undefined && !log.deleted) await logFiles.trim(log, place.segment)
    this.#removeLeft(log, before)
  }

  /** Drops all records of the log, so that it goes on at `offset`; as `truncate`. */
  async restart(log: PartitionLog, offset: number): Promise<void> {
    while (!(await this.appender.journaled()));
    await this.#parts.writer.flush(log, log.endOffset)
    if (log.deleted) return
    const before = log.segments
    await this.appender.restart(log, offset)
    this.#removeLeft(log, before)
  }

  /**
   * Takes all that a damaged log has out of service, so that it goes on empty and whole; to where its
   * files are from then on. As `restart`; until that is durable the log is damaged, files or not.
   */
  async putAside(log: PartitionLog): Promise<string> {
    const { fileSystem, files, directory, writer } = this.#parts
    while (!(await this.appender.journaled()));
    await writer.flush(log, log.endOffset)
    // All that it had may have been in the journal.
    await fileSystem.makeDirectory(log.directory)
    for (const name of await fileSystem.list(log.directory)) {
      await files.forget(`${log.directory}/${name}`)
    }
    const path = await quarantineLog(fileSystem, directory.path, log.directory)
    await this.appender.restart(log, 0)
    return path
  }

  /** Raises the start of the log, which is durable when this resolves; files go after a delay. */
  async raiseStart(log: PartitionLog, startOffset: number): Promise<void> {
    if (startOffset <= log.startOffset) return this.#starts.get(log)
    const gone = log.raiseStart(startOffset)
    const durable = this.appender.raiseStart(log)
    this.#starts.set(log, durable)
    await durable
    log.startIsDurable(startOffset)
    this.#removeLeft(log, gone)
  }

  /** Removes the files of those segments that are not in the log by then. */
  #removeLeft(log: PartitionLog, segments: readonly Segment[]): void {
    const isIn = (segment: Segment) => log.has(segment)
    if (log.deleted || segments.every(isIn)) return
    this.#remover.later(async () => {
      for (const segment of segments) {
        if (!isIn(segment)) await this.#parts.segmentFiles.remove(log, segment)
      }
    })
  }

  /** From now on nobody waits for space: a full disk costs the last checkpoint, not the stop. */
  async stopWaiting(): Promise<void> {
    this.gate.close()
    await this.#parts.disk.close()
  }

  /** Stops in good order, with a checkpoint that says so. No appends may come any more. */
  async close(): Promise<void> {
    const { writer, journal, files, directory, logger } = this.#parts
    await this.stopWaiting()
    this.reader.close()
    await this.compactor.close()
    await this.cleaner.close()
    await this.#remover.close()
    await this.checkpoints.close()
    await this.checkpoints.run(true).catch((error: unknown) => {
      logger.error({ err: error }, 'storage stops without a last checkpoint')
    })
    await writer.close()
    await journal.close()
    await files.close()
    await directory.close()
  }

  #adopt(recovered: RecoveredLogs): void {
    for (const log of recovered.logs.values()) {
      this.#logs.set(keyOf(log), log)
      this.checkpoints.note(log)
    }
    for (const log of recovered.deleted) {
      this.checkpoints.note(log)
      this.#removeLater(log)
    }
  }

  #hasRoom(bytes: number): boolean {
    const { options, memory, journal } = this.#parts
    if (journal.bytesInUse * 2 > options.maxJournalBytes) this.checkpoints.request()
    return (
      (memory.pinnedBytes === 0 || memory.pinnedBytes + bytes <= options.maxUnwrittenBytes) &&
      journal.bytesInUse + bytes <= options.maxJournalBytes
    )
  }

  #removeLater(log: PartitionLog): void {
    const { segmentFiles, fileSystem } = this.#parts
    this.#remover.later(async () => {
      for (const segment of log.segments) await segmentFiles.remove(log, segment)
      await fileSystem.removeTree(log.directory)
      this.checkpoints.forget(log)
    })
  }
}

function keyOf({ identity }: PartitionLog): PartitionKey {
  return partitionKey(identity.topicId, identity.partition)
}

async function loadCheckpoint(
  { fileSystem, logger }: StorageDeps,
  path: string,
): Promise<Checkpoint> {
  const read = await readCheckpoint(fileSystem, path)
  if (read.state === 'missing') {
    throw new DataDirectoryError(
      `${path} has no checkpoint, without which its logs cannot be told from leftovers; see \`curlew repair\``,
    )
  }
  if (read.state === 'damaged')
    throw new DataDirectoryError(`${read.detail}; see \`curlew repair\``)
  const missing = await missingJournal(fileSystem, path, read.checkpoint)
  if (missing !== undefined) {
    throw new DataDirectoryError(
      `${missing} is missing, which holds the newest records: put it back, or see \`curlew repair\``,
    )
  }
  if (read.healed) logger.warn({ path }, 'one copy of the checkpoint was damaged, the other served')
  return read.checkpoint
}

async function recover(parts: StorageParts, checkpoint: Checkpoint): Promise<RecoveredLogs> {
  const { clock, logger, options } = parts
  const startedMs = clock.monotonicMs()
  const recovery = new LogRecovery(
    { ...parts, nowMs: () => clock.nowMs() },
    { maxUnwrittenBytes: options.maxUnwrittenBytes },
  )
  const recovered = await recovery.run(checkpoint)
  for (const damage of recovered.journalDamage) {
    await quarantineJournal(parts.fileSystem, parts.directory.path, damage)
  }
  logger.info(
    {
      logs: recovered.logs.size,
      clean: checkpoint.clean,
      replayedBytes: recovered.replayedBytes,
      durationMs: Math.round(clock.monotonicMs() - startedMs),
    },
    'logs recovered',
  )
  return recovered
}
