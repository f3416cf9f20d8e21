/**
 * At which offset each leader epoch of a log began. Tells readers and followers that come with an
 * old epoch where their history and this one part.
 */
import { assert } from '../lib/assert.ts'

export interface EpochStart {
  readonly leaderEpoch: number
  readonly startOffset: number
}

export class LeaderEpochs {
  /** Epochs and start offsets both ascend. Replaced, never changed: checkpoints hold what they were given. */
  #starts: readonly EpochStart[] = []

  constructor(starts: readonly EpochStart[] = []) {
    for (const { leaderEpoch, startOffset } of starts) this.begin(leaderEpoch, startOffset)
  }

  get starts(): readonly EpochStart[] {
    return this.#starts
  }

  /** -1 before the first epoch. */
  get latest(): number {
    return this.#starts.at(-1)?.leaderEpoch ?? -1
  }

  /** Notes that `leaderEpoch` writes from `startOffset` on; known epochs are left as they are. */
  begin(leaderEpoch: number, startOffset: number): void {
    // An epoch in which nothing was written leaves no trace, whatever follows it.
    const empty = this.#starts.at(-1)
    const isVoid = empty?.startOffset === startOffset && empty.leaderEpoch !== leaderEpoch
    const before = isVoid ? this.#starts.slice(0, -1) : this.#starts
    const last = before.at(-1)
    if (last !== undefined) {
      if (leaderEpoch === last.leaderEpoch) {
        this.#starts = before
        return
      }
      assert(
        leaderEpoch > last.leaderEpoch,
        `leader epoch ${leaderEpoch} after ${last.leaderEpoch}`,
      )
      assert(startOffset >= last.startOffset, `epoch ${leaderEpoch} starts before its predecessor`)
    }
    this.#starts = [...before, { leaderEpoch, startOffset }]
  }

  /**
   * Where records of epochs up to `leaderEpoch` end in this log of end `logEndOffset`. A reader of
   * that epoch whose position is beyond it has followed a history that was cut.
   */
  endOffsetOf(leaderEpoch: number, logEndOffset: number): number {
    for (const start of this.#starts) {
      if (start.leaderEpoch > leaderEpoch) return start.startOffset
    }
    return logEndOffset
  }

  /** The highest epoch up to `leaderEpoch` of which there are records; -1 if there is none. */
  floor(leaderEpoch: number): number {
    return this.#starts.findLast((start) => start.leaderEpoch <= leaderEpoch)?.leaderEpoch ?? -1
  }

  /** The epoch of the record at `offset`, -1 if that lies before the first. */
  epochAt(offset: number): number {
    for (let i = this.#starts.length - 1; i >= 0; i--) {
      const start = this.#starts[i] as EpochStart
      if (start.startOffset <= offset) return start.leaderEpoch
    }
    return -1
  }

  /** Forgets epochs that began at or above the new end. */
  cutEnd(endOffset: number): void {
    this.#starts = this.#starts.filter((start) => start.startOffset < endOffset)
  }

  /** Forgets epochs that ended below the new start; not that of the record before it, in which an empty log ended. */
  cutStart(startOffset: number): void {
    const first = this.#starts.findLastIndex((start) => start.startOffset < startOffset)
    if (first <= 0) return
    this.#starts = this.#starts.slice(first)
  }
}
