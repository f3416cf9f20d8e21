import fc from 'fast-check'
import { expect, test } from 'vitest'
import { formatDuration, formatSize, parseDuration, parseSize } from '../../src/lib/quantity.ts'

test.each(['', 'x', '-1', '1e3', '0.5', '1 light year', '1TiB', '99999999GiB', 'MiB'])(
  '%j is no size',
  (text) => {
    expect(parseSize(text)).toBeUndefined()
  },
)

test('what is formatted reads back', () => {
  fc.assert(
    fc.property(fc.nat(), (value) => {
      expect(parseSize(formatSize(value))).toBe(value)
      expect(parseDuration(formatDuration(value))).toBe(value)
    }),
  )
  expect([formatSize(1536), formatSize(16 * 1024 ** 2), formatDuration(90_000)]).toEqual([
    '1536B',
    '16MiB',
    '90s',
  ])
})
