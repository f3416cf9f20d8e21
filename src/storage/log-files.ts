/**
 * Logs as folders: makes the objects that stand for them, and brings their files into agreement
 * with what a log is known to hold.
 */
import {
  batchBaseOffset,
  batchLastOffset,
  batchLeaderEpoch,
  batchMaxTimestamp,
} from '../core/record-batch.ts'
import type { FileSystem } from '../env/file-system.ts'
import type { Logger } from '../env/logger.ts'
import { assert } from '../lib/assert.ts'
import { ServiceError } from '../lib/service-error.ts'
import { scanBatches } from './batch-scan.ts'
import type { CheckpointedLog } from './checkpoint.ts'
import type { FilePool } from './file-pool.ts'
import type { LogCreation } from './journal-frames.ts'
import { LeaderEpochs } from './leader-epochs.ts'
import type { MemoryTail } from './memory-tail.ts'
import type { LogIdentity } from './partition-log.ts'
import { PartitionLog } from './partition-log.ts'
import { isUnfinished, parseSegmentFileName, Segment } from './segment.ts'
import type { SegmentFiles } from './segment-files.ts'

/** Behind a batch, in the file of its segment. */
export interface LogPlace {
  readonly segment: Segment
  readonly position: number
}

/** A file name has at most 255 bytes; the topic id makes the folder unique, its name is for people. */
const NAME_BYTES_MAX = 200
const CONCURRENT_FOLDERS = 8

export interface LogFilesDeps {
  readonly fileSystem: FileSystem
  readonly files: FilePool
  readonly segmentFiles: SegmentFiles
  readonly memory: MemoryTail
  readonly logger: Logger
  readonly nowMs: () => number
}

export function logDirectory(
  root: string,
  log: { topicName: string; partition: number; topicId: string },
): string {
  return `${root}/${log.topicName.slice(0, NAME_BYTES_MAX)}-${log.partition}.${log.topicId}`
}

export class LogFiles {
  readonly root: string
  readonly #deps: LogFilesDeps

  constructor(deps: LogFilesDeps, options: { dataDirectory: string }) {
    this.#deps = deps
    this.root = `${options.dataDirectory}/logs`
  }

  create(logId: number, creation: LogCreation): PartitionLog {
    const identity: LogIdentity = {
      logId,
      topicId: creation.topicId,
      topicName: creation.topicName,
      partition: creation.partition,
    }
    return new PartitionLog(identity, {
      directory: logDirectory(this.root, creation),
      tail: this.#deps.memory.open(),
      flush: creation.flush,
    })
  }

