/** Where in the journal's files its frames are: answers where a replay must start and what is free again. */
import { assert } from '../lib/assert.ts'

/** A place in the journal from which it can be replayed; kept in the checkpoint, as JSON. */
export interface JournalPosition {
  /** 16 hexadecimal digits. */
  readonly epoch: string
  readonly slot: number
  /** Of the group, in the slot's file. */
  readonly offsetBytes: number
  readonly groupSequence: number
  /** The first frame wanted; the group may begin with earlier ones. */
  readonly frameSequence: number
  /** This group and all before it were durable when the position was kept: without them it is damage. */
  readonly throughGroup?: number
}

interface Mark {
  readonly slot: number
  readonly offsetBytes: number
  readonly groupSequence: number
  readonly frameSequence: number
  /** Bytes written to the journal before this group, over all files. */
  readonly writtenBytes: number
}

/** One mark in so many bytes: a replay may read that much in vain, and the index stays small. */
const MARK_EVERY_BYTES = 256 * 1024

export class JournalIndex {
  readonly #epoch: string
  /** Ascending; the first lies at or before what was released last. */
  #marks: Mark[] = []
  #writtenBytes = 0
  #releasedBytes = 0

  constructor(epoch: string) {
    this.#epoch = epoch
  }

  /** Bytes written since the released position. */
  get bytesInUse(): number {
    return this.#writtenBytes - this.#releasedBytes
  }

  /** Notes a group before it is written. */
  add(group: Omit<Mark, 'writtenBytes'>, sizeBytes: number): void {
    const last = this.#marks.at(-1)
    if (
      last === undefined ||
      last.slot !== group.slot ||
      group.offsetBytes - last.offsetBytes >= MARK_EVERY_BYTES
    ) {
      this.#marks.push({ ...group, writtenBytes: this.#writtenBytes })
    }
    this.#writtenBytes += sizeBytes
  }

  positionOf(sequence: number): JournalPosition {
    const mark = this.#floor(sequence)
    assert(mark !== undefined, `journal frame ${sequence} was released`)
    const { slot, offsetBytes, groupSequence } = mark
    return { epoch: this.#epoch, slot, offsetBytes, groupSequence, frameSequence: sequence }
  }

  /** Forgets what lies before the position; returns the slots that nothing refers to any more. */
  release(position: JournalPosition): number[] {
    assert(position.epoch === this.#epoch, 'a journal position of another epoch was released')
    // By its group: what was written since may begin with the very frame, in another slot.
    const mark = this.#marks.findLast(
      ({ groupSequence }) => groupSequence <= position.groupSequence,
    )
    if (mark === undefined) return []
    this.#releasedBytes = Math.max(this.#releasedBytes, mark.writtenBytes)
    const kept = this.#marks.slice(this.#marks.indexOf(mark))
    const keptSlots = new Set(kept.map(({ slot }) => slot))
    const freed = new Set(
      this.#marks.map(({ slot }) => slot).filter((slot) => !keptSlots.has(slot)),
    )
    this.#marks = kept
    return [...freed]
  }

  /** The last mark at or before the frame. */
  #floor(sequence: number): Mark | undefined {
    let low = 0
    let high = this.#marks.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#marks[middle] as Mark).frameSequence <= sequence) low = middle + 1
      else high = middle
    }
    return this.#marks[low - 1]
  }
}
