import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ByteWriter } from '../../src/wire/byte-writer.ts'

describe('ByteWriter', () => {
  it('has everything that was written, in order, however it grows', () => {
    const part = fc.oneof(
      fc.uint8Array({ maxLength: 80 }),
      fc.uint8Array({ minLength: 20_000, maxLength: 90_000, size: 'max' }),
      fc.maxSafeNat(),
      fc.stringMatching(/^[ -~]*$/),
    )
    fc.assert(
      fc.property(fc.array(part, { maxLength: 12 }), (parts) => {
        const out = new ByteWriter()
        for (const each of parts) {
          if (typeof each === 'number') out.decimal(each)
          else if (typeof each === 'string') out.ascii(each)
          else if (each.length % 2 === 0) out.put(each)
          else for (const byte of each.subarray(0, 1)) out.byte(byte)
          if (typeof each === 'object' && each.length % 2 === 1) out.putRange(each, 1, each.length)
        }
        const expected = Buffer.concat(
          parts.map((each) => (typeof each === 'object' ? each : Buffer.from(String(each)))),
        )
        expect(expected.equals(out.view())).toBe(true)
        expect(out.copy(out.length >> 1)).toEqual(expected.subarray(expected.length >> 1))
      }),
      { numRuns: 100 },
    )
  })

  it('gives back what one large answer needed', () => {
    const out = new ByteWriter()
    const small = out.bytes.length
    out.put(new Uint8Array(10_000_000))
    expect(out.bytes.length).toBeGreaterThan(10_000_000)
    out.clear()
    expect([out.length, out.bytes.length]).toEqual([0, small])
  })
})
