/** Finds the first record at or after a time: segment by its highest timestamp, place by the index, then batches, then records. */
import { batchMaxTimestamp } from '../core/record-batch.ts'
import { RecordCursor } from '../core/record-cursor.ts'
import type { LogReader } from '../storage/log-reader.ts'
import type { PartitionLog } from '../storage/partition-log.ts'
import type { SegmentFiles } from '../storage/segment-files.ts'

const READ_BYTES = 1024 * 1024

/** The high watermark if no committed record is so new. */
export async function offsetAtTime(
  deps: { reader: LogReader; segmentFiles: SegmentFiles },
  log: PartitionLog,
  timeMs: number,
  signal: AbortSignal,
): Promise<number> {
  for (const segment of log.segments) {
    if (segment.maxTimestampMs < timeMs || segment.endOffset <= log.startOffset) continue
    const isWritten = segment.writtenBytes > 0
    const start = isWritten
      ? (await deps.segmentFiles.index(log, segment)).startFor(timeMs)
      : segment.baseOffset
    const found = await scan(
      deps.reader,
      log,
      Math.max(start, log.startOffset),
      segment.endOffset,
      timeMs,
      signal,
    )
    if (found !== undefined) return found
  }
  return log.highWatermark
}

async function scan(
  reader: LogReader,
  log: PartitionLog,
  startOffset: number,
  endOffset: number,
  timeMs: number,
  signal: AbortSignal,
): Promise<number | undefined> {
  const cursor = new RecordCursor()
  let offset = startOffset
  for (;;) {
    const end = Math.min(endOffset, log.highWatermark)
    if (offset >= end) return undefined
    const read = await reader.read(log, { offset, endOffset: end, maxBytes: READ_BYTES }, signal)
    if (read.batches.length === 0) return undefined
    for (const batch of read.batches) {
      if (batchMaxTimestamp(batch) < timeMs) continue
      cursor.reset(batch)
      while (cursor.next()) {
        if (cursor.timestampMs >= timeMs && cursor.offset >= log.startOffset) return cursor.offset
      }
    }
    offset = read.nextOffset
  }
}
