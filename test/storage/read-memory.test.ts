import { expect, test } from 'vitest'
import { ReadMemory } from '../../src/storage/read-memory.ts'

const KIB = 1024

test('a piece has room for what was asked for, and little more', () => {
  const memory = new ReadMemory(64 * KIB, 128 * KIB)
  for (const sizeBytes of [1, 16 * KIB, 16 * KIB + 1, 64 * KIB]) {
    const { length } = memory.take(sizeBytes) ?? { length: 0 }
    expect(length).toBeGreaterThanOrEqual(sizeBytes)
    expect(length - sizeBytes).toBeLessThan(16 * KIB)
  }
  expect([memory.take(64 * KIB + 1), memory.take(0), memory.take(-1)]).toEqual(
    Array(3).fill(undefined),
  )
})

test('pieces that were given back go to those who ask for their size, within the bound', () => {
  const memory = new ReadMemory(64 * KIB, 128 * KIB)
  const pieces = [60, 60, 60, 20].map((size) => memory.take(size * KIB) as Uint8Array)
  for (const piece of pieces) memory.giveBack(piece)
  const again = [20, 60, 60, 60].map((size) => memory.take(size * KIB) as Uint8Array)
  expect(again.map((piece) => pieces.indexOf(piece))).toEqual([-1, 1, 0, -1])
})
