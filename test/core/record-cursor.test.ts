import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { checkBatch, encodeBatch } from '../../src/core/record-batch.ts'
import { RecordCursor } from '../../src/core/record-cursor.ts'
import { crc32c } from '../../src/lib/crc32c.ts'
import { recordsArbitrary } from './record-arbitrary.ts'

/** Makes the checksum right again, so that damage gets past it. */
function reseal(batch: Uint8Array): void {
  Buffer.from(batch.buffer, batch.byteOffset, batch.length).writeUInt32BE(crc32c(batch, 21), 17)
}

function oneRecord(value = 'value'): Buffer {
  const record = { key: null, headers: [], timestampMs: 1, media: 0 } as const
  return Buffer.from(encodeBatch([{ ...record, value: Buffer.from(value) }]))
}

/** Walks to the end; every place must be inside the batch. Returns how many records there were. */
function walkToEnd(cursor: RecordCursor, batch: Uint8Array): number {
  let records = 0
  cursor.reset(batch)
  const places = () => [
    [cursor.recordStart, cursor.recordEnd],
    [cursor.keyStart, cursor.keyEnd],
    [cursor.valueStart, cursor.valueEnd],
  ]
  while (cursor.next()) {
    records++
    while (cursor.nextHeader()) {
      expect(cursor.headerNameStart).toBeLessThanOrEqual(cursor.headerNameEnd)
      expect(cursor.headerValueEnd).toBeLessThanOrEqual(cursor.recordEnd)
    }
    for (const [start, end] of places()) {
      expect(start).toBeLessThanOrEqual(end!)
      expect(end).toBeLessThanOrEqual(batch.length)
    }
  }
  return records
}

describe('RecordCursor', () => {
  it('reports a compressed batch instead of reading it', () => {
    const batch = oneRecord()
    batch[22] = 4
    reseal(batch)
    const cursor = new RecordCursor()
    cursor.reset(batch)
    expect(checkBatch(batch, 0, batch.length)).toBe('valid')
    expect(cursor.next()).toBe(false)
    expect(cursor.fault).toBe('compressed')
  })

  it('reports records that lie about their length, and recovers with the next batch', () => {
    const cursor = new RecordCursor()
    const whole = oneRecord()
    for (const at of [61, 64, 66]) {
      for (const byte of [0x01, 0x03, 0x7e, 0xff]) {
        const batch = Buffer.from(whole)
        batch[at] = byte
        cursor.reset(batch)
        while (cursor.next());
        expect(cursor.fault).toBe('malformed')
      }
    }
    cursor.reset(whole)
    expect([cursor.next(), cursor.next(), cursor.fault]).toEqual([true, false, undefined])
  })

  it('reports bytes behind the last record', () => {
    const batch = Buffer.concat([oneRecord(), Buffer.alloc(1)])
    batch.writeInt32BE(batch.length - 12, 8)
    reseal(batch)
    const cursor = new RecordCursor()
    expect(walkToEnd(cursor, batch)).toBe(1)
    expect(cursor.fault).toBe('malformed')
  })

  it('stays within bounds on damage that the checksum does not show', () => {
    const cursor = new RecordCursor()
    const damage = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 8 })
    fc.assert(
      fc.property(recordsArbitrary, damage, (records, changes) => {
        const batch = encodeBatch(records)
        for (const [at, byte] of changes) batch[21 + (at % (batch.length - 21))] = byte
        reseal(batch)
        if (checkBatch(batch, 0, batch.length) !== 'valid') return
        expect(walkToEnd(cursor, batch)).toBeLessThanOrEqual(batch.length / 7)
      }),
      { numRuns: 2000 },
    )
  })
})
