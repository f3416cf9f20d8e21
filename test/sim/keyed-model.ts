/** What a compacted partition must hold: all that was written, of which what counts must be there. */
import { expect } from 'vitest'
import type { Entry, KeyedRecord } from '../storage/compacted-topic.ts'
import { latest } from '../storage/compacted-topic.ts'

export class KeyedModel {
  /** By offset. */
  #records: KeyedRecord[] = []
  start = 0

  get end(): number {
    return this.#records.length
  }

  written(baseOffset: number, entries: readonly Entry[], timestampMs: number): void {
    expect(baseOffset, 'offsets go on where they ended').toBe(this.end)
    entries.forEach(([key, value], i) => {
      this.#records.push({ offset: baseOffset + i, key, value, timestampMs: timestampMs + i })
    })
  }

  raiseStart(offset: number): void {
    this.start = Math.max(this.start, offset)
  }

  cutEnd(offset: number): void {
    this.#records = this.#records.slice(0, offset)
  }

  from(offset: number): readonly KeyedRecord[] {
    return this.#records.slice(Math.max(offset, this.start))
  }

  /** All that a reader found from the offset to the end. */
  check(found: readonly KeyedRecord[], fromOffset: number): void {
    this.checkPart(found, fromOffset)
    // Nothing is missing, and nothing that was deleted is back.
    expect(latest(found)).toEqual(latest(this.from(fromOffset)))
  }

  /** Some of what a reader found. */
  checkPart(found: readonly KeyedRecord[], fromOffset: number): void {
    let least = Math.max(fromOffset, this.start)
    for (const record of found) {
      expect(record.offset, 'records come in order').toBeGreaterThanOrEqual(least)
      expect(record).toEqual(this.#records[record.offset])
      least = record.offset + 1
    }
  }
}
