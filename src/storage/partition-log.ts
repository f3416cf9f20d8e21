/**
 * The log of one partition: its ordered segments, where it starts and ends, and how far it is
 * durable and written. All changes are synchronous; journal, disk and memory follow by
 * means of the owner.
 */
import type { TopicId } from '../core/ids.ts'
import {
  batchBaseOffset,
  batchLastOffset,
  batchLeaderEpoch,
  batchMaxTimestamp,
} from '../core/record-batch.ts'
import { assert } from '../lib/assert.ts'
import type { FlushMode } from './journal-frames.ts'
import { LeaderEpochs } from './leader-epochs.ts'
import type { LogTail } from './log-tail.ts'
import { Segment } from './segment.ts'

export interface LogIdentity {
  /** Names the log in the journal; never reused on a node. */
  readonly logId: number
  readonly topicId: TopicId
  readonly topicName: string
  readonly partition: number
}

/** How records give way to later ones of their keys; as the settings of the topic say. */
export interface CompactionSettings {
  readonly minDirtyRatio: number
  readonly minLagMs: number
  /** Infinite: no record must be compacted by a certain time. */
  readonly maxLagMs: number
  readonly deleteRetentionMs: number
}

/** The settings of the topic that a log heeds. */
export interface LogSettings {
  readonly segmentBytes: number
  readonly segmentMs: number
  readonly retentionMs: number
  readonly retentionBytes: number
  /** Undefined: every record stays until retention removes it. */
  readonly compaction: CompactionSettings | undefined
}

export const UNLIMITED: LogSettings = {
  segmentBytes: 256 * 1024 * 1024,
  segmentMs: Number.POSITIVE_INFINITY,
  retentionMs: -1,
  retentionBytes: -1,
  compaction: undefined,
}

/** How far a log is compacted. */
export interface CompactedState {
  /** Below it no record has a later one of its key that is below it as well. */
  readonly endOffset: number
  /** Behind the last tombstone that was removed: who has less than that may miss the deletion of a key. */
  readonly purgedEnd: number
  /** When the last of the tombstones below `endOffset` may go; -1 if there are none. */
  readonly horizonMs: number
}

export const NOT_COMPACTED: CompactedState = { endOffset: 0, purgedEnd: 0, horizonMs: -1 }

export class PartitionLog {
  readonly identity: LogIdentity
  readonly directory: string
  readonly tail: LogTail
  readonly epochs: LeaderEpochs
  settings: LogSettings = UNLIMITED
  flush: FlushMode
  /** Why nothing of the log can be trusted; undefined when all is well. */
  damage: string | undefined
  /** Records that were promised only as written may be gone since the node last stopped. */
  lossPossible: boolean = false
  /** Deleted with its topic: takes nothing more, and its files are going away. */
  deleted: boolean = false
  /**
   * Whether this process made sure of the folder (replay may meet logs whose files are gone), and
   * whether names in it are newer than its last sync.
   */
  directoryMade: boolean = false
  directoryUnsynced: boolean = false
  /** Its creation is in the journal, so that records may follow. */
  registered: boolean = true
  /** Everything below it was given to the journal, or need not be; it may still be refused. */
  journaledEnd = 0
  /** Told whenever `placedEnd` has grown ahead of the rest. */
  onPlaced: () => void = () => undefined
  /** Told whenever `durableEnd` has grown. */
  onDurable: (durableEnd: number) => void = () => undefined
  /** Told when records from `endOffset` on were refused after all, for want of space. */
  onRefused: (endOffset: number) => void = () => undefined
  /** Told when the start has risen, and again when that is durable. */
  onStartRaised: () => void = () => undefined
  /** Replaced as a whole by every change. */
  #segments: readonly Segment[]
  #startOffset: number
  #durableStart: number
  #endOffset: number
  #durableEnd: number
  #keptEnd: number
  #placedEnd: number
  #holds = 0
  #highWatermark: number
  #generation = 0
  /** Highest one of a segment, whether it is still in the log or not. */
  #lastVersion = 0
  #compacted: CompactedState

