/**
 * Finds the first record at or after a time: the segment by its highest timestamp, a place in it by
 * the time index, then batches, then records.
 */
import { batchLastOffset, batchMaxTimestamp } from '../core/record-batch.ts'
import { RecordCursor } from '../core/record-cursor.ts'
import type { LogReader } from '../storage/log-reader.ts'
import type { PartitionLog } from '../storage/partition-log.ts'
import type { Segment } from '../storage/segment.ts'
import type { SegmentFiles } from '../storage/segment-files.ts'
import type { SegmentIndex } from '../storage/segment-index.ts'

const READ_BYTES = 1024 * 1024

export interface TimeLookupDeps {
  readonly reader: LogReader
  readonly segmentFiles: SegmentFiles
}

export class TimeLookup {
  readonly #deps: TimeLookupDeps
  readonly #log: PartitionLog
  readonly #timeMs: number
  readonly #signal: AbortSignal

  constructor(deps: TimeLookupDeps, log: PartitionLog, timeMs: number, signal: AbortSignal) {
    this.#deps = deps
    this.#log = log
    this.#timeMs = timeMs
    this.#signal = signal
  }

  /** The high watermark if no committed record is so new. */
  async run(): Promise<number> {
    const log = this.#log
    for (const segment of log.segments) {
      if (segment.maxTimestampMs < this.#timeMs || segment.endOffset <= log.startOffset) continue
      const start = Math.max(await this.#startIn(segment), log.startOffset)
      const found = await this.#scan(start, segment.endOffset)
      if (found !== undefined) return found
    }
    return log.highWatermark
  }

  async #startIn(segment: Segment): Promise<number> {
    // What is in memory only needs no index.
    if (segment.writtenBytes === 0) return segment.baseOffset
    const { segmentFiles } = this.#deps
    const index = await segmentFiles.index(this.#log, segment)
    const start = await this.#trusted(index, segment)
    if (start !== undefined) return start
    const rebuilt = await segmentFiles.rebuildIndex(this.#log, segment)
    return (await this.#trusted(rebuilt, segment)) ?? segment.baseOffset
  }

  /** Where the index says to begin; undefined if the batch there is not what the index says. */
  async #trusted(index: SegmentIndex, segment: Segment): Promise<number | undefined> {
    const below = index.below(this.#timeMs)
    if (below === undefined || below.lastOffset < this.#log.startOffset) return segment.baseOffset
    const range = { offset: below.lastOffset, endOffset: this.#log.endOffset, maxBytes: 0 }
    const batch = (await this.#deps.reader.read(this.#log, range, this.#signal)).batches[0]
    const isRight =
      batch !== undefined &&
      batchLastOffset(batch) === below.lastOffset &&
      batchMaxTimestamp(batch) === below.maxTimestampMs
    return isRight ? below.lastOffset : undefined
  }

  async #scan(startOffset: number, segmentEnd: number): Promise<number | undefined> {
    const cursor = new RecordCursor()
    let offset = startOffset
    for (;;) {
      const endOffset = Math.min(segmentEnd, this.#log.highWatermark)
      if (offset >= endOffset) return undefined
      const range = { offset, endOffset, maxBytes: READ_BYTES }
      const read = await this.#deps.reader.read(this.#log, range, this.#signal)
      if (read.batches.length === 0) return undefined
      for (const batch of read.batches) {
        if (batchMaxTimestamp(batch) < this.#timeMs) continue
        cursor.reset(batch)
        while (cursor.next()) {
          if (cursor.timestampMs >= this.#timeMs && cursor.offset >= startOffset)
            return cursor.offset
        }
      }
      offset = read.nextOffset
    }
  }
}
