import { expect, test } from 'vitest'
import { ClusterHarness } from './cluster-harness.ts'

async function clusterOf(
  nodeIds: readonly number[],
  ...args: ConstructorParameters<typeof ClusterHarness> extends [infer T, ...infer R]
    ? [Omit<T, 'replicas'>?, ...R]
    : never
): Promise<ClusterHarness> {
  const [topic, ...options] = args
  const cluster = new ClusterHarness({ replicas: nodeIds, ...topic }, ...options)
  for (const nodeId of nodeIds) await cluster.start(nodeId)
  return cluster
}

/** Node 2 has records at the end of its log that no other node has; node 1 is the leader then. */
async function diverged(cluster: ClusterHarness, values: readonly string[]): Promise<void> {
  cluster.elect(2)
  cluster.onReply = () => {
    throw new Error('cut off')
  }
  await cluster.appended(2, values, { acks: 1 })
}

test('followers copy what the leader has, and it is committed', async () => {
  const cluster = await clusterOf([1, 2, 3], { config: { minInsyncReplicas: 2 } })
  cluster.elect(1)
  expect(await cluster.appended(1, ['a', 'b'])).toMatchObject({ ok: true, baseOffset: 0 })
  await cluster.untilCopied([1, 2, 3])
  expect(cluster.log(1).highWatermark).toBe(2)
  await cluster.until('followers know', () => cluster.log(2).highWatermark === 2)
})

test('a leader that comes while a follower cuts its log is followed when that is done', async () => {
  const cluster = await clusterOf([1, 2, 3])
  cluster.elect(1)
  await cluster.appended(1, ['a'])
  await cluster.untilCopied([1, 2, 3])
  await diverged(cluster, ['x', 'y'])
  const disk = cluster.node(2).fileSystem
  disk.latencyMs = 200
  cluster.onReply = (_leader, _request, reply) => reply
  cluster.elect(1)
  await cluster.clock.runFor(120)
  expect(cluster.log(2).endOffset).toBe(3)
  cluster.elect(3, { isr: [3] })
  await cluster.until('the log is cut', () => cluster.log(2).endOffset === 1)
  disk.latencyMs = 0
  await cluster.appended(3, ['b'])
  await cluster.untilCopied([2, 3])
  expect(cluster.log(2).endOffset).toBe(2)
})
