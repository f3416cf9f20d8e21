import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { combineCrc32c, crc32c } from '../../src/lib/crc32c.ts'

const parts = fc.tuple(fc.uint8Array({ maxLength: 300 }), fc.uint8Array({ maxLength: 300 }))

describe('crc32c', () => {
  it('is the checksum of RFC 3720', () => {
    expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283)
    expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa)
    expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43)
    expect(crc32c(new Uint8Array(0))).toBe(0)
  })

  it('goes on from what was summed before, also in two calls', () => {
    fc.assert(
      fc.property(parts, ([first, second]) => {
        const whole = crc32c(Buffer.concat([first, second]))
        expect(crc32c(second, 0, second.length, crc32c(first))).toBe(whole)
        expect(combineCrc32c(crc32c(first), crc32c(second), second.length)).toBe(whole)
      }),
    )
  })

  it('puts together what is long', () => {
    const bytes = Uint8Array.from({ length: 300_000 }, (_, i) => (i * 7919) >>> 3)
    for (const at of [0, 1, 4096, 65_535, 65_536, 200_001, 299_999, 300_000]) {
      const [first, second] = [crc32c(bytes, 0, at), crc32c(bytes, at)]
      expect(combineCrc32c(first, second, bytes.length - at)).toBe(crc32c(bytes))
    }
    const zeros = 2 ** 24
    const one = crc32c(Uint8Array.of(1))
    const padded = crc32c(Buffer.concat([Uint8Array.of(1), new Uint8Array(zeros)]))
    expect(combineCrc32c(one, crc32c(new Uint8Array(zeros)), zeros)).toBe(padded)
  })
})
