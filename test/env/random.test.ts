import { describe, expect, test } from 'vitest'
import type { Random } from '../../src/env/random.ts'
import { SeededRandom } from '../../src/env/seeded-random.ts'
import { SystemRandom } from '../../src/env/system-random.ts'

describe.each<[string, () => Random]>([
  ['SystemRandom', () => new SystemRandom()],
  ['SeededRandom', () => new SeededRandom(42)],
])('%s', (_name, make) => {
  test('spreads over its range', () => {
    const random = make()
    const counts = new Array<number>(16).fill(0)
    for (let i = 0; i < 16_000; i++) {
      const float = random.float()
      expect(float >= 0 && float < 1).toBe(true)
      const bucket = Math.floor(float * 16)
      counts[bucket] = (counts[bucket] ?? 0) + 1
      const word = random.uint32()
      expect(Number.isInteger(word) && word >= 0 && word < 2 ** 32).toBe(true)
    }
    for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(200)
  })

  test('gives as many bytes as asked, and not the same twice', () => {
    const random = make()
    expect(random.bytes(0).length).toBe(0)
    const [a, b] = [random.bytes(33), random.bytes(33)]
    expect(a.length).toBe(33)
    expect(a).not.toEqual(b)
  })
})

test('a seed fixes the sequence', () => {
  const [a, b, c] = [new SeededRandom(7), new SeededRandom(7), new SeededRandom(8)]
  const take = (random: Random) => Array.from({ length: 100 }, () => random.uint32())
  const first = take(a)
  expect(take(b)).toEqual(first)
  expect(take(c)).not.toEqual(first)
})
