/**
 * One file of a log, from its base offset to that of the next: how much of it is accepted, how
 * much is on disk, and what it holds. The bytes themselves are moved by the writer and the reader.
 */
import { SegmentIndex } from './segment-index.ts'

/** Relative offsets and places are int32 in the indexes. */
const MAX_INT32 = 0x7fff_ffff
const NAME_DIGITS = 20

/** Which file of a log: compaction replaces files by others of the same offsets, and of a higher version. */
export interface SegmentName {
  readonly baseOffset: number
  /** Absent: 0, as it was written first. */
  readonly version?: number
}

export interface SegmentState extends SegmentName {
  readonly sizeBytes: number
  readonly endOffset: number
  /** -1 while it is empty; likewise the next. */
  readonly maxTimestampMs: number
  readonly offsetOfMaxTimestamp: number
  /** When its first batch came, by the node's clock. */
  readonly createdAtMs: number
}

export class Segment {
  readonly baseOffset: number
  readonly version: number
  /** Bytes accepted, whether they are on disk yet or not. */
  sizeBytes: number
  /** Bytes on disk. */
  writtenBytes: number
  /** Bytes written since the writer last asked for a sync. */
  unsyncedBytes = 0
  /** Offset behind the last batch. */
  endOffset: number
  maxTimestampMs: number
  createdAtMs: number
  /** Undefined: on disk only. */
  index: SegmentIndex | undefined
  /** Where the file was found not to hold a valid batch; only a repair changes that. */
  damagedAt: number | undefined
  /** How much of the segment the index files cover. */
  indexedBytes = 0
  #offsetOfMaxTimestamp: number

  constructor(state: SegmentState) {
    this.baseOffset = state.baseOffset
    this.version = state.version ?? 0
    this.sizeBytes = state.sizeBytes
    this.writtenBytes = state.sizeBytes
    this.endOffset = state.endOffset
    this.maxTimestampMs = state.maxTimestampMs
    this.#offsetOfMaxTimestamp = state.offsetOfMaxTimestamp
    this.createdAtMs = state.createdAtMs
    this.indexedBytes = state.sizeBytes
  }

  static begin(baseOffset: number, nowMs: number, version = 0): Segment {
    const segment = new Segment({
      baseOffset,
      version,
      sizeBytes: 0,
      endOffset: baseOffset,
      maxTimestampMs: -1,
      offsetOfMaxTimestamp: baseOffset,
      createdAtMs: nowMs,
    })
    segment.index = SegmentIndex.empty(baseOffset)
    return segment
  }

  get state(): SegmentState {
    return {
      baseOffset: this.baseOffset,
      ...(this.version === 0 ? {} : { version: this.version }),
      sizeBytes: this.sizeBytes,
      endOffset: this.endOffset,
      maxTimestampMs: this.maxTimestampMs,
      offsetOfMaxTimestamp: this.#offsetOfMaxTimestamp,
      createdAtMs: this.createdAtMs,
    }
  }

  /** Whether a batch still fits, also by what Kafka's indexes can express. */
  hasRoom(batchBytes: number, lastOffset: number, segmentBytes: number): boolean {
    if (this.sizeBytes === 0) return true
    return (
      this.sizeBytes + batchBytes <= Math.min(segmentBytes, MAX_INT32) &&
      lastOffset - this.baseOffset <= MAX_INT32 &&
      !(this.index?.isFull ?? false)
    )
  }

  /** Takes a batch in; returns its place. */
  append(sizeBytes: number, endOffset: number, maxTimestampMs: number): number {
    this.index ??= this.#resumedIndex()
    const position = this.sizeBytes
    this.index.note(position, sizeBytes, endOffset - 1, maxTimestampMs)
    this.sizeBytes += sizeBytes
    this.endOffset = endOffset
    if (maxTimestampMs > this.maxTimestampMs) {
      this.maxTimestampMs = maxTimestampMs
      this.#offsetOfMaxTimestamp = endOffset - 1
    }
    return position
  }

  /** Cuts the segment to the batches before `position`, whose last ends at `endOffset`. */
  cut(position: number, endOffset: number): void {
    this.sizeBytes = position
    if (this.damagedAt !== undefined && this.damagedAt >= position) this.damagedAt = undefined
    this.writtenBytes = Math.min(this.writtenBytes, position)
    this.indexedBytes = Math.min(this.indexedBytes, position)
    this.endOffset = endOffset
    // What is left cannot be newer; the bound is only ever used to skip segments and to keep them.
    this.#offsetOfMaxTimestamp = Math.min(this.#offsetOfMaxTimestamp, endOffset - 1)
    if (this.index === undefined) return
    if (this.index.fromPosition > position) {
      this.index = undefined
      return
    }
    this.index.offsets.cut(position)
    this.index.times.cut(endOffset - this.baseOffset)
  }

  #resumedIndex(): SegmentIndex {
    return new SegmentIndex(this.baseOffset, {
      position: this.sizeBytes,
      maxTimestampMs: this.maxTimestampMs,
      offsetOfMaxTimestamp: this.#offsetOfMaxTimestamp,
    })
  }
}

/** The name of a segment's file, in Kafka's manner; its tools heed what is before the first dot. */
export function segmentFileName(
  { baseOffset, version = 0 }: SegmentName,
  extension: 'log' | 'index' | 'timeindex',
): string {
  const base = String(baseOffset).padStart(NAME_DIGITS, '0')
  return version === 0 ? `${base}.${extension}` : `${base}.${version}.${extension}`
}

export interface SegmentFileName extends Required<SegmentName> {
  readonly extension: string
}

/** What a file name stands for; undefined for other files. */
export function parseSegmentFileName(name: string): SegmentFileName | undefined {
  const match = /^(\d{20})(?:\.([1-9]\d{0,14}))?\.(log|index|timeindex|txnindex)$/.exec(name)
  if (match === null) return undefined
  const baseOffset = Number(match[1])
  return Number.isSafeInteger(baseOffset)
    ? { baseOffset, version: Number(match[2] ?? 0), extension: match[3] as string }
    : undefined
}

/** What compaction writes has this behind its name until it is whole. */
export const UNFINISHED_SUFFIX = '.cleaned'

export function isUnfinished(name: string): boolean {
  return name.endsWith(UNFINISHED_SUFFIX)
}
