/** The parts of a node's storage that recovery needs as well as the running node, wired together. */
import type { Clock } from '../env/clock.ts'
import type { FileSystem } from '../env/file-system.ts'
import type { Logger } from '../env/logger.ts'
import type { Metrics } from '../env/metrics.ts'
import type { Random } from '../env/random.ts'
import type { DataDirectory } from './data-directory.ts'
import { DiskSpace } from './disk-space.ts'
import { FilePool } from './file-pool.ts'
import { Journal } from './journal.ts'
import { LogFiles } from './log-files.ts'
import { LogWriter } from './log-writer.ts'
import { MemoryTail } from './memory-tail.ts'
import { SegmentFiles } from './segment-files.ts'
import type { StorageOptions } from './storage-options.ts'

export interface StorageDeps {
  readonly fileSystem: FileSystem
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly metrics?: Metrics
}

export interface StorageParts extends StorageDeps {
  readonly options: StorageOptions
  readonly directory: DataDirectory
  readonly disk: DiskSpace
  readonly memory: MemoryTail
  readonly files: FilePool
  readonly segmentFiles: SegmentFiles
  readonly logFiles: LogFiles
  readonly writer: LogWriter
  readonly journal: Journal
  readonly onFatal: (error: unknown) => void
  /** Called when bytes have left memory for the disk. */
  readonly progress: { listener: () => void }
}

export async function assembleStorage(
  deps: StorageDeps,
  options: StorageOptions,
  directory: DataDirectory,
  onFatal: (error: unknown) => void,
): Promise<StorageParts> {
  const { path } = directory
  const disk = new DiskSpace(deps, {
    directory: path,
    ballastBytes: options.ballastBytes,
    minFreeBytes: options.minFreeBytes,
  })
  const memory = new MemoryTail(options.memoryBytes)
  const files = new FilePool(deps, { maxOpenFiles: options.maxOpenFiles, onFatal })
  const segmentFiles = new SegmentFiles({ ...deps, files })
  const nowMs = () => deps.clock.nowMs()
  const logFiles = new LogFiles(
    { ...deps, files, segmentFiles, memory, nowMs },
    { dataDirectory: path },
  )
  const progress: StorageParts['progress'] = { listener: () => undefined }
  const writer = new LogWriter(
    { fileSystem: deps.fileSystem, files, segmentFiles, disk, memory },
    {
      startWritingBytes: options.maxUnwrittenBytes / 2,
      onFatal,
      onRefused: (log) => log.refuseFrom(log.journaledEnd),
      onProgress: () => progress.listener(),
    },
  )
  await disk.start()
  const journal = await Journal.open(deps, { ...options.journal, directory: `${path}/journal` })
  await deps.fileSystem.makeDirectory(logFiles.root)
  await deps.fileSystem.syncDirectory(path)
  return {
    ...deps,
    options,
    directory,
    disk,
    memory,
    files,
    segmentFiles,
    logFiles,
    writer,
    journal,
    onFatal,
    progress,
  }
}
