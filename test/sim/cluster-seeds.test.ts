import { expect, test } from 'vitest'
import { realCode } from './real-code.ts'
import { runSeed } from './run-seed.ts'

/** Seeds that once failed, with what they found. */
const REGRESSIONS: readonly (readonly [seed: number, found: string])[] = [
  [74, 'the journal gave up a file that the checkpoint named'],
  [234, 'a leader that was replaced unawares said that the log ended before the reader'],
  [327, 'the same, over and over'],
  [2010, 'a log that starts amid a batch could not be copied from its start'],
  [2056, 'the same, for one who begins'],
  [2012, 'a failover brought deleted records back'],
]

test.each(REGRESSIONS)('seed %i: %s', async (seed) => {
  const { violations, trace } = await runSeed(seed, realCode)
  expect(violations, trace.text(80)).toEqual([])
})

test('whatever seed: all that was promised is kept', async () => {
  let written = 0
  for (let seed = 1; seed <= 60; seed++) {
    const result = await runSeed(seed, realCode)
    expect(result.violations, `seed ${seed}\n${result.trace.text(80)}`).toEqual([])
    written += result.written
  }
  expect(written).toBeGreaterThan(3_000)
})

test('a seed does the same each time', async () => {
  for (const seed of [4, 26, 40]) {
    const [first, second] = [await runSeed(seed, realCode), await runSeed(seed, realCode)]
    expect(first.trace.text()).toBe(second.trace.text())
    expect(first.trace.events.length).toBeGreaterThan(100)
  }
})
