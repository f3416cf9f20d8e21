/**
 * One log's part of the memory tail: a contiguous run of batches up to the end of the log. The
 * front of it is in the segments already, the rest is pinned.
 */
import { assert } from '../lib/assert.ts'

/** What a batch costs beside its bytes: the entry, its places in the queues, the view. */
const ENTRY_OVERHEAD_BYTES = 256
const COMPACT_AT = 256

export interface TailEntry {
  readonly batch: Uint8Array
  readonly baseOffset: number
  /** Offset behind the batch's last. */
  readonly endOffset: number
  /** Base offset of the segment that the batch belongs to, and its place there in bytes. */
  readonly segmentBase: number
  readonly position: number
}

/** What the whole memory tail wants to hear of each log's. */
export interface TailAccounts {
  held(costBytes: number, pinnedBytes: number): void
  written(bytes: number): void
  dropped(costBytes: number, pinnedBytes: number): void
  /** A batch that could not be evicted in its turn, because it was pinned, can be now. */
  missedTurn(): void
}

export class LogTail {
  readonly #accounts: TailAccounts
  /** Entries before `#first` are gone, those from `#unwritten` on are pinned. */
  #entries: (TailEntry | undefined)[] = []
  #first = 0
  #unwritten = 0
  #unwrittenBytes = 0
  #missedTurns = 0

  constructor(accounts: TailAccounts) {
    this.#accounts = accounts
  }

  /** Bytes of this log that are in no segment yet. */
  get unwrittenBytes(): number {
    return this.#unwrittenBytes
  }

  get batches(): number {
    return this.#entries.length - this.#first
  }

  push(entry: TailEntry): void {
    const last = this.#entries.at(-1)
    assert(
      last === undefined || last.endOffset === entry.baseOffset,
      `a batch of offset ${entry.baseOffset} behind one that ends at ${last?.endOffset}`,
    )
    this.#entries.push(entry)
    this.#unwrittenBytes += entry.batch.length
    this.#accounts.held(costOf(entry), entry.batch.length)
  }

  /** Index for `at` of the batch that holds `offset`; -1 if that is not in memory. */
  find(offset: number): number {
    let low = this.#first
    let high = this.#entries.length
    if (low === high || offset < this.#entry(low).baseOffset) return -1
    if (offset >= this.#entry(high - 1).endOffset) return -1
    while (high - low > 1) {
      const middle = (low + high) >>> 1
      if (this.#entry(middle).baseOffset <= offset) low = middle
      else high = middle
    }
    return low
  }

  /** The oldest batch that is in no segment yet. */
  get firstUnwritten(): TailEntry | undefined {
    return this.#entries[this.#unwritten]
  }

  /** Undefined behind the last; indexes hold until the tail changes. */
  at(index: number): TailEntry | undefined {
    return this.#entries[index]
  }

  /**
   * The next batches to write: contiguous, of one segment, below `endOffset`, up to `maxBytes` but
   * at least one if there is any.
   */
  unwritten(endOffset: number, maxBytes: number): TailEntry[] {
    const found: TailEntry[] = []
    let bytes = 0
    for (let i = this.#unwritten; i < this.#entries.length; i++) {
      const entry = this.#entry(i)
      if (entry.endOffset > endOffset) break
      if (found.length > 0) {
        if (entry.segmentBase !== found[0]?.segmentBase) break
        if (bytes + entry.batch.length > maxBytes) break
      }
      bytes += entry.batch.length
      found.push(entry)
    }
    return found
  }

  /** Unpins all batches below `endOffset`: they are in their segment now. */
  markWritten(endOffset: number): void {
    while (this.#unwritten < this.#entries.length) {
      const entry = this.#entry(this.#unwritten)
      if (entry.endOffset > endOffset) break
      this.#unwritten++
      this.#unwrittenBytes -= entry.batch.length
      this.#accounts.written(entry.batch.length)
    }
    while (this.#missedTurns > 0 && this.#first < this.#unwritten) {
      this.#missedTurns--
      this.#accounts.missedTurn()
    }
  }

  /** Drops the batches at and above `endOffset`, which must be where a batch begins or the end. */
  cutEnd(endOffset: number): void {
    while (this.batches > 0) {
      const index = this.#entries.length - 1
      const entry = this.#entry(index)
      if (entry.endOffset <= endOffset) break
      assert(entry.baseOffset >= endOffset, `a cut at ${endOffset}, inside a batch`)
      this.#entries.pop()
      this.#drop(entry, index >= this.#unwritten)
    }
    this.#unwritten = Math.min(this.#unwritten, this.#entries.length)
  }

  /** Drops the batches that end at or below `offset`, written or not: nobody may read them any more. */
  cutStart(offset: number): void {
    while (this.batches > 0) {
      const entry = this.#entry(this.#first)
      if (entry.endOffset > offset) break
      const pinned = this.#first === this.#unwritten
      if (pinned) this.#unwritten++
      this.#entries[this.#first++] = undefined
      this.#drop(entry, pinned)
    }
    this.#compact()
  }

  /** Drops everything, also what is in no segment: the log is going away. */
  clear(): void {
    for (let i = this.#first; i < this.#entries.length; i++) {
      this.#drop(this.#entry(i), i >= this.#unwritten)
    }
    this.#entries = []
    this.#first = 0
    this.#unwritten = 0
    this.#missedTurns = 0
  }

  /** Makes room, or notes that this must wait until the oldest batch is written. */
  evictOldest(): void {
    if (this.batches === 0) return
    if (this.#first === this.#unwritten) {
      this.#missedTurns++
      return
    }
    const entry = this.#entry(this.#first)
    this.#entries[this.#first++] = undefined
    this.#drop(entry, false)
    this.#compact()
  }

  #compact(): void {
    if (this.#first >= COMPACT_AT && this.#first * 2 >= this.#entries.length) {
      this.#entries = this.#entries.slice(this.#first)
      this.#unwritten -= this.#first
      this.#first = 0
    }
  }

  #drop(entry: TailEntry, pinned: boolean): void {
    if (pinned) this.#unwrittenBytes -= entry.batch.length
    this.#accounts.dropped(costOf(entry), pinned ? entry.batch.length : 0)
  }

  #entry(index: number): TailEntry {
    return this.#entries[index] as TailEntry
  }
}

function costOf(entry: TailEntry): number {
  return entry.batch.length + ENTRY_OVERHEAD_BYTES
}