  constructor(
    identity: LogIdentity,
    options: { directory: string; tail: LogTail; flush: FlushMode },
    state: {
      startOffset: number
      endOffset: number
      highWatermark: number
      segments: readonly Segment[]
      epochs: LeaderEpochs
      compacted?: CompactedState
    } = {
      startOffset: 0,
      endOffset: 0,
      highWatermark: 0,
      segments: [],
      epochs: new LeaderEpochs(),
    },
  ) {
    this.identity = identity
    this.directory = options.directory
    this.tail = options.tail
    this.flush = options.flush
    this.#segments = state.segments
    for (const { version } of state.segments) {
      this.#lastVersion = Math.max(this.#lastVersion, version)
    }
    this.#startOffset = state.startOffset
    this.#durableStart = state.startOffset
    this.#endOffset = state.endOffset
    this.#durableEnd = state.endOffset
    this.#keptEnd = state.endOffset
    this.#placedEnd = state.endOffset
    this.#highWatermark = Math.max(state.highWatermark, state.startOffset)
    this.epochs = state.epochs
    this.#compacted = state.compacted ?? NOT_COMPACTED
  }

  get segments(): readonly Segment[] {
    return this.#segments
  }

  /** Lowest offset that may be read. */
  get startOffset(): number {
    return this.#startOffset
  }

  /** Nothing below it comes back when the node does. */
  get durableStart(): number {
    return this.#durableStart
  }

  /** Offset that the next record gets. */
  get endOffset(): number {
    return this.#endOffset
  }

  /** Everything below it outlives the node, as the flush mode promises it. */
  get durableEnd(): number {
    return this.#durableEnd
  }

  /** Everything below it is in the journal or in its segment: it may be promised soon, and is not taken back. */
  get keptEnd(): number {
    return this.#keptEnd
  }

  /**
   * Everything below it is kept or on its way to a place in the journal: only the end of the process
   * takes it back, so that others may have it already.
   */
  get placedEnd(): number {
    return this.#placedEnd
  }

  /** Everything below it is in its segment, synced or not. */
  get writtenEnd(): number {
    return this.tail.firstUnwritten?.baseOffset ?? this.#endOffset
  }

  /** Everything below it is committed: for readers, never cut, free for retention. */
  get highWatermark(): number {
    return this.#highWatermark
  }

  /** Grows when records are cut off the end: what was read before is void. */
  get generation(): number {
    return this.#generation
  }

  get compacted(): CompactedState {
    return this.#compacted
  }

