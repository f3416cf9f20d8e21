/**
 * The files of segments: their paths, and how an index gets to disk and back. An index file that is
 * missing, implausible or far behind its segment is made again from the segment.
 */
import { batchBaseOffset, batchLastOffset, batchMaxTimestamp } from '../core/record-batch.ts'
import type { FileSystem } from '../env/file-system.ts'
import type { Logger } from '../env/logger.ts'
import { ServiceError } from '../lib/service-error.ts'
import { scanBatches } from './batch-scan.ts'
import { isNoSpace } from './disk-space.ts'
import type { FilePool } from './file-pool.ts'
import { OFFSET_ENTRY_BYTES, OffsetIndex } from './offset-index.ts'
import type { PartitionLog } from './partition-log.ts'
import type { Segment, SegmentName } from './segment.ts'
import { segmentFileName } from './segment.ts'
import { SegmentIndex } from './segment-index.ts'
import { TIME_ENTRY_BYTES, TimeIndex } from './time-index.ts'
import { PartialWriteError, writeWhole } from './write-whole.ts'

/** A lookup that would have to walk more than this behind the last entry wants a better index. */
const MAX_GAP_BYTES = 1024 * 1024
const MAX_LOADED_BYTES = 32 * 1024 * 1024

export class SegmentFiles {
  readonly #fileSystem: FileSystem
  readonly #logger: Logger
  readonly #files: FilePool
  /** Indexes in memory of segments that take no more batches, longest unused first. */
  readonly #loaded = new Map<Segment, number>()
  #loadedBytes = 0

  constructor(deps: { fileSystem: FileSystem; files: FilePool; logger: Logger }) {
    this.#fileSystem = deps.fileSystem
    this.#logger = deps.logger
    this.#files = deps.files
  }

  path(log: PartitionLog, name: SegmentName, extension: 'log' | 'index' | 'timeindex'): string {
    return `${log.directory}/${segmentFileName(name, extension)}`
  }

