import { expect, test } from 'vitest'
import { ServiceError } from '../../src/lib/service-error.ts'
import type { StoreFate } from './cluster-harness.ts'
import { ClusterHarness } from './cluster-harness.ts'

const LAG_MS = 2_000

/** Node 1 leads, node 2 has just gone, and the store does as it is told. */
async function leaderWithout2(storeFate: StoreFate): Promise<ClusterHarness> {
  const cluster = new ClusterHarness({ replicas: [1, 2] }, { replicaLagMaxMs: LAG_MS })
  for (const nodeId of [1, 2]) await cluster.start(nodeId)
  cluster.elect(1)
  await cluster.appended(1, ['a'])
  await cluster.untilCopied([1, 2])
  cluster.storeFate = storeFate
  cluster.transactions.length = 0
  cluster.kill(2)
  return cluster
}

const refused = new ServiceError('metadata-unavailable', 'the store refuses connections')

test('a replica that is gone leaves the ISR, and what waited for it is committed', async () => {
  const cluster = await leaderWithout2(() => 'done')
  expect(await cluster.appended(1, ['b'])).toMatchObject({ ok: true })
  expect(cluster.state()).toMatchObject({ isr: [1], elr: [] })
})

test.each<[string, ('lost' | 'done-unheard' | Error)[]]>([
  ['is never applied', ['lost', 'lost']],
  ['is applied, and the answer is lost', ['done-unheard']],
  ['is applied, and nobody can be asked for a while', ['done-unheard', refused, refused]],
  ['is never applied, and then the store refuses', ['lost', refused, refused]],
])('a change whose outcome is unknown: it %s', async (_, fates) => {
  const cluster = await leaderWithout2(() => fates.shift() ?? 'done')
  expect(await cluster.appended(1, ['b'])).toMatchObject({ ok: true })
  expect(cluster.state().isr).toEqual([1])
  await cluster.start(2)
  await cluster.until('it is let in again', () => cluster.state().isr.length === 2)
  await cluster.untilCopied([1, 2])
})

test('nothing is committed without a replica whose leaving has no outcome', async () => {
  const cluster = await leaderWithout2(() => 'lost')
  const answer = cluster.append(1, ['b'])
  await cluster.clock.runFor(20_000)
  expect(cluster.log(1).highWatermark).toBe(1)
  cluster.storeFate = () => 'done'
  expect(await cluster.clock.run(answer)).toMatchObject({ ok: true })
})

test('a change that is refused is asked for again later', async () => {
  const fates = [refused]
  const cluster = await leaderWithout2(() => fates.shift() ?? 'done')
  expect(await cluster.appended(1, ['b'])).toMatchObject({ ok: true })
  expect(cluster.transactions).toHaveLength(2)
})

test('each replica that joins is compared with the life in which it asked', async () => {
  const cluster = await leaderWithout2(() => 'done')
  await cluster.until('it is out', () => cluster.state().isr.length === 1)
  await cluster.start(2)
  await cluster.until('it is in', () => cluster.state().isr.length === 2)
  const incarnation = cluster.image.nodes.get(2)?.incarnation
  expect(cluster.transactions.at(-1)?.compare).toContainEqual({
    key: '/nodes/2',
    target: 'createRevision',
    equals: incarnation,
  })
})

test('a member that leaves while too few stay may still be elected', async () => {
  const cluster = await leaderWithout2(() => 'done')
  cluster.configure({ minInsyncReplicas: 2 })
  await cluster.until('it is out', () => cluster.state().isr.length === 1)
  expect(cluster.state().elr).toEqual([])
  await cluster.start(2)
  await cluster.until('it is in', () => cluster.state().isr.length === 2)
  cluster.kill(2)
  await cluster.until('it is out', () => cluster.state().isr.length === 1)
  expect(cluster.state().elr).toEqual([2])
  expect(await cluster.appended(1, ['c'])).toMatchObject({ code: 'not-enough-replicas' })
  await cluster.start(2)
  await cluster.until('it is in', () => cluster.state().isr.length === 2)
  expect(cluster.state().elr).toEqual([])
})
