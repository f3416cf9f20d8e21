import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  readInt16,
  readInt32,
  readInt64,
  readUint32,
  writeInt16,
  writeInt32,
  writeInt64,
} from '../../src/lib/big-endian.ts'

describe('big-endian integers', () => {
  it('agree with DataView', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 12, maxLength: 12 }), fc.nat(4), (bytes, at) => {
        const view = new DataView(bytes.buffer)
        expect(readInt16(bytes, at)).toBe(view.getInt16(at))
        expect(readInt32(bytes, at)).toBe(view.getInt32(at))
        expect(readUint32(bytes, at)).toBe(view.getUint32(at))
        const big = Number(view.getBigInt64(at))
        expect(readInt64(bytes, at)).toBe(Number.isSafeInteger(big) ? big : Number.NaN)
      }),
    )
  })

  it('write what DataView reads', () => {
    const bytes = new Uint8Array(16)
    const view = new DataView(bytes.buffer)
    fc.assert(
      fc.property(fc.maxSafeInteger(), fc.integer(), (long, int) => {
        writeInt64(bytes, 1, long)
        expect(view.getBigInt64(1)).toBe(BigInt(long))
        writeInt32(bytes, 1, int)
        expect(view.getInt32(1)).toBe(int)
        writeInt16(bytes, 1, int >> 16)
        expect(view.getInt16(1)).toBe(int >> 16)
      }),
    )
  })
})
