import { expect, test } from 'vitest'
import type { Logger } from '../../src/env/logger.ts'
import { nullLogger } from '../../src/env/logger.ts'
import { SeededRandom } from '../../src/env/seeded-random.ts'
import { DamagedStoreError, StoreRefusedError } from '../../src/metadata/metadata-store.ts'
import { untilStoreAnswers } from '../../src/metadata/until-store-answers.ts'
import { SimClock } from '../sim/sim-clock.ts'
import { NEVER } from './topic-fixtures.ts'

function patience() {
  const told: string[] = []
  const logged: string[] = []
  const logger: Logger = { ...nullLogger, warn: (_, message) => void logged.push(message) }
  const clock = new SimClock()
  const onWaiting = (why: string) => void told.push(why)
  return { clock, random: new SeededRandom(1), logger, onWaiting, told, logged }
}

test('goes on until the attempt succeeds, and says why it waits, to the log only now and then', async () => {
  const deps = patience()
  let left = 40
  const attempt = () => (left-- > 0 ? Promise.reject(new Error('away')) : Promise.resolve('here'))
  expect(await deps.clock.run(untilStoreAnswers(attempt, deps, NEVER))).toBe('here')
  expect(deps.told).toHaveLength(40)
  expect(deps.told[0]).toBe('waiting for the metadata store: away')
  expect(deps.logged).toHaveLength(2)
})

test.each([new StoreRefusedError('taken'), new DamagedStoreError('broken')])(
  'waits for nothing that waiting does not mend: %s',
  async (error) => {
    const deps = patience()
    const attempt = () => Promise.reject(error)
    await expect(deps.clock.run(untilStoreAnswers(attempt, deps, NEVER))).rejects.toBe(error)
  },
)

test('an abort ends the wait', async () => {
  const deps = patience()
  const stop = new AbortController()
  const waiting = untilStoreAnswers(() => Promise.reject(new Error('away')), deps, stop.signal)
  await deps.clock.runFor(5_000)
  stop.abort(new Error('enough'))
  await expect(deps.clock.run(waiting)).rejects.toThrow('enough')
})
