/**
 * Walks a whole segment file and finds what in it is valid and what is not, going on behind damage
 * with the next batch that can be found. Slow where it is damaged; for tools, not for the node.
 */
import type { BatchHeader } from '../core/record-batch.ts'
import {
  BATCH_HEADER_BYTES,
  batchBytes,
  checkBatch,
  MAX_BATCH_BYTES,
  readBatchHeader,
} from '../core/record-batch.ts'
import type { FileHandle } from '../env/file-system.ts'

const CHUNK_BYTES = 1024 * 1024

export type AuditFinding =
  | { readonly kind: 'batch'; readonly position: number; readonly header: BatchHeader }
  /** No valid batch begins in these bytes, or none that may follow what is before. */
  | { readonly kind: 'damage'; readonly position: number; readonly sizeBytes: number }

export interface AuditOptions {
  readonly end: number
  /** Base offset that the first batch must have; later ones go on without a gap, or behind damage above it. */
  readonly baseOffset: number
  /** The epoch that the records at an offset have, -1 if unknown. */
  readonly epochAt?: (offset: number) => number
}

/** Calls `visit` with each finding, in order of places; together they cover the file up to `end`. */
export async function auditSegment(
  file: FileHandle,
  options: AuditOptions,
  visit: (finding: AuditFinding) => void,
): Promise<void> {
  const window = new Window(file, options.end)
  let position = 0
  let damagedFrom = -1
  let nextOffset = options.baseOffset
  while (position < options.end) {
    const header = await readValid(window, position)
    if (header === undefined || !fits(header, nextOffset, damagedFrom !== -1, options)) {
      if (damagedFrom === -1) damagedFrom = position
      position++
      continue
    }
    if (damagedFrom !== -1) {
      visit({ kind: 'damage', position: damagedFrom, sizeBytes: position - damagedFrom })
    }
    damagedFrom = -1
    visit({ kind: 'batch', position, header })
    nextOffset = header.baseOffset + header.lastOffsetDelta + 1
    position += header.sizeBytes
  }
  if (damagedFrom !== -1) {
    visit({ kind: 'damage', position: damagedFrom, sizeBytes: options.end - damagedFrom })
  }
}

function fits(
  header: BatchHeader,
  nextOffset: number,
  behindDamage: boolean,
  { epochAt }: AuditOptions,
): boolean {
  const isInPlace = behindDamage
    ? header.baseOffset >= nextOffset
    : header.baseOffset === nextOffset
  if (!isInPlace) return false
  const epoch = epochAt?.(header.baseOffset) ?? -1
  return epoch === -1 || epoch === header.leaderEpoch
}

async function readValid(window: Window, position: number): Promise<BatchHeader | undefined> {
  const head = await window.bytesAt(position, BATCH_HEADER_BYTES)
  const state = checkBatch(head, 0, head.length)
  if (state === 'garbage') return undefined
  const size = head.length < BATCH_HEADER_BYTES ? 0 : batchBytes(head, 0)
  if (size < BATCH_HEADER_BYTES || size > MAX_BATCH_BYTES || position + size > window.end) {
    return undefined
  }
  const batch = await window.bytesAt(position, size)
  return checkBatch(batch, 0, size) === 'valid' ? readBatchHeader(batch) : undefined
}

/** A part of the file in memory, moved along with the walk. */
class Window {
  readonly end: number
  readonly #file: FileHandle
  #buffer = new Uint8Array(CHUNK_BYTES)
  #start = 0
  #filled = 0

  constructor(file: FileHandle, end: number) {
    this.#file = file
    this.end = end
  }

  /** At least `size` bytes unless the file ends before; valid until the next call. */
  async bytesAt(position: number, size: number): Promise<Uint8Array> {
    const wantedEnd = Math.min(position + size, this.end)
    if (position < this.#start || wantedEnd > this.#start + this.#filled) {
      if (size > this.#buffer.length) this.#buffer = new Uint8Array(size)
      const target = this.#buffer.subarray(0, Math.min(this.#buffer.length, this.end - position))
      this.#start = position
      this.#filled = await this.#file.readAt(target, position)
    }
    return this.#buffer.subarray(position - this.#start, this.#filled)
  }
}
