/**
 * The newest batches of all logs, in memory under one bound of bytes. A batch stays at least until
 * it is in its segment (it is pinned), and then as long as no newer one wants its place, whatever
 * log that belongs to. Readers that keep up never touch a disk.
 */
import { LogTail } from './log-tail.ts'

const COMPACT_AT = 1024

export class MemoryTail {
  readonly limitBytes: number
  #usedBytes = 0
  #pinnedBytes = 0
  /** One turn per batch, in order of arrival: whose oldest batch goes next. Turns before `#next` are past. */
  #turns: (LogTail | undefined)[] = []
  #next = 0
  /** Batches held. */
  #batches = 0

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes
  }

  /** With what batches cost beside their bytes. */
  get usedBytes(): number {
    return this.#usedBytes
  }

  /** Bytes that are in no segment yet. */
  get pinnedBytes(): number {
    return this.#pinnedBytes
  }

  /** Places in the order of eviction, past ones left out. */
  get turns(): number {
    return this.#turns.length - this.#next
  }

  open(): LogTail {
    const tail: LogTail = new LogTail({
      held: (costBytes, pinnedBytes) => {
        this.#usedBytes += costBytes
        this.#pinnedBytes += pinnedBytes
        this.#batches++
        this.#turns.push(tail)
        this.#evict()
        if (this.turns > 2 * this.#batches + COMPACT_AT) this.#dropStaleTurns()
      },
      written: (bytes) => {
        this.#pinnedBytes -= bytes
      },
      dropped: (costBytes, pinnedBytes) => {
        this.#usedBytes -= costBytes
        this.#pinnedBytes -= pinnedBytes
        this.#batches--
      },
      missedTurn: () => {
        this.#turns.push(tail)
        this.#evict()
      },
    })
    return tail
  }

  /** Batches that were dropped before their turn leave turns behind: each log keeps its newest ones. */
  #dropStaleTurns(): void {
    const kept = new Map<LogTail, number>()
    const turns: LogTail[] = []
    for (let i = this.#turns.length - 1; i >= this.#next; i--) {
      const tail = this.#turns[i] as LogTail
      const count = kept.get(tail) ?? 0
      if (count === tail.batches) continue
      kept.set(tail, count + 1)
      turns.push(tail)
    }
    this.#turns = turns.reverse()
    this.#next = 0
  }

  #evict(): void {
    while (this.#usedBytes > this.limitBytes && this.#next < this.#turns.length) {
      const tail = this.#turns[this.#next] as LogTail
      this.#turns[this.#next++] = undefined
      tail.evictOldest()
    }
    if (this.#next >= COMPACT_AT && this.#next * 2 >= this.#turns.length) {
      this.#turns = this.#turns.slice(this.#next)
      this.#next = 0
    }
  }
}
