/** Walks the batches of a segment file from one place on, checking each, with a bounded buffer. */
import { BATCH_HEADER_BYTES, batchBytes, checkBatch } from '../core/record-batch.ts'
import type { FileHandle } from '../env/file-system.ts'

const CHUNK_BYTES = 1024 * 1024

export interface ScanRange {
  readonly start: number
  readonly end: number
  /** Read at once, unless a batch is larger. */
  readonly chunkBytes?: number
  /** Waited for behind each chunk, whose bytes it is given. */
  readonly pause?: (bytes: number) => Promise<void>
}

export interface ScanEnd {
  /** Where the walk ended: at `end`, or before at what is no whole, valid batch. */
  readonly position: number
  readonly batches: number
}

/**
 * Calls `visit` with each valid batch: the bytes it is in, where it begins there, its place in the
 * file and its size. The bytes are reused after the call. If it returns false, the walk ends before
 * the batch.
 */
export async function scanBatches(
  file: FileHandle,
  range: ScanRange,
  visit: (bytes: Uint8Array, at: number, position: number, sizeBytes: number) => boolean,
): Promise<ScanEnd> {
  let buffer = new Uint8Array(range.chunkBytes ?? CHUNK_BYTES)
  let position = range.start
  let batches = 0
  for (;;) {
    const wanted = Math.min(buffer.length, range.end - position)
    const filled = wanted <= 0 ? 0 : await file.readAt(buffer.subarray(0, wanted), position)
    let at = 0
    while (at < filled) {
      if (checkBatch(buffer, at, filled) !== 'valid') break
      const size = batchBytes(buffer, at)
      if (!visit(buffer, at, position + at, size)) return { position: position + at, batches }
      batches++
      at += size
    }
    position += at
    await range.pause?.(at)
    if (filled < buffer.length && at < filled) return { position, batches }
    if (filled === 0) return { position, batches }
    if (at > 0) continue
    // Not even one batch: garbage, or one that is larger than the buffer.
    if (filled < BATCH_HEADER_BYTES || checkBatch(buffer, 0, filled) !== 'short') {
      return { position, batches }
    }
    buffer = new Uint8Array(batchBytes(buffer, 0))
  }
}
