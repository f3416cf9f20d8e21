/**
 * Writes the logs behind the journal: what is durable there goes from memory into the segments, in
 * large sequential writes without a sync, when memory asks for it or somebody waits for it. Logs
 * that flush to the operating system are written at once.
 */
import type { FileHandle, FileSystem } from '../env/file-system.ts'
import { assert } from '../lib/assert.ts'
import type { DiskSpace } from './disk-space.ts'
import { isNoSpace } from './disk-space.ts'
import type { FilePool } from './file-pool.ts'
import type { TailEntry } from './log-tail.ts'
import type { MemoryTail } from './memory-tail.ts'
import type { PartitionLog } from './partition-log.ts'
import type { SegmentFiles } from './segment-files.ts'
import { PartialWriteError, writeWhole } from './write-whole.ts'

const CHUNK_BYTES = 4 * 1024 * 1024
/** So much is written to a segment without a sync at most: a large one would hold up the journal's. */
const UNSYNCED_BYTES = 8 * 1024 * 1024
/** A log with so much to write is written without waiting for more. */
const EAGER_BYTES = 1024 * 1024
const CONCURRENT_WRITES = 2

export interface LogWriterDeps {
  readonly fileSystem: FileSystem
  readonly files: FilePool
  readonly segmentFiles: SegmentFiles
  readonly disk: DiskSpace
  readonly memory: MemoryTail
}

export interface LogWriterOptions {
  /** From so many unwritten bytes on logs are written, longest waiting first, until half is left. */
  readonly startWritingBytes: number
  /** A write failed, and not for want of space: what is in the file can no longer be known. */
  readonly onFatal: (error: unknown) => void
  /** Batches of a log that flushes to the operating system found the disk full. */
  readonly onRefused: (log: PartitionLog) => void
  /** Bytes have left memory for the disk. */
  readonly onProgress: () => void
}

export class LogWriter {
  readonly #deps: LogWriterDeps
  readonly #options: LogWriterOptions
  /** Logs that have something to write, longest waiting first. */
  readonly #waiting = new Set<PartitionLog>()
  readonly #eager = new Set<PartitionLog>()
  readonly #running = new Map<PartitionLog, Promise<boolean>>()
  #draining: boolean = false
  #closed: boolean = false
  /** Folders of logs were made whose names are not synced. */
  rootUnsynced: boolean = false

  constructor(deps: LogWriterDeps, options: LogWriterOptions) {
    this.#deps = deps
    this.#options = options
  }

  /** The log has batches that may be written now. */
  note(log: PartitionLog): void {
    this.#waiting.add(log)
    if (log.flush === 'os' || log.tail.unwrittenBytes >= EAGER_BYTES) this.#eager.add(log)
    this.#pump()
  }

  get waiting(): number {
    return this.#waiting.size
  }

  /** The log is going away. */
  forget(log: PartitionLog): void {
    this.#waiting.delete(log)
    this.#eager.delete(log)
  }

