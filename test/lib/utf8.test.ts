import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { invalidUtf8At, isUtf8 } from '../../src/lib/utf8.ts'

/** How many bytes of `bytes` are UTF-8, by the decoder: the longest valid prefix. */
function validPrefix(bytes: Uint8Array): number {
  for (let end = bytes.length; end > 0; end--) {
    try {
      new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes.subarray(0, end))
      return end
    } catch {}
  }
  return 0
}

describe('UTF-8', () => {
  it('finds the first byte that is wrong', () => {
    const text = fc.string({ unit: 'binary', maxLength: 40 }).map((value) => Buffer.from(value))
    fc.assert(
      fc.property(text, fc.uint8Array({ maxLength: 4 }), text, (before, wrong, after) => {
        const bytes = Buffer.concat([before, wrong, after])
        const prefix = validPrefix(bytes)
        expect(invalidUtf8At(bytes)).toBe(prefix === bytes.length ? -1 : prefix)
      }),
      { numRuns: 2000 },
    )
  })

  it('looks at a range alone', () => {
    const bytes = Buffer.from([0xff, 0x61, 0xff])
    expect([isUtf8(bytes), isUtf8(bytes, 1, 2), isUtf8(bytes, 1)]).toEqual([false, true, false])
  })
})
