/** Collects the wanted batches of a segment file, checking each, from a place that may be too early. */
import {
  BATCH_HEADER_BYTES,
  batchBaseOffset,
  batchBytes,
  batchLastOffset,
  batchLeaderEpoch,
  checkBatch,
} from '../core/record-batch.ts'
import type { FileHandle } from '../env/file-system.ts'
import type { LeaderEpochs } from './leader-epochs.ts'
import type { LogRead, ReadRange } from './log-read.ts'
import type { ReadMemory } from './read-memory.ts'
import type { StartPlace } from './start-place.ts'

export interface WalkEnd extends LogRead {
  /**
   * `done`: all that is wanted, or all that is written. `garbage`: at `position` lies no valid
   * batch, or one that does not belong there: the segment is damaged, or the start place wrong.
   */
  readonly end: 'done' | 'garbage'
  /** Behind the last batch that was looked at. */
  readonly position: number
}

export interface WalkedFile {
  readonly file: FileHandle
  readonly writtenBytes: number
  /** The checksum of a batch does not cover its offset and epoch: these are checked against their surroundings. */
  readonly epochs: LeaderEpochs
}

/** How much more than what is wanted is read at once where nobody knows how long the way to it is. */
const APPROACH_BYTES = 8 * 1024

export interface WalkMemory {
  /** What the read may use while it lasts. */
  readonly buffer: Uint8Array
  /** Where a small read has memory of its own from, which is handed out as it is. */
  readonly memory: ReadMemory
}

export async function walkSegment(
  { file, writtenBytes, epochs }: WalkedFile,
  place: StartPlace,
  range: ReadRange,
  { buffer, memory }: WalkMemory,
): Promise<WalkEnd> {
  const walk = new Walk(place, range, epochs)
  // With the header of the batch behind the wanted ones, which tells that it is one too many.
  let wanted = Math.min(
    buffer.length,
    (place.approachBytes ?? APPROACH_BYTES) + range.maxBytes + BATCH_HEADER_BYTES,
    writtenBytes - walk.position,
  )
  const own = memory.take(wanted)
  let chunk: Uint8Array = own ?? buffer
  while (walk.position < writtenBytes && walk.end === undefined) {
    const before = walk.position
    const filled = await file.readAt(
      chunk.subarray(0, Math.min(wanted, writtenBytes - before)),
      before,
    )
    walk.take(chunk, filled, chunk === own)
    // What was found may be a part of it.
    if (walk.position > before && chunk === own) chunk = buffer
    if (walk.end !== undefined || walk.position > before) continue
    // Not one whole batch: it is larger than what was read, or the file is shorter than it should be.
    wanted = filled < BATCH_HEADER_BYTES ? 0 : batchBytes(chunk, 0)
    if (wanted <= filled || wanted > writtenBytes - before) walk.end = 'garbage'
    else if (wanted > chunk.length) chunk = wanted > buffer.length ? new Uint8Array(wanted) : buffer
  }
  const result = walk.result(walk.end ?? 'done')
  if (own === undefined) return result
  if (walk.keepsOwned) return { ...result, release: once(() => memory.giveBack(own)) }
  memory.giveBack(own)
  return result
}

function once(run: () => void): () => void {
  let left = 1
  return () => {
    if (left-- === 1) run()
  }
}

class Walk {
  position: number
  end: WalkEnd['end'] | undefined
  /** Whether what was found lies in an owned chunk. */
  keepsOwned: boolean = false
  readonly #place: StartPlace
  readonly #range: ReadRange
  readonly #epochs: LeaderEpochs
  readonly #batches: Uint8Array[] = []
  #sizeBytes = 0
  #nextOffset: number
  /** Base offset that the next batch must have, -1 if unknown. */
  #expectedBase: number

  constructor(place: StartPlace, range: ReadRange, epochs: LeaderEpochs) {
    this.#place = place
    this.#range = range
    this.#epochs = epochs
    this.#nextOffset = range.offset
    this.#expectedBase = place.baseOffset ?? -1
    this.position = place.position
  }

  /** Takes the whole batches that the first `filled` bytes of the chunk hold; it may keep one that is `owned`. */
  take(chunk: Uint8Array, filled: number, owned: boolean): void {
    let at = 0
    /** The wanted batches are neighbours: they are kept in one piece. */
    let wantedFrom = 0
    const sizes: number[] = []
    while (at < filled && this.end === undefined) {
      if (this.#isTooLarge(chunk, at, filled)) {
        this.end = 'done'
        break
      }
      const state = checkBatch(chunk, at, filled)
      if (state === 'short') break
      if (state === 'garbage' || !this.#belongsHere(chunk, at)) {
        this.end = 'garbage'
        break
      }
      const size = batchBytes(chunk, at)
      const lastOffset = batchLastOffset(chunk, at)
      this.#expectedBase = lastOffset + 1
      if (lastOffset < this.#range.offset) {
        wantedFrom = at + size
      } else if (lastOffset >= this.#range.endOffset) {
        this.end = 'done'
        break
      } else {
        sizes.push(size)
        this.#sizeBytes += size
        this.#nextOffset = lastOffset + 1
      }
      at += size
    }
    this.position += at
    this.#keep(chunk, wantedFrom, sizes, owned)
  }

  result(end: WalkEnd['end']): WalkEnd {
    return {
      end,
      batches: this.#batches,
      sizeBytes: this.#sizeBytes,
      nextOffset: this.#nextOffset,
      position: this.position,
    }
  }

  #belongsHere(chunk: Uint8Array, at: number): boolean {
    const baseOffset = batchBaseOffset(chunk, at)
    const isInPlace =
      this.#expectedBase === -1
        ? batchLastOffset(chunk, at) === this.#place.lastOffset
        : baseOffset === this.#expectedBase
    if (!isInPlace) return false
    const epoch = this.#epochs.epochAt(baseOffset)
    return epoch === -1 || epoch === batchLeaderEpoch(chunk, at)
  }

  /** Whether what was found has no room for the next batch: its header tells before all of it is read. */
  #isTooLarge(chunk: Uint8Array, at: number, filled: number): boolean {
    if (this.#sizeBytes === 0 || filled - at < BATCH_HEADER_BYTES) return false
    return this.#sizeBytes + batchBytes(chunk, at) > this.#range.maxBytes
  }

  #keep(chunk: Uint8Array, from: number, sizes: readonly number[], owned: boolean): void {
    if (sizes.length === 0) return
    let wantedBytes = 0
    for (const size of sizes) wantedBytes += size
    let kept = chunk
    let at = from
    // What is kept must not keep much else in memory.
    if (!owned || wantedBytes < chunk.length / 2) {
      kept = Buffer.allocUnsafeSlow(wantedBytes)
      kept.set(chunk.subarray(from, from + wantedBytes))
      at = 0
    } else this.keepsOwned = true
    for (const size of sizes) {
      this.#batches.push(kept.subarray(at, at + size))
      at += size
    }
  }
}
