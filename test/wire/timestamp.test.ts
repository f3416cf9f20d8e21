import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ByteWriter } from '../../src/wire/byte-writer.ts'
import { formatTimestamp, parseTimestamp } from '../../src/wire/timestamp.ts'
import { TimestampWriter } from '../../src/wire/timestamp-writer.ts'

const anyTime = fc
  .date({
    min: new Date('0001-01-01T00:00:00Z'),
    max: new Date('9999-12-31T23:59:59.999Z'),
    noInvalidDate: true,
  })
  .map((date) => date.getTime())

describe('parseTimestamp', () => {
  it('agrees with the engine on what both take', () => {
    const offset = fc.constantFrom('Z', 'z', '+00:00', '-00:00', '+05:30', '-23:59', '+14:00')
    fc.assert(
      fc.property(anyTime, offset, fc.constantFrom('T', 't'), (time, zone, separator) => {
        const text = new Date(time).toISOString().slice(0, -1).replace('T', separator) + zone
        expect(parseTimestamp(text)).toBe(Date.parse(text.toUpperCase()))
      }),
    )
  })

  it.each([
    ['2026-11-22T10:00:00Z', Date.UTC(2026, 10, 22, 10)],
    ['2026-11-22T10:00:00.1Z', Date.UTC(2026, 10, 22, 10, 0, 0, 100)],
    ['2026-11-22T10:00:00.123999999Z', Date.UTC(2026, 10, 22, 10, 0, 0, 123)],
    ['2024-02-29T00:00:00Z', Date.UTC(2024, 1, 29)],
    ['2016-12-31T23:59:60Z', Date.UTC(2017, 0, 1)],
    ['2017-01-01T00:59:60+01:00', Date.UTC(2017, 0, 1)],
  ])('reads %s', (text, expected) => {
    expect(parseTimestamp(text)).toBe(expected)
  })

  it.each([
    '2026-11-22',
    '2026-11-22 10:00:00Z',
    '2026-11-22T10:00:00',
    '2026-11-22T10:00Z',
    '2026-11-22T10:00:00.Z',
    '2026-11-22T10:00:00.1234567890Z',
    '2026-11-22T10:00:00+0100',
    '2026-11-22T10:00:00+24:00',
    '2026-11-22T24:00:00Z',
    '2026-11-22T10:60:00Z',
    '2026-11-22T10:00:60Z',
    '2026-13-01T00:00:00Z',
    '2026-00-01T00:00:00Z',
    '2026-04-31T00:00:00Z',
    '2025-02-29T00:00:00Z',
    '1900-02-29T00:00:00Z',
    '+002026-11-22T10:00:00Z',
    '2026-11-22T10:00:00Z ',
    '٢٠٢٦-11-22T10:00:00Z',
  ])('refuses %s', (text) => {
    expect(parseTimestamp(text)).toBeNaN()
  })
})

describe('formatTimestamp', () => {
  it('stays within four digits of a year', () => {
    expect(formatTimestamp(Number.MAX_SAFE_INTEGER)).toBe('9999-12-31T23:59:59.999Z')
    expect(formatTimestamp(Number.MIN_SAFE_INTEGER)).toBe('0000-01-01T00:00:00.000Z')
  })
})

describe('TimestampWriter', () => {
  it('writes what formatTimestamp gives, in any order of times', () => {
    const near = fc.integer({ min: 1_700_000_000_000, max: 1_700_000_005_000 })
    fc.assert(
      fc.property(fc.array(fc.oneof(near, anyTime, fc.maxSafeInteger())), (times) => {
        const writer = new TimestampWriter()
        const out = new ByteWriter()
        for (const time of times) writer.write(out, time)
        expect(out.copy().toString()).toBe(times.map(formatTimestamp).join(''))
      }),
    )
  })
})