  /** Has all below `endOffset`, which must be in the journal unless none is used, written; waits while the disk is full. */
  async flush(log: PartitionLog, endOffset: number): Promise<void> {
    while (log.writtenEnd < Math.min(endOffset, log.endOffset) && !log.deleted) {
      const isWritten = await (this.#running.get(log) ?? this.#begin(log))
      if (!isWritten) await this.#deps.disk.retry()
    }
  }

  /** Takes up what waited for space. */
  resume(): void {
    for (const log of this.#waiting) if (log.flush === 'os') this.#eager.add(log)
    this.#pump()
  }

  /** Stops writing; what runs is waited for. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.allSettled(this.#running.values())
  }

  #pump(): void {
    const { memory, disk } = this.#deps
    if (memory.pinnedBytes >= this.#options.startWritingBytes) this.#draining = true
    else if (memory.pinnedBytes < this.#options.startWritingBytes / 2) this.#draining = false
    while (!this.#closed && !disk.isFull && this.#running.size < CONCURRENT_WRITES) {
      const log =
        this.#next(this.#eager) ?? (this.#draining ? this.#next(this.#waiting) : undefined)
      if (log === undefined) return
      void this.#begin(log)
    }
  }

  #next(logs: Set<PartitionLog>): PartitionLog | undefined {
    for (const log of logs) {
      if (this.#running.has(log)) continue
      if (this.#writable(log).length > 0) return log
      logs.delete(log)
    }
    return undefined
  }

  #writable(log: PartitionLog): TailEntry[] {
    return log.tail.unwritten(log.flush === 'os' ? log.endOffset : log.keptEnd, CHUNK_BYTES)
  }

  /** Resolves to whether the next batches of the log were written; false if there is no space. */
  #begin(log: PartitionLog): Promise<boolean> {
    this.#eager.delete(log)
    this.#waiting.delete(log)
    const run = this.#write(log).finally(() => {
      this.#running.delete(log)
      if (log.tail.unwrittenBytes > 0 && !log.deleted) this.note(log)
      else this.#pump()
    })
    this.#running.set(log, run)
    run.catch(() => undefined)
    return run
  }

  async #write(log: PartitionLog): Promise<boolean> {
    const entries = this.#writable(log)
    const first = entries[0]
    assert(first !== undefined, 'only batches that are in the journal are written')
    const segment = log.segmentOf(first.baseOffset)
    assert(segment?.baseOffset === first.segmentBase, 'an unwritten batch has its segment')
    const { generation } = log
    let written = entries.length
    try {
      await this.#makeDirectory(log)
      written = await this.#deps.files.use(
        this.#deps.segmentFiles.path(log, segment, 'log'),
        'create',
        (file) => writeBatches(file, entries),
      )
    } catch (error) {
      if (!isNoSpace(error)) {
        this.#closed = true
        this.#options.onFatal(error)
        throw error
      }
      written = 0
    }
    // Only now the name is there: a sync of the folder that began before would not cover it.
    if (segment.writtenBytes === 0) log.directoryUnsynced = true
    const last = entries[written - 1]
    if (last !== undefined && generation === log.generation) {
      const writtenBytes = last.position + last.batch.length
      segment.unsyncedBytes += writtenBytes - first.position
      log.writtenTo(segment, writtenBytes, last.endOffset)
      this.#options.onProgress()
    }
    if (written < entries.length) return this.#refuse(log)
    if (segment.unsyncedBytes >= UNSYNCED_BYTES) {
      segment.unsyncedBytes = 0
      await this.#deps.files.sync(this.#deps.segmentFiles.path(log, segment, 'log'))
    }
    if (segment !== log.segments.at(-1) && segment.writtenBytes === segment.sizeBytes) {
      await this.#deps.segmentFiles.persistIndex(log, segment)
    }
    return true
  }

  #refuse(log: PartitionLog): boolean {
    this.#deps.disk.noteFull()
    if (log.flush === 'os') this.#options.onRefused(log)
    return false
  }

  async #makeDirectory(log: PartitionLog): Promise<void> {
    if (log.directoryMade) return
    await this.#deps.fileSystem.makeDirectory(log.directory)
    log.directoryMade = true
    this.rootUnsynced = true
  }
}

/** Writes whole batches only; resolves to how many fitted on the disk. */
async function writeBatches(file: FileHandle, entries: readonly TailEntry[]): Promise<number> {
  const { position } = entries[0] as TailEntry
  try {
    await writeWhole(
      file,
      entries.map((entry) => entry.batch),
      position,
    )
    return entries.length
  } catch (error) {
    if (!(error instanceof PartialWriteError) || !isNoSpace(error.cause)) throw error
    const end = position + error.writtenBytes
    const whole = entries.findLastIndex((entry) => entry.position + entry.batch.length <= end) + 1
    const last = entries[whole - 1]
    await file.truncate(last === undefined ? position : last.position + last.batch.length)
    return whole
  }
}
