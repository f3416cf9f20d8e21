import { expect, test } from 'vitest'
import { SeededRandom } from '../../src/env/seeded-random.ts'
import type { Change } from '../../src/metadata/metadata-store.ts'
import type { MetadataStoreHarness } from '../contract/metadata-store.contract.ts'
import { metadataStoreContract } from '../contract/metadata-store.contract.ts'
import { SimClock } from './sim-clock.ts'
import { SimStore } from './sim-store.ts'
import type { SimStoreHandleOptions } from './sim-store-handle.ts'
import { SimStoreHandle } from './sim-store-handle.ts'

const NEVER = new AbortController().signal

function handleOf(clock: SimClock, core: SimStore, options: SimStoreHandleOptions = {}) {
  const random = new SeededRandom(1)
  return new SimStoreHandle({ store: core, clock, outside: clock, random, name: 't' }, options)
}

async function harness(): Promise<MetadataStoreHarness> {
  const clock = new SimClock()
  const core = new SimStore(clock)
  let store = handleOf(clock, core, { instant: true })
  return {
    get store() {
      return store
    },
    async reopen() {
      await store.close()
      store = handleOf(clock, core, { instant: true })
    },
    async compact() {
      core.compact()
    },
    passTime: (durationMs) => clock.runFor(durationMs),
    close: () => store.close(),
  }
}

metadataStoreContract('simulated', harness)

const PUT = { compare: [], put: [{ key: '/a', value: '1' }] }

test('an answer that is lost leaves the effect, and an outcome that nobody knows', async () => {
  const clock = new SimClock()
  const core = new SimStore(clock)
  const store = handleOf(clock, core)
  store.faults.answerLoss = 1
  await expect(clock.run(store.transact(PUT))).rejects.toThrow('did not answer')
  expect(core.get('/a')?.value).toBe('1')
})

test('a store that is away has no effect, and its watch goes on when it is back', async () => {
  const clock = new SimClock()
  const core = new SimStore(clock)
  const [store, other] = [handleOf(clock, core), handleOf(clock, core)]
  const seen: Change[] = []
  const watching = (async () => {
    for await (const change of store.watch('/', 1, NEVER)) seen.push(change)
  })()
  watching.catch(() => undefined)
  await clock.run(other.transact(PUT))
  await clock.runFor(100)
  expect(seen).toHaveLength(1)
  store.faults.away = true
  await expect(clock.run(store.transact(PUT))).rejects.toThrow('did not answer')
  await clock.run(other.transact(PUT))
  await clock.runFor(1_000)
  expect([seen.length, core.revision]).toEqual([1, 2])
  store.heal()
  await clock.runFor(2_000)
  expect(seen.map(({ revision }) => revision)).toEqual([1, 2])
  store.faults.away = true
  await expect(clock.run(watching)).rejects.toThrow('silent')
})

test('leases stand still without a quorum, and have their whole time after it', async () => {
  const clock = new SimClock()
  const core = new SimStore(clock)
  const store = handleOf(clock, core)
  const lease = await clock.run(store.lease(1_000))
  await clock.run(
    store.transact({ compare: [], put: [{ key: '/a', value: '1', leaseId: lease.id }] }),
  )
  core.freeze()
  await clock.runFor(10_000)
  core.thaw()
  await clock.runFor(900)
  expect(core.get('/a')).toBeDefined()
  await clock.runFor(200)
  expect(core.get('/a')).toBeUndefined()
})
