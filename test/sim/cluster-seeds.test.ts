import { expect, test } from 'vitest'
import { SeededRandom } from '../../src/env/seeded-random.ts'
import { realCode } from './real-code.ts'
import { runPlan, runSeed } from './run-seed.ts'
import { planSeed } from './seed-plan.ts'

test('whatever seed: all that was promised is kept', async () => {
  let written = 0
  for (let seed = 1; seed <= 60; seed++) {
    const result = await runSeed(seed, realCode)
    expect(result.violations, `seed ${seed}\n${result.trace.text(80)}`).toEqual([])
    written += result.written
  }
  expect(written).toBeGreaterThan(3_000)
})

test.each([
  1366, 5031, 100554, 100670, 101750, 200766, 400029, 400616, 401264, 401276, 430146, 430358,
  430433, 802905, 902010, 902800, 2002003, 2005048, 3002058, 3004648, 3005640, 4003506, 6006407,
  6007508,
])('seed %i, which found something once', async (seed) => {
  const { violations, trace } = await runSeed(seed, realCode)
  expect(violations, trace.text(80)).toEqual([])
})

test.each([101487, 400171, 400884, 401422, 402625])(
  'seed %i, which found something without a group',
  async (seed) => {
    const plan = { ...planSeed(seed, new SeededRandom(seed)), members: 0 }
    const { violations, trace } = await runPlan(plan, realCode)
    expect(violations, trace.text(80)).toEqual([])
  },
)

test('a seed does the same each time', async () => {
  for (const seed of [4, 26, 40]) {
    const [first, second] = [await runSeed(seed, realCode), await runSeed(seed, realCode)]
    expect(first.trace.text()).toBe(second.trace.text())
    expect(first.trace.events.length).toBeGreaterThan(100)
  }
})
