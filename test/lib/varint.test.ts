import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { VarintReader, varintBytes, writeVarint, zigzag } from '../../src/lib/varint.ts'

const anySafe = fc.oneof(fc.nat(), fc.nat(300), fc.maxSafeNat())

describe('varints', () => {
  it.each([
    [0, '00'],
    [127, '7f'],
    [128, '8001'],
    [300, 'ac02'],
    [2 ** 31, '8080808008'],
    [Number.MAX_SAFE_INTEGER, 'ffffffffffffff0f'],
  ])('writes %d as protocol buffers do', (value, expected) => {
    const out = Buffer.alloc(10)
    expect(out.subarray(0, writeVarint(out, 0, value)).toString('hex')).toBe(expected)
  })

  it('reads back what was written, in as many bytes as announced', () => {
    fc.assert(
      fc.property(fc.array(anySafe), (values) => {
        const out = Buffer.alloc(values.length * 10)
        let at = 0
        for (const value of values) {
          const end = writeVarint(out, at, value)
          expect(end - at).toBe(varintBytes(value))
          at = end
        }
        const reader = new VarintReader()
        reader.reset(out, 0, at)
        expect(values.map(() => reader.unsigned())).toEqual(values)
        expect([reader.at, reader.failed]).toEqual([at, false])
      }),
    )
  })

  it('keeps signs', () => {
    const signed = fc.oneof(fc.integer(), fc.integer({ min: -(2 ** 51), max: 2 ** 51 }))
    fc.assert(
      fc.property(signed, (value) => {
        const out = Buffer.alloc(10)
        const reader = new VarintReader()
        reader.reset(out, 0, writeVarint(out, 0, zigzag(value)))
        expect(reader.signed()).toBe(value)
      }),
    )
    expect([0, -1, 1, -2].map(zigzag)).toEqual([0, 1, 2, 3])
  })

  it.each([
    ['nothing', ''],
    ['an unfinished one', '8080'],
    ['one beyond 2^53', 'ffffffffffffffff7f'],
    ['one that never ends', 'ff'.repeat(12)],
  ])('fails on %s, and stays failed', (_, bytes) => {
    const reader = new VarintReader()
    const buffer = Buffer.from(`${bytes}`, 'hex')
    reader.reset(buffer, 0, buffer.length)
    expect(reader.unsigned()).toBe(0)
    expect(reader.failed).toBe(true)
    expect(reader.unsigned()).toBe(0)
  })
})
