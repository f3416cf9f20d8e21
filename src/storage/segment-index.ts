/** The two indexes of a segment, filled alike while batches come in and while a segment is scanned. */
import { MAX_INDEX_ENTRIES, OffsetIndex } from './offset-index.ts'
import type { StartPlace } from './start-place.ts'
import { TimeIndex } from './time-index.ts'

/** An entry is made when so many bytes lie behind the last one, as in Kafka. */
const INTERVAL_BYTES = 4096

export class SegmentIndex {
  readonly offsets: OffsetIndex
  readonly times: TimeIndex
  /** Place in the segment from which on the index is complete. */
  readonly fromPosition: number
  readonly #baseOffset: number
  #bytesSinceEntry = 0
  #maxTimestampMs: number
  #offsetOfMaxTimestamp: number

  constructor(
    baseOffset: number,
    start: { position: number; maxTimestampMs: number; offsetOfMaxTimestamp: number },
    offsets: OffsetIndex = new OffsetIndex(),
    times: TimeIndex = new TimeIndex(),
  ) {
    this.#baseOffset = baseOffset
    this.fromPosition = start.position
    this.#maxTimestampMs = start.maxTimestampMs
    this.#offsetOfMaxTimestamp = start.offsetOfMaxTimestamp
    this.offsets = offsets
    this.times = times
  }

  static empty(baseOffset: number): SegmentIndex {
    return new SegmentIndex(baseOffset, {
      position: 0,
      maxTimestampMs: -1,
      offsetOfMaxTimestamp: baseOffset,
    })
  }

  get isFull(): boolean {
    return this.offsets.entries >= MAX_INDEX_ENTRIES
  }

  get memoryBytes(): number {
    return this.offsets.memoryBytes + this.times.memoryBytes
  }

  /** Takes note of the batch that lies at `position`. */
  note(position: number, sizeBytes: number, lastOffset: number, maxTimestampMs: number): void {
    if (maxTimestampMs > this.#maxTimestampMs) {
      this.#maxTimestampMs = maxTimestampMs
      this.#offsetOfMaxTimestamp = lastOffset
    }
    if (this.#bytesSinceEntry > INTERVAL_BYTES) {
      this.offsets.append(lastOffset - this.#baseOffset, position)
      this.#noteTime()
      this.#bytesSinceEntry = 0
    }
    this.#bytesSinceEntry += sizeBytes
  }

  /** The segment takes no more batches: its highest timestamp is found by the index from now on. */
  finish(): void {
    this.#noteTime()
  }

  /** Where to begin to look for `offset`: the place of a batch at or before it. */
  floor(offset: number): StartPlace | undefined {
    const { offsets } = this
    const entry = offsets.floor(offset - this.#baseOffset)
    if (entry === -1) return undefined
    const position = offsets.position(entry)
    return {
      position,
      lastOffset: this.#baseOffset + offsets.relativeOffset(entry),
      approachBytes:
        entry + 1 < offsets.entries ? offsets.position(entry + 1) - position : undefined,
    }
  }

  /** The batch from which on a record of at least `timestampMs` can be; it is older itself. */
  below(timestampMs: number): { lastOffset: number; maxTimestampMs: number } | undefined {
    const entry = this.times.below(timestampMs)
    if (entry === -1) return undefined
    return {
      lastOffset: this.#baseOffset + this.times.relativeOffset(entry),
      maxTimestampMs: this.times.timestampMs(entry),
    }
  }

  /** This index, complete from the start by means of `earlier`, which ends where this one begins. */
  joinedTo(earlier: SegmentIndex): SegmentIndex {
    const whole = new SegmentIndex(
      this.#baseOffset,
      {
        position: earlier.fromPosition,
        maxTimestampMs: this.#maxTimestampMs,
        offsetOfMaxTimestamp: this.#offsetOfMaxTimestamp,
      },
      earlier.offsets,
      earlier.times,
    )
    for (let entry = 0; entry < this.offsets.entries; entry++) {
      whole.offsets.append(this.offsets.relativeOffset(entry), this.offsets.position(entry))
    }
    for (let entry = 0; entry < this.times.entries; entry++) {
      whole.times.append(this.times.timestampMs(entry), this.times.relativeOffset(entry))
    }
    whole.#bytesSinceEntry = this.#bytesSinceEntry
    return whole
  }

  #noteTime(): void {
    // So far there are no records, only what stands for those that are gone.
    if (this.#maxTimestampMs < 0) return
    this.times.append(this.#maxTimestampMs, this.#offsetOfMaxTimestamp - this.#baseOffset)
  }
}
