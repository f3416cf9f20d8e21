/** What a leader says while it cannot know all that it would have to. */
import { expect, test } from 'vitest'
import { ClusterHarness, TOPIC_ID } from './cluster-harness.ts'

async function clusterOfTwo(): Promise<ClusterHarness> {
  const cluster = new ClusterHarness({ replicas: [1, 2] })
  for (const nodeId of [1, 2]) await cluster.start(nodeId)
  cluster.elect(1)
  await cluster.appended(1, ['a'])
  await cluster.until('both know it', () => cluster.log(2).highWatermark === 1)
  return cluster
}

test('a leader that others may have replaced promises nothing by itself', async () => {
  const cluster = await clusterOfTwo()
  cluster.isFresh = false
  for (const acks of [0, 1] as const) {
    const refusal = { code: 'partition-unavailable', committed: 'no' }
    expect(await cluster.appended(1, ['b'], { acks })).toMatchObject(refusal)
  }
  expect(await cluster.appended(1, ['c'])).toMatchObject({ ok: true, baseOffset: 1 })
})

test('a new leader says where the log ends once it knows what was committed', async () => {
  const cluster = await clusterOfTwo()
  await cluster.appended(1, ['b'])
  cluster.onReply = () => {
    throw new Error('cut off')
  }
  cluster.elect(2)
  expect(cluster.log(2).highWatermark).toBe(1)
  const latest = cluster.node(2).manager.resolveOffset(TOPIC_ID, 0, 'latest')
  await cluster.clock.runFor(1_000)
  cluster.onReply = (_leader, _request, reply) => reply
  expect(await cluster.clock.run(latest)).toMatchObject({ offset: 2 })
})
