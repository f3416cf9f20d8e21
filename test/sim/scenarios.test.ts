import { expect, test } from 'vitest'
import { realCode } from './real-code.ts'
import { SCENARIOS } from './scenarios/all.ts'
import { runScenario } from './scenarios/scenario.ts'

test.each([...SCENARIOS.values()])('$name', async (scenario) => {
  const { violations, trace } = await runScenario(scenario, realCode)
  expect(violations, trace.text(80)).toEqual([])
})