  restore(state: CheckpointedLog): PartitionLog {
    const { logId, topicId, topicName, partition, flush } = state
    const log = new PartitionLog(
      { logId, topicId, topicName, partition },
      { directory: logDirectory(this.root, state), tail: this.#deps.memory.open(), flush },
      {
        startOffset: state.startOffset,
        endOffset: state.endOffset,
        highWatermark: state.highWatermark,
        segments: state.segments.map((segment) => new Segment(segment)),
        epochs: new LeaderEpochs(state.epochs),
        ...(state.compacted === undefined ? {} : { compacted: state.compacted }),
      },
    )
    log.damage = state.damage
    log.deleted = state.deleted === true
    log.lossPossible = state.lossPossible === true
    return log
  }

  /**
   * Takes in whatever valid batches lie in the files behind what the log is known to hold. The
   * process that wrote them may not have synced them: the next checkpoint does.
   */
  async adoptWritten(log: PartitionLog): Promise<void> {
    const knownEnd = log.endOffset
    for (;;) {
      const active = log.segments.at(-1)
      if (active !== undefined) await this.#adoptFrom(log, active)
      const path = this.#deps.segmentFiles.path(log, { baseOffset: log.endOffset }, 'log')
      if (active?.baseOffset === log.endOffset) break
      if ((await this.#deps.fileSystem.size(path)) === undefined) break
      log.roll(this.#deps.nowMs())
    }
    if (log.endOffset === knownEnd) return
    log.directoryMade = true
    log.directoryUnsynced = true
    await this.#deps.fileSystem.syncDirectory(this.root)
  }

  /** The highest base of a segment file at or below the offset; -1 if there is none. */
  async lastBase(log: PartitionLog, offset: number): Promise<number> {
    const names = await this.#deps.fileSystem.list(log.directory)
    const bases = names.map((name) => {
      const file = parseSegmentFileName(name)
      return file?.extension === 'log' && file.baseOffset <= offset ? file.baseOffset : -1
    })
    return Math.max(-1, ...bases)
  }

  /** Whether there is a file of the record at `offset`, or need not be one yet. */
  async isThere(log: PartitionLog, offset: number): Promise<boolean> {
    const segment = log.segmentOf(offset)
    if (segment === undefined || segment.writtenBytes === 0) return true
    const path = this.#deps.segmentFiles.path(log, segment, 'log')
    return (await this.#deps.fileSystem.size(path)) !== undefined
  }

  /** The place of the batch that begins at `offset`; undefined if the log would be empty. */
  async placeOf(log: PartitionLog, offset: number): Promise<LogPlace | undefined> {
    const found = await this.boundaryBelow(log, offset)
    assert(
      found.place === undefined || found.endOffset === offset,
      `no batch in ${log.directory} ends at ${offset}`,
    )
    return found.place
  }

  /**
   * The highest end of a batch at or below `offset`, and its place; none if the log would be empty.
   * All of the log must have been written.
   * @throws ServiceError `partition-damaged` when the way to it is not whole
   */
  async boundaryBelow(
    log: PartitionLog,
    offset: number,
  ): Promise<{ endOffset: number; place: LogPlace | undefined }> {
    const segment = log.segmentOf(offset - 1)
    if (segment === undefined || offset <= segment.baseOffset) {
      return { endOffset: segment?.baseOffset ?? log.endOffset, place: undefined }
    }
    const path = this.#deps.segmentFiles.path(log, segment, 'log')
    const range = { start: 0, end: segment.writtenBytes }
    let endOffset = segment.baseOffset
    let isFound = false
    const end = await this.#deps.files.use(path, 'read', (file) =>
      scanBatches(file, range, (bytes, at) => {
        if (batchBaseOffset(bytes, at) !== endOffset) return false
        isFound = batchLastOffset(bytes, at) >= offset
        if (isFound) return false
        endOffset = batchLastOffset(bytes, at) + 1
        return true
      }),
    )
    // What is behind the offset may be cut already.
    if (!isFound && endOffset < offset) {
      throw new ServiceError('partition-damaged', `${path} is damaged at byte ${end.position}`)
    }
    return { endOffset, place: { segment, position: end.position } }
  }

  /**
   * Compares files and logs: what is beyond the end of a log goes, what is missing damages it.
   * All of a log must have been written.
   */
  async verify(logs: readonly PartitionLog[]): Promise<void> {
    const rest = logs.values()
    const work = async () => {
      for (const log of rest) await this.#verify(log)
    }
    await Promise.all(Array.from({ length: CONCURRENT_FOLDERS }, work))
  }

  async #adoptFrom(log: PartitionLog, active: Segment): Promise<void> {
    const path = this.#deps.segmentFiles.path(log, active, 'log')
    const size = await this.#deps.fileSystem.size(path)
    if (size === undefined || size <= active.sizeBytes) return
    const range = { start: active.sizeBytes, end: size }
    // Opened as for writing, so that a sync is known to be due.
    await this.#deps.files.use(path, 'create', (file) =>
      scanBatches(file, range, (bytes, at, _position, sizeBytes) => {
        const leaderEpoch = batchLeaderEpoch(bytes, at)
        if (batchBaseOffset(bytes, at) !== log.endOffset) return false
        if (leaderEpoch < log.lastEpoch) return false
        const maxTimestampMs = batchMaxTimestamp(bytes, at)
        log.adopt({
          endOffset: batchLastOffset(bytes, at) + 1,
          sizeBytes,
          leaderEpoch,
          maxTimestampMs,
        })
        return true
      }),
    )
  }

  async #verify(log: PartitionLog): Promise<void> {
    if (log.damage !== undefined) return
    const { fileSystem, files } = this.#deps
    const names = await fileSystem.list(log.directory)
    const found = new Set<number>()
    for (const name of names) {
      const file = parseSegmentFileName(name)
      if (isUnfinished(name)) await files.remove(`${log.directory}/${name}`)
      if (file === undefined) continue
      const segment = log.segments.find(
        ({ baseOffset, version }) => baseOffset === file.baseOffset && version === file.version,
      )
      // Neither checkpoint nor journal know of it: it was on its way out, or never promised.
      if (segment === undefined) await files.remove(`${log.directory}/${name}`)
      else if (file.extension === 'log') {
        found.add(segment.baseOffset)
        await this.#trim(log, segment, `${log.directory}/${name}`)
      }
    }
    for (const segment of log.segments) {
      if (segment.sizeBytes > 0 && !found.has(segment.baseOffset)) {
        this.#damaged(log, `segment ${segment.baseOffset} is missing in ${log.directory}`)
      }
    }
  }

  /** Cuts the file of a segment, all of which is written, to what the log holds of it. */
  async trim(log: PartitionLog, segment: Segment): Promise<void> {
    const path = this.#deps.segmentFiles.path(log, segment, 'log')
    await this.#deps.files.use(path, 'create', (file) => file.truncate(segment.writtenBytes))
  }

  async #trim(log: PartitionLog, segment: Segment, path: string): Promise<void> {
    const size = (await this.#deps.fileSystem.size(path)) ?? 0
    if (size < segment.sizeBytes) {
      this.#damaged(log, `${path} has ${size} bytes, not the ${segment.sizeBytes} that were synced`)
    } else if (size > segment.sizeBytes) {
      await this.#deps.files.use(path, 'create', (file) => file.truncate(segment.sizeBytes))
    }
  }

  #damaged(log: PartitionLog, detail: string): void {
    log.damage ??= detail
    this.#deps.logger.error({ directory: log.directory }, `partition damaged: ${detail}`)
  }
}
