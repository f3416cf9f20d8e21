import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { PLAIN_TEXT } from '../../src/wire/plain-text.ts'

const isStop = (byte: number) => byte < 0x20 || byte === 0x22 || byte === 0x5c

function expectedEnd(bytes: Uint8Array, start: number, end: number): number {
  let at = start
  while (at < end && !isStop(bytes[at] as number)) at++
  return at
}

describe('PLAIN_TEXT', () => {
  it('stops at each byte that is not plain, at any distance', () => {
    for (let byte = 0; byte < 256; byte++) {
      for (let before = 0; before < 34; before++) {
        const bytes = Buffer.from(`${'x'.repeat(before)}?yyy`)
        bytes[before] = byte
        const expected = isStop(byte) ? before : bytes.length
        expect(PLAIN_TEXT.endOf({}, bytes, 0, bytes.length)).toBe(expected)
      }
    }
  })

  it('does not look behind its end', () => {
    const bytes = Buffer.from(`${'x'.repeat(40)}"`)
    const owner = {}
    for (let end = 0; end <= 40; end++) expect(PLAIN_TEXT.endOf(owner, bytes, 0, end)).toBe(end)
    expect(PLAIN_TEXT.endOf(owner, bytes, 0, 41)).toBe(40)
  })

  const SIZE = 700_000

  /** Longer than what is looked at in one go, with a few stops. */
  const long = fc.array(fc.nat(SIZE - 1), { maxLength: 6 }).map((places) => {
    const bytes = Buffer.alloc(SIZE, 0xe9)
    for (const [i, place] of places.entries()) bytes[place] = [0x22, 0x5c, 0x1f, 0][i % 4] as number
    return { owner: {}, bytes }
  })
  const steps = fc.array(fc.tuple(fc.nat(1), fc.nat(SIZE), fc.nat(SIZE)), {
    minLength: 1,
    maxLength: 8,
  })

  it('keeps apart those who look in turns, forth and back', () => {
    fc.assert(
      fc.property(fc.tuple(long, long), steps, (texts, turns) => {
        for (const [turn, a, b] of turns) {
          const { owner, bytes } = texts[turn] as (typeof texts)[0]
          const [start, end] = a < b ? [a, b] : [b, a]
          const found = PLAIN_TEXT.endOf(owner, bytes, start, end)
          expect(found).toBe(expectedEnd(bytes, start, end))
        }
      }),
      { numRuns: 100 },
    )
  })
})