  /** Leader epoch of the last record, -1 if there is none. */
  get lastEpoch(): number {
    return this.epochs.epochAt(this.#endOffset - 1)
  }

  get sizeBytes(): number {
    let bytes = 0
    for (const segment of this.#segments) bytes += segment.sizeBytes
    return bytes
  }

  /** The segment that holds `offset`, if it is not the log's end; the first one for offsets before. */
  segmentOf(offset: number): Segment | undefined {
    let low = 0
    let high = this.#segments.length
    while (high - low > 1) {
      const middle = (low + high) >>> 1
      if ((this.#segments[middle] as Segment).baseOffset <= offset) low = middle
      else high = middle
    }
    return this.#segments[low]
  }

  /** Notes that `leaderEpoch` begins at the end of the log. */
  beginEpoch(leaderEpoch: number): void {
    this.epochs.begin(leaderEpoch, this.#endOffset)
  }

  /** Whether the active segment must be closed before a batch is taken in. */
  mustRoll(batchBytes: number, lastOffset: number, nowMs: number): boolean {
    const active = this.#segments.at(-1)
    if (active === undefined || active.sizeBytes === 0) return false
    if (!active.hasRoom(batchBytes, lastOffset, this.settings.segmentBytes)) return true
    return nowMs - active.createdAtMs > this.rollMs
  }

  /** Age at which the active segment is closed. */
  get rollMs(): number {
    const { segmentMs, compaction } = this.settings
    return Math.min(segmentMs, compaction?.maxLagMs ?? segmentMs)
  }

  /** Takes in a stamped batch that continues the log. */
  append(batch: Uint8Array, nowMs: number): void {
    const baseOffset = batchBaseOffset(batch)
    const lastOffset = batchLastOffset(batch)
    const leaderEpoch = batchLeaderEpoch(batch)
    assert(baseOffset === this.#endOffset, `a batch of ${baseOffset} at log end ${this.#endOffset}`)
    assert(leaderEpoch >= this.lastEpoch, 'leader epochs never fall inside a log')
    const active = this.#segments.at(-1) ?? this.roll(nowMs)
    const endOffset = lastOffset + 1
    if (active.sizeBytes === 0) active.createdAtMs = nowMs
    const position = active.append(batch.length, endOffset, batchMaxTimestamp(batch))
    this.epochs.begin(leaderEpoch, baseOffset)
    this.#endOffset = endOffset
    this.tail.push({ batch, baseOffset, endOffset, segmentBase: active.baseOffset, position })
  }

  /** Takes in a batch that is already in the file of the active segment, at its end. */
  adopt(batch: {
    endOffset: number
    sizeBytes: number
    leaderEpoch: number
    maxTimestampMs: number
  }): void {
    const active = this.#segments.at(-1)
    assert(active !== undefined, 'there is no segment that the batch could be in')
    active.append(batch.sizeBytes, batch.endOffset, batch.maxTimestampMs)
    active.writtenBytes = active.sizeBytes
    this.epochs.begin(batch.leaderEpoch, this.#endOffset)
    this.#endOffset = batch.endOffset
    this.keep(batch.endOffset)
  }

  /** Begins a new segment at the end of the log, unless the active one is empty. */
  roll(nowMs: number): Segment {
    const active = this.#segments.at(-1)
    if (active !== undefined) {
      if (active.sizeBytes === 0) return active
      active.index?.finish()
    }
    const segment = Segment.begin(this.#endOffset, nowMs)
    this.#segments = [...this.#segments, segment]
    return segment
  }

  /** Takes a new segment back, as long as nothing is in it. */
  unroll(): void {
    const active = this.#segments.at(-1)
    if (active?.sizeBytes === 0 && this.#segments.length > 1) {
      this.#segments = this.#segments.slice(0, -1)
    }
  }

  /** Everything below `endOffset` has its place in the journal now. */
  place(endOffset: number): void {
    assert(endOffset <= this.#endOffset, 'more has a place than the log holds')
    if (endOffset <= this.#placedEnd) return
    this.#placedEnd = endOffset
    this.onPlaced()
  }

  /** Everything below `endOffset` is in the journal or in its segment now, and durable unless that is held back. */
  keep(endOffset: number): void {
    assert(endOffset <= this.#endOffset, 'more is kept than the log holds')
    this.#keptEnd = Math.max(this.#keptEnd, endOffset)
    this.#placedEnd = Math.max(this.#placedEnd, endOffset)
    if (this.#holds === 0) this.#promise()
  }

  /** No more becomes durable until as many calls of `release`: what recovery goes by is not yet certain. */
  hold(): void {
    this.#holds++
  }

  release(): void {
    assert(this.#holds > 0, 'nothing is held back')
    if (--this.#holds === 0) this.#promise()
  }

  #promise(): void {
    if (this.#keptEnd <= this.#durableEnd) return
    this.#durableEnd = this.#keptEnd
    this.onDurable(this.#durableEnd)
  }

  /** Everything below `offset` is committed now; it never falls. */
  commitTo(offset: number): void {
    assert(offset >= this.#highWatermark, 'the high watermark fell')
    assert(offset <= this.#endOffset, 'the high watermark passed the end of the log')
    this.#highWatermark = offset
  }

  /** Everything below `endOffset`, all of it in this segment, is on disk now. */
  writtenTo(segment: Segment, position: number, endOffset: number): void {
    segment.writtenBytes = position
    this.tail.markWritten(endOffset)
    if (this.flush === 'os') this.keep(endOffset)
  }

  /**
   * Cuts the log to the batches before `position` of `segment`, the last of which ends at
   * `endOffset`; undefined: to nothing, from `endOffset` on. Committed records are never cut.
   */
  cutEnd(endOffset: number, place: { segment: Segment; position: number } | undefined): void {
    assert(endOffset >= this.#highWatermark, 'a cut below the high watermark')
    this.#generation++
    this.#segments =
      place === undefined
        ? []
        : this.#segments.filter((segment) => segment.baseOffset <= place.segment.baseOffset)
    place?.segment.cut(place.position, endOffset)
    this.tail.cutEnd(endOffset)
    this.epochs.cutEnd(endOffset)
    this.#endOffset = endOffset
    // An empty log has nothing that could be lost.
    this.#durableEnd = place === undefined ? endOffset : Math.min(this.#durableEnd, endOffset)
    this.#keptEnd = place === undefined ? endOffset : Math.min(this.#keptEnd, endOffset)
    this.#placedEnd = place === undefined ? endOffset : Math.min(this.#placedEnd, endOffset)
    this.journaledEnd = Math.min(this.journaledEnd, endOffset)
    this.#compacted = {
      ...this.#compacted,
      endOffset: Math.min(this.#compacted.endOffset, endOffset),
      purgedEnd: Math.min(this.#compacted.purgedEnd, endOffset),
    }
  }

  /**
   * Of a segment that compaction writes. None is used twice while the process runs: the file of one
   * that left the log may still be open, or about to be removed.
   */
  nextVersion(): number {
    return ++this.#lastVersion
  }

  /** Whether this version of the segment is in the log. */
  has({ baseOffset, version }: Segment): boolean {
    return this.#segments.some(
      (segment) => segment.baseOffset === baseOffset && segment.version === version,
    )
  }

  /**
   * Puts a segment in the place of others, which follow one another, end where it ends, and are not
   * active. False, and nothing happens, if one of them is not in the log any more.
   */
  replace(replaced: readonly Segment[], by: Segment): boolean {
    const at = this.#segments.indexOf(replaced[0] as Segment)
    const isThere = replaced.every((segment, i) => this.#segments[at + i] === segment)
    if (at === -1 || !isThere || this.deleted) return false
    assert(at + replaced.length < this.#segments.length, 'the active segment is not replaced')
    assert(by.baseOffset === replaced[0]?.baseOffset, 'a segment begins where those before began')
    assert(by.endOffset === replaced.at(-1)?.endOffset, 'a segment ends where those before ended')
    this.#segments = this.#segments.toSpliced(at, replaced.length, by)
    // What is in memory is as it was; whoever reads there would see for ever what is gone.
    this.tail.cutStart(by.endOffset)
    return true
  }

  /** The log is compacted so far now. */
  compactTo(compacted: CompactedState): void {
    assert(compacted.endOffset <= this.#highWatermark, 'only what is committed is compacted')
    this.#compacted = compacted
  }

  /** Drops all records, and with them what is wrong with them; the next one gets `offset`. */
  restartAt(offset: number): void {
    this.damage = undefined
    this.#highWatermark = offset
    this.#startOffset = offset
    this.#durableStart = offset
    this.tail.clear()
    this.cutEnd(offset, undefined)
    // They tell of records that are gone: the next ones need not follow from them.
    this.epochs.cutEnd(0)
  }

  /** What was committed above `offset` is given up: an operator chose a leader that did not have it. */
  uncommit(offset: number): void {
    this.#highWatermark = Math.min(this.#highWatermark, offset)
  }

  /**
   * Cuts what ends above `offset` and is neither in the journal nor written, so that all of it is in
   * memory: the disk had no room for it.
   */
  refuseFrom(offset: number): void {
    const endOffset = Math.max(this.#keptEnd, offset)
    if (endOffset === this.#endOffset) return
    assert(endOffset >= this.#placedEnd, 'what has its place in the journal is not refused')
    const entry = this.tail.at(this.tail.find(endOffset))
    assert(entry?.baseOffset === endOffset, 'what is not kept is in memory')
    const segment = this.segmentOf(endOffset)
    assert(segment?.baseOffset === entry.segmentBase, 'a batch in memory has its segment')
    this.cutEnd(endOffset, { segment, position: entry.position })
    this.unroll()
    this.onRefused(endOffset)
  }

  /** Raises the start; returns the segments that no reader can reach any more, which leave the log. */
  raiseStart(startOffset: number): Segment[] {
    assert(startOffset <= this.#endOffset, 'the log start passed the end of the log')
    this.#startOffset = Math.max(this.#startOffset, startOffset)
    // Only what is committed is removed: after a recovery that may be all that is known of it.
    this.#highWatermark = Math.max(this.#highWatermark, this.#startOffset)
    this.epochs.cutStart(this.#startOffset)
    const gone = this.#segments.filter(
      (segment) => segment.sizeBytes > 0 && segment.endOffset <= this.#startOffset,
    )
    if (gone.length > 0) {
      this.#segments = this.#segments.filter((segment) => !gone.includes(segment))
      this.tail.cutStart(this.#segments[0]?.baseOffset ?? this.#endOffset)
    }
    this.onStartRaised()
    return gone
  }

  /** The start has been raised to `startOffset` for good, unless the log has begun anew below it since. */
  startIsDurable(startOffset: number): void {
    if (startOffset <= this.#durableStart || startOffset > this.#startOffset) return
    this.#durableStart = startOffset
    this.onStartRaised()
  }
}
