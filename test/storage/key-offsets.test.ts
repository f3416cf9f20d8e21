import { expect, test } from 'vitest'
import { SeededRandom } from '../../src/env/seeded-random.ts'
import { KEY_OFFSET_BYTES, KeyOffsets } from '../../src/storage/key-offsets.ts'

const keyOf = (n: number) => Buffer.from(`<key ${n}>`)

function note(keys: KeyOffsets, n: number, offset: number): boolean {
  const key = keyOf(n)
  return keys.note(key, 1, key.length - 1, offset)
}

function last(keys: KeyOffsets, n: number): number {
  const key = keyOf(n)
  return keys.last(key, 1, key.length - 1)
}

test('the last offset of each key is known, however many there are', () => {
  const keys = new KeyOffsets(new SeededRandom(1), 8 * 1024 * 1024)
  const count = 20_000
  for (let offset = 0; offset < 3 * count; offset++) {
    expect(note(keys, offset % count, offset)).toBe(true)
  }
  expect(keys.size).toBe(count)
  for (let n = 0; n < count; n++) expect(last(keys, n)).toBe(2 * count + n)
  expect(last(keys, count)).toBe(-1)
})

test('when it is full, no key is added, and those that are known go on', () => {
  const keys = new KeyOffsets(new SeededRandom(1), 64 * KEY_OFFSET_BYTES)
  let count = 0
  while (note(keys, count, count)) count++
  expect(count).toBe(48)
  expect(last(keys, count)).toBe(-1)
  expect(note(keys, 0, 1_000)).toBe(true)
  expect(note(keys, count, 1_001)).toBe(false)
  expect([last(keys, 0), last(keys, 1), keys.size]).toEqual([1_000, 1, 48])
})
