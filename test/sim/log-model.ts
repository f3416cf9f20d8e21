/** What a partition must hold according to what its writer was told: a plain list, checked against reads. */
import { expect } from 'vitest'
import type { ReadRecord } from '../replication/replica-harness.ts'

export class LogModel {
  /** By offset; acknowledged records only. */
  readonly #records = new Map<number, string>()
  /** Sent and not answered, in the order of sending; each a batch. */
  readonly #pending = new Set<readonly string[]>()
  start = 0
  /** Behind the last acknowledged record. */
  end = 0
  appended = 0

  send(values: readonly string[]): void {
    this.#pending.add(values)
  }

  acknowledged(values: readonly string[], baseOffset: number): void {
    this.#pending.delete(values)
    values.forEach((value, i) => {
      expect(this.#records.has(baseOffset + i), `offset ${baseOffset + i} is given twice`).toBe(
        false,
      )
      this.#records.set(baseOffset + i, value)
    })
    this.end = Math.max(this.end, baseOffset + values.length)
    this.appended += values.length
  }

  refused(values: readonly string[]): void {
    this.#pending.delete(values)
  }

  raiseStart(offset: number): void {
    for (let at = this.start; at < offset; at++) this.#records.delete(at)
    this.start = Math.max(this.start, offset)
  }

  /** Records that a reader got are those that were acknowledged there. */
  checkRead(records: readonly ReadRecord[]): void {
    for (const { offset, value } of records) {
      if (offset >= this.start) expect(value, `at offset ${offset}`).toBe(this.#records.get(offset))
    }
  }

  /**
   * After a restart: all that was acknowledged is there; behind it, at most what was sent and not
   * answered, in order. What is there counts as acknowledged from now on.
   */
  checkRecovered(found: readonly ReadRecord[], start: number): void {
    expect(start).toBeGreaterThanOrEqual(this.start)
    this.raiseStart(start)
    expect(found.map(({ offset }) => offset)).toEqual(found.map((_, i) => start + i))
    const known = found.filter(({ offset }) => offset < this.end)
    this.checkRead(known)
    expect(start + found.length, 'acknowledged records were lost').toBeGreaterThanOrEqual(this.end)
    this.#adopt(found.filter(({ offset }) => offset >= this.end))
  }

  /** After a restart of a log that was promised as written: any part of the end may be missing. */
  checkShortened(found: readonly ReadRecord[], start: number): void {
    const end = start + found.length
    for (let at = end; at < this.end; at++) this.#records.delete(at)
    this.end = Math.min(this.end, end)
    this.checkRecovered(found, start)
  }

  #adopt(extra: readonly ReadRecord[]): void {
    const pending = [...this.#pending]
    this.#pending.clear()
    let at = 0
    for (const values of pending) {
      if (at === extra.length) break
      if (extra[at]?.value !== values[0]) continue
      const stored = extra.slice(at, at + values.length)
      expect(
        stored.map(({ value }) => value),
        'a batch is whole or absent',
      ).toEqual(values)
      this.acknowledged(values, stored[0]?.offset as number)
      at += values.length
    }
    expect(at, 'a record that nobody sent').toBe(extra.length)
  }
}
