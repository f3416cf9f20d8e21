/** Turns fetched batches into segments of a stream, one at a time, each frame with the cursor behind its record. */
import { batchBytes, batchLastOffset, batchRecordCount } from '../core/record-batch.ts'
import type { ByteWriter } from '../wire/byte-writer.ts'
import type { TopicCursor } from '../wire/cursor-writer.ts'
import { CursorWriter } from '../wire/cursor-writer.ts'
import type { Fetched } from '../wire/internal.ts'
import { RecordRenderer } from '../wire/render.ts'
import { streamChunk } from '../wire/stream-chunk.ts'
import type { ReadPositions } from './read-positions.ts'
import type { TailSegment } from './tail-ring.ts'

/** `record`: the whole record as JSON. `value`: the bare value. */
export type StreamRendering = 'record' | 'value'

interface Loaded {
  readonly partition: number
  readonly batches: readonly Uint8Array[]
  /** Index of the batch that is next. */
  at: number
  /** Where the partition stands behind the last batch. */
  readonly end: number
}

/** A segment is cut when it has grown to this. */
const SEGMENT_BYTES = 256 * 1024
/** A large batch makes about so many segments at most, since each begins with a walk through it. */
const SEGMENTS_PER_BATCH = 16
/** What a frame has besides value and cursor, about. */
const FRAME_BYTES = 160

export class StreamRenderer {
  /** Where the next record is; moves with each segment. */
  readonly positions: ReadPositions
  readonly #renderer: RecordRenderer
  readonly #cursor: TopicCursor
  readonly #out: ByteWriter
  #loaded: Loaded[] = []

  /**
   * `out` may be shared: it is in use only within `next`. `cursor` gives the ids of frames, if they say
   * more than where this renderer stands.
   */
  constructor(
    positions: ReadPositions,
    rendering: StreamRendering,
    out: ByteWriter,
    cursor?: TopicCursor,
  ) {
    const { topic } = positions
    this.positions = positions
    this.#out = out
    this.#renderer = new RecordRenderer(topic.name, rendering === 'record' ? 'sse' : 'sse-value')
    this.#cursor = cursor ?? new CursorWriter({ topics: [positions.cursorTopic()] }).of(topic.id)
  }

  /** Where its reader stands: the id of the last frame. */
  get cursor(): string {
    return Buffer.from(this.#cursor.bytes()).toString('latin1')
  }

  get isLoaded(): boolean {
    return this.#loaded.length > 0
  }

  /** Takes what was fetched from where the partition stands, below offset `upTo` if one is given. */
  load(fetched: Fetched, upTo = Number.MAX_SAFE_INTEGER): void {
    const { partition, batches, nextOffset } = fetched
    this.#loaded.push({ partition, batches, at: 0, end: Math.min(nextOffset, upTo) })
  }

  /**
   * The next segment of what was loaded; undefined when all of it was passed.
   * @throws ServiceError `partition-damaged`
   */
  next(): TailSegment | undefined {
    const out = this.#out
    out.clear()
    while (out.length < SEGMENT_BYTES) {
      const loaded = this.#loaded[0]
      if (loaded === undefined) break
      this.#renderSome(loaded)
    }
    if (out.length === 0) return undefined
    return { chunk: streamChunk([out.view()]), after: this.positions.copy() }
  }

  /** Forgets what is loaded. */
  unload(): void {
    this.#loaded = []
  }

  /** Goes on from where another renderer of the same stream has got to. */
  skipTo(positions: ReadPositions): void {
    for (const { partition, offset, lastEpoch } of positions.cursorPositions()) {
      this.#moveTo(partition, offset, lastEpoch)
    }
  }

  #renderSome(loaded: Loaded): void {
    const { partition, batches, end } = loaded
    const batch = batches[loaded.at]
    const from = this.positions.offsetOf(partition)
    if (batch === undefined || from >= end) {
      this.#moveTo(partition, end, -1)
      this.#loaded.shift()
    } else if (from > batchLastOffset(batch)) {
      loaded.at++
    } else {
      const limit = this.#recordsPerSegment(batch)
      const window = { from, upTo: end, limit, cursor: this.#cursor }
      const { nextOffset, lastEpoch } = this.#renderer.render(this.#out, partition, batch, window)
      this.#moveTo(partition, nextOffset, lastEpoch)
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
}
