/**
 * Reads whole batches of a log: from memory if they are there, which needs no waiting, else from
 * the segments, where each batch is checked before it is handed out.
 */
import { ServiceError } from '../lib/service-error.ts'
import { BufferPool } from './buffer-pool.ts'
import type { FilePool } from './file-pool.ts'
import type { LogRead, ReadRange } from './log-read.ts'
import type { PartitionLog } from './partition-log.ts'
import { ReadMemory } from './read-memory.ts'
import type { Segment } from './segment.ts'
import type { SegmentFiles } from './segment-files.ts'
import type { WalkEnd } from './segment-walk.ts'
import { walkSegment } from './segment-walk.ts'
import type { StartPlace } from './start-place.ts'

const CONCURRENT_COLD_READS = 4
const BUFFER_BYTES = 1024 * 1024
/** Up to here what was read is handed out in the memory that it was read into; beyond, it is copied. */
const PIECE_BYTES = 256 * 1024
/** Enough for the reads of which some are under way, and the others with those who asked. */
const MEMORY_BYTES = 4 * CONCURRENT_COLD_READS * PIECE_BYTES
const ATTEMPTS = 4
/** Where sequential readers of a segment will go on. */
const HINTS_PER_SEGMENT = 16

export class LogReader {
  readonly #files: FilePool
  readonly #segmentFiles: SegmentFiles
  readonly #buffers = new BufferPool(CONCURRENT_COLD_READS, BUFFER_BYTES)
  readonly #memory = new ReadMemory(PIECE_BYTES, MEMORY_BYTES)
  readonly #hints = new WeakMap<Segment, Map<number, number>>()

  constructor(deps: { files: FilePool; segmentFiles: SegmentFiles }) {
    this.#files = deps.files
    this.#segmentFiles = deps.segmentFiles
  }

  /** Undefined if the offset is below what memory holds. */
  readMemory(log: PartitionLog, range: ReadRange): LogRead | undefined {
    const { offset, endOffset, maxBytes } = range
    if (offset >= endOffset) return { batches: [], sizeBytes: 0, nextOffset: offset }
    let index = log.tail.find(offset)
    if (index === -1) return undefined
    const batches: Uint8Array[] = []
    let sizeBytes = 0
    let nextOffset = offset
    for (;;) {
      const entry = log.tail.at(index++)
      if (entry === undefined || entry.endOffset > endOffset) break
      if (batches.length > 0 && sizeBytes + entry.batch.length > maxBytes) break
      batches.push(entry.batch)
      sizeBytes += entry.batch.length
      nextOffset = entry.endOffset
    }
    return { batches, sizeBytes, nextOffset }
  }

  /**
   * Reads from memory or disk. Nothing is returned, though there is something, when the log was cut
   * meanwhile at both ends: the caller looks at its bounds again.
   * @throws ServiceError `partition-damaged`, `overloaded`; the signal's reason on abort
   */
  async read(log: PartitionLog, range: ReadRange, signal: AbortSignal): Promise<LogRead> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const found = this.readMemory(log, range) ?? (await this.#readSegments(log, range, signal))
      if (found !== undefined) return found
    }
    return { batches: [], sizeBytes: 0, nextOffset: range.offset }
  }

  /** No read of a disk begins any more. */
  close(): void {
    this.#buffers.close()
  }

  /** Undefined if the log changed under the reader, or holds the offset in memory only. */
  async #readSegments(
    log: PartitionLog,
    range: ReadRange,
    signal: AbortSignal,
  ): Promise<LogRead | undefined> {
    const { generation } = log
    const segment = log.segmentOf(range.offset)
    if (segment === undefined || range.offset < segment.baseOffset) return undefined
    try {
      const walk = await this.#buffers.use(signal, (buffer) =>
        this.#walk(log, segment, range, buffer),
      )
      if (generation !== log.generation || walk.batches.length === 0) return undefined
      this.#hint(segment, walk)
      return walk
    } catch (error) {
      if (generation !== log.generation || !log.segments.includes(segment)) return undefined
      throw error
    }
  }

  async #walk(
    log: PartitionLog,
    segment: Segment,
    range: ReadRange,
    buffer: Uint8Array,
  ): Promise<WalkEnd> {
    const hinted = this.#hints.get(segment)?.get(range.offset)
    const place =
      hinted === undefined || hinted >= segment.writtenBytes
        ? (await this.#segmentFiles.index(log, segment)).floor(range.offset)
        : { position: hinted, baseOffset: range.offset, approachBytes: 0 }
    const walk = await this.#walkFrom(log, segment, place, range, buffer)
    if (walk.end === 'done' || walk.batches.length > 0) return walk
    // The index is wrong, or the batches are: the segment itself tells.
    this.#hints.delete(segment)
    const index = await this.#segmentFiles.rebuildIndex(log, segment)
    const again = await this.#walkFrom(log, segment, index.floor(range.offset), range, buffer)
    if (again.end === 'done' || again.batches.length > 0) return again
    throw new ServiceError(
      'partition-damaged',
      `${this.#segmentFiles.path(log, segment, 'log')} is damaged at byte ${again.position}`,
    )
  }

  #walkFrom(
    log: PartitionLog,
    segment: Segment,
    place: StartPlace | undefined,
    range: ReadRange,
    buffer: Uint8Array,
  ): Promise<WalkEnd> {
    const path = this.#segmentFiles.path(log, segment, 'log')
    return this.#files.use(path, 'read', (file) =>
      walkSegment(
        { file, writtenBytes: segment.writtenBytes, epochs: log.epochs },
        place ?? { position: 0, baseOffset: segment.baseOffset },
        range,
        { buffer, memory: this.#memory },
      ),
    )
  }

  #hint(segment: Segment, walk: WalkEnd): void {
    let hints = this.#hints.get(segment)
    if (hints === undefined) {
      hints = new Map()
      this.#hints.set(segment, hints)
    }
    hints.delete(walk.nextOffset)
    hints.set(walk.nextOffset, walk.position)
    if (hints.size <= HINTS_PER_SEGMENT) return
    for (const oldest of hints.keys()) {
      hints.delete(oldest)
      return
    }
  }
}
