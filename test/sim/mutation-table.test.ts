import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { MUTATIONS } from './mutation-table.ts'
import { SCENARIOS } from './scenarios/all.ts'

const ROOT = join(import.meta.dirname, '..', '..')

test.each(MUTATIONS)('there is a line for: $name', (mutation) => {
  for (const { file, find } of [mutation, mutation.also ?? []].flat()) {
    const parts = readFileSync(join(ROOT, file), 'utf8').split(find)
    expect(parts, `${find} in ${file}`).toHaveLength(2)
  }
  const { scenario, test: tests } = mutation
  expect(scenario === undefined || SCENARIOS.has(scenario), scenario).toBe(true)
  expect(tests === undefined || existsSync(join(ROOT, tests)), tests).toBe(true)
})