  /** The whole index of what is written of the segment. */
  async index(log: PartitionLog, segment: Segment): Promise<SegmentIndex> {
    const held = segment.index
    if (held?.fromPosition === 0) {
      if (this.#loaded.has(segment)) this.#keep(segment, held)
      return held
    }
    const { generation } = log
    const endPosition = held?.fromPosition ?? segment.sizeBytes
    const loaded = await this.#load(log, segment, endPosition)
    const found = loaded ?? (await this.#scan(log, segment, endPosition))
    if (generation !== log.generation) return this.index(log, segment)
    // Another reader may have been faster.
    if (segment.index?.fromPosition === 0) return segment.index
    const index = segment.index?.joinedTo(found) ?? found
    segment.index = index
    if (segment === log.segments.at(-1)) return index
    this.#keep(segment, index)
    if (loaded === undefined) await this.persistIndex(log, segment)
    return index
  }

  /** The index has led astray: makes it again from the segment. */
  async rebuildIndex(log: PartitionLog, segment: Segment): Promise<SegmentIndex> {
    const { generation } = log
    const endPosition = segment.writtenBytes
    const found = await this.#scan(log, segment, endPosition)
    if (generation !== log.generation || endPosition !== segment.sizeBytes) return found
    segment.index = found
    if (segment !== log.segments.at(-1)) this.#keep(segment, found)
    await this.persistIndex(log, segment)
    return found
  }

  /**
   * Writes the index to its files; without a sync, as it can be made again. Nothing happens if the disk
   * does not take it, or if the segment is damaged, which is for its readers to find.
   */
  async persistIndex(log: PartitionLog, segment: Segment): Promise<void> {
    const { writtenBytes } = segment
    try {
      const index = await this.index(log, segment)
      await this.#write(this.path(log, segment, 'index'), index.offsets.encoded())
      await this.#write(this.path(log, segment, 'timeindex'), index.times.encoded())
      segment.indexedBytes = writtenBytes
      if (segment !== log.segments.at(-1)) this.#keep(segment, index)
    } catch (error) {
      const isRefused = isNoSpace(error) || error instanceof PartialWriteError
      if (!isRefused && !(error instanceof ServiceError)) throw error
    }
  }

  /** Removes the files of a segment that left its log. */
  async remove(log: PartitionLog, segment: Segment): Promise<void> {
    this.#drop(segment)
    for (const extension of ['log', 'index', 'timeindex'] as const) {
      await this.#files.remove(this.path(log, segment, extension))
    }
  }

  async #load(
    log: PartitionLog,
    segment: Segment,
    endPosition: number,
  ): Promise<SegmentIndex | undefined> {
    const offsetBytes = await this.#read(this.path(log, segment, 'index'))
    const timeBytes = await this.#read(this.path(log, segment, 'timeindex'))
    if (offsetBytes === undefined || timeBytes === undefined) return undefined
    if (offsetBytes.length % OFFSET_ENTRY_BYTES !== 0) return undefined
    if (timeBytes.length % TIME_ENTRY_BYTES !== 0) return undefined
    const index = new SegmentIndex(
      segment.baseOffset,
      { position: 0, maxTimestampMs: -1, offsetOfMaxTimestamp: segment.baseOffset },
      new OffsetIndex(offsetBytes),
      new TimeIndex(timeBytes),
    )
    index.offsets.cut(endPosition)
    index.times.cut(segment.endOffset - segment.baseOffset)
    const entries = index.offsets.entries
    const lastPosition = entries === 0 ? 0 : index.offsets.position(entries - 1)
    const isUsable =
      endPosition - lastPosition <= MAX_GAP_BYTES &&
      index.offsets.isPlausible(endPosition) &&
      index.times.isPlausible(segment.endOffset - segment.baseOffset)
    return isUsable ? index : undefined
  }

  async #scan(log: PartitionLog, segment: Segment, endPosition: number): Promise<SegmentIndex> {
    const index = SegmentIndex.empty(segment.baseOffset)
    const path = this.path(log, segment, 'log')
    const { damagedAt } = segment
    if (damagedAt !== undefined && damagedAt < endPosition) throw damaged(path, damagedAt)
    if ((await this.#fileSystem.size(path)) === undefined) {
      throw new ServiceError('partition-damaged', `${path} is missing`)
    }
    let expectedBase = segment.baseOffset
    await this.#files.use(path, 'read', async (file) => {
      const range = { start: 0, end: endPosition }
      const end = await scanBatches(file, range, (bytes, at, position, sizeBytes) => {
        if (batchBaseOffset(bytes, at) !== expectedBase) return false
        const lastOffset = batchLastOffset(bytes, at)
        expectedBase = lastOffset + 1
        index.note(position, sizeBytes, lastOffset, batchMaxTimestamp(bytes, at))
        return true
      })
      if (end.position < endPosition) {
        segment.damagedAt = end.position
        this.#logger.error({ path, position: end.position }, 'a segment is damaged')
        throw damaged(path, end.position)
      }
    })
    if (segment !== log.segments.at(-1)) index.finish()
    return index
  }

  async #read(path: string): Promise<Uint8Array | undefined> {
    const size = await this.#fileSystem.size(path)
    if (size === undefined) return undefined
    const file = await this.#fileSystem.open(path, 'read')
    try {
      const bytes = new Uint8Array(size)
      return bytes.subarray(0, await file.readAt(bytes, 0))
    } finally {
      await file.close()
    }
  }

  async #write(path: string, bytes: Uint8Array): Promise<void> {
    const file = await this.#fileSystem.open(path, 'create')
    try {
      await writeWhole(file, [bytes], 0)
      await file.truncate(bytes.length)
    } finally {
      await file.close()
    }
  }

  #keep(segment: Segment, index: SegmentIndex): void {
    this.#drop(segment)
    segment.index = index
    this.#loaded.set(segment, index.memoryBytes)
    this.#loadedBytes += index.memoryBytes
    for (const [oldest] of this.#loaded) {
      if (this.#loadedBytes <= MAX_LOADED_BYTES || this.#loaded.size === 1) return
      this.#drop(oldest)
    }
  }

  #drop(segment: Segment): void {
    const bytes = this.#loaded.get(segment)
    if (bytes === undefined) return
    this.#loaded.delete(segment)
    this.#loadedBytes -= bytes
    segment.index = undefined
  }
}

function damaged(path: string, position: number): ServiceError {
  return new ServiceError('partition-damaged', `${path} is damaged at byte ${position}`)
}
