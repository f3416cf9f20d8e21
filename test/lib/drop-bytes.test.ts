import { expect, test } from 'vitest'
import { dropBytes } from '../../src/lib/drop-bytes.ts'

test('what is left is the end of the whole, for every number of bytes written', () => {
  const parts = [[1, 2, 3], [], [4], [5, 6], []].map((bytes) => Uint8Array.from(bytes))
  for (let written = 0; written <= 6; written++) {
    const left = dropBytes(parts, written).flatMap((part) => [...part])
    expect(left).toEqual([1, 2, 3, 4, 5, 6].slice(written))
  }
  expect(dropBytes(parts, 6)).toEqual([])
  expect(dropBytes([], 0)).toEqual([])
})
