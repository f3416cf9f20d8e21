import fc from 'fast-check'
import { expect, test } from 'vitest'
import { joinParts } from '../../src/lib/join-parts.ts'

const KIB = 1024

test('the bytes stay the same, in fewer parts, none of them empty', () => {
  const parts = fc.array(
    fc
      .nat(9)
      .chain((kind) => fc.nat(kind === 0 ? 70 * KIB : 300))
      .map((size) => Buffer.alloc(size, size)),
    { maxLength: 40 },
  )
  fc.assert(
    fc.property(parts, (all) => {
      const joined = joinParts(all)
      expect(Buffer.concat(joined).equals(Buffer.concat(all))).toBe(true)
      expect(joined.length).toBeLessThanOrEqual(all.length)
      for (const part of joined) expect(part.length).toBeGreaterThan(0)
    }),
    { numRuns: 50 },
  )
})

test('small parts become one, large ones are not copied', () => {
  const small = Array.from({ length: 100 }, () => Buffer.alloc(100))
  const large = Buffer.alloc(64 * KIB)
  const joined = joinParts([...small, large, ...small])
  expect(joined.map(({ length }) => length)).toEqual([10_000, 64 * KIB, 10_000])
  expect(joined[1]).toBe(large)
})

test('what is joined stays of a bounded size', () => {
  const joined = joinParts(Array.from({ length: 100 }, () => Buffer.alloc(10 * KIB)))
  expect(Math.max(...joined.map(({ length }) => length))).toBeLessThanOrEqual(128 * KIB)
})
