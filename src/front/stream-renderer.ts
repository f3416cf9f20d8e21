/** Turns fetched batches into segments of a stream, each frame with the cursor behind its record. */
import {
  batchBaseOffset,
  batchBytes,
  batchLastOffset,
  batchRecordCount,
} from '../core/record-batch.ts'
import type { ByteWriter } from '../wire/byte-writer.ts'
import { CursorWriter } from '../wire/cursor-writer.ts'
import type { Fetched } from '../wire/internal.ts'
import { RecordRenderer } from '../wire/render.ts'
import { streamChunk } from '../wire/stream-chunk.ts'
import type { ReadPositions } from './read-positions.ts'
import type { TailSegment } from './tail-ring.ts'

/** `record`: the whole record as JSON. `value`: the bare value. */
export type StreamRendering = 'record' | 'value'

/** A segment is cut when it has grown to this. */
const SEGMENT_BYTES = 256 * 1024
/** A large batch makes at most so many segments, since each begins with a walk through the batch. */
const SEGMENTS_PER_BATCH = 16
/** What a frame has besides value and cursor, about. */
const FRAME_BYTES = 160

export class StreamRenderer {
  /** Where the next record is; moves with what is added. */
  readonly positions: ReadPositions
  readonly #renderer: RecordRenderer
  readonly #cursor: CursorWriter
  readonly #out: ByteWriter
  #isOpen: boolean = false
  #segments: TailSegment[] = []

  /** `out` may be shared: it is used from the first `add` to the next `flush`. */
  constructor(positions: ReadPositions, rendering: StreamRendering, out: ByteWriter) {
    const { topic } = positions
    this.positions = positions
    this.#out = out
    this.#renderer = new RecordRenderer(topic.name, rendering === 'record' ? 'sse' : 'sse-value')
    this.#cursor = new CursorWriter(topic.id, topic.slotMap.version, positions.cursorPositions())
  }

  /**
   * Takes what was fetched from where the partition stands, below offset `upTo` if one is given.
   * @throws ServiceError `partition-damaged`
   */
  add(fetched: Fetched, upTo = Number.MAX_SAFE_INTEGER): void {
    const { partition, batches } = fetched
    if (!this.#isOpen) this.#out.clear()
    this.#isOpen = true
    for (const batch of batches) {
      if (batchBaseOffset(batch) >= upTo) break
      this.#addBatch(partition, batch, upTo)
    }
    this.#moveTo(partition, Math.min(fetched.nextOffset, upTo), -1)
  }

  /** Everything since the last time. */
  flush(): TailSegment[] {
    if (this.#isOpen) this.#cut()
    this.#isOpen = false
    const segments = this.#segments
    this.#segments = []
    return segments
  }

  #addBatch(partition: number, batch: Uint8Array, upTo: number): void {
    const end = Math.min(upTo, batchLastOffset(batch) + 1)
    const limit = this.#recordsPerSegment(batch)
    const cursor = this.#cursor
    let from = this.positions.offsetOf(partition)
    while (from < end) {
      const window = { from, upTo, limit, cursor }
      const { nextOffset, lastEpoch } = this.#renderer.render(this.#out, partition, batch, window)
      this.#moveTo(partition, nextOffset, lastEpoch)
      from = nextOffset
      if (this.#out.length >= SEGMENT_BYTES) this.#cut()
    }
  }

  #moveTo(partition: number, offset: number, lastEpoch: number): void {
    if (offset <= this.positions.offsetOf(partition)) return
    this.positions.set(partition, offset, lastEpoch)
    this.#cursor.set(partition, this.positions.epochOf(partition), offset)
  }

  #recordsPerSegment(batch: Uint8Array): number {
    const records = batchRecordCount(batch)
    const frameBytes =
      (1.4 * batchBytes(batch)) / records + this.#cursor.bytes().length + FRAME_BYTES
    return Math.max(
      1,
      Math.ceil(records / SEGMENTS_PER_BATCH),
      Math.floor(SEGMENT_BYTES / frameBytes),
    )
  }

  #cut(): void {
    if (this.#out.length === 0) return
    const chunk = streamChunk([this.#out.view()])
    this.#segments.push({ chunk, after: this.positions.copy() })
    this.#out.clear()
  }
}
