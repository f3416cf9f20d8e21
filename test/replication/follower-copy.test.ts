import { expect, test } from 'vitest'
import { stampBatch } from '../../src/core/record-batch.ts'
import type { ReplicaFetchPart } from '../../src/wire/replica-fetch.ts'
import { ClusterHarness } from './cluster-harness.ts'

/** Node 2 copies node 1, which sends what the test makes of its answers. */
async function copied(
  change: (part: ReplicaFetchPart) => ReplicaFetchPart,
): Promise<ClusterHarness> {
  const cluster = new ClusterHarness({ replicas: [1, 2] })
  for (const nodeId of [1, 2]) await cluster.start(nodeId)
  cluster.elect(1, { isr: [1] })
  await cluster.appended(1, ['a'])
  await cluster.untilCopied([1, 2])
  cluster.onReply = (_leader, _request, reply) =>
    reply === 'session-unknown' ? reply : { ...reply, parts: reply.parts.map(change) }
  return cluster
}

function withBatch(
  part: ReplicaFetchPart,
  change: (batch: Uint8Array) => Uint8Array,
): ReplicaFetchPart {
  if (part.kind !== 'data') return part
  return { ...part, batches: part.batches.map((batch) => change(new Uint8Array(batch))) }
}

function stamped(batch: Uint8Array, baseOffset: number, leaderEpoch: number): Uint8Array {
  stampBatch(batch, { baseOffset, leaderEpoch })
  return batch
}

test.each<[string, (batch: Uint8Array) => Uint8Array]>([
  ['with a bit turned over', (batch) => batch.with(-1, (batch.at(-1) as number) ^ 1)],
  ['that end too early', (batch) => batch.subarray(0, -3)],
  ['that end too late', (batch) => new Uint8Array([...batch, 0])],
  ['from further on', (batch) => stamped(batch, 2, 1)],
  ['from before', (batch) => stamped(batch, 0, 1)],
  ['of an epoch before the last', (batch) => stamped(batch, 1, 0)],
  ['of an epoch to come', (batch) => stamped(batch, 1, 2)],
])('records %s are not taken, and asked for again without haste', async (_, change) => {
  const cluster = await copied((part) => withBatch(part, change))
  await cluster.appended(1, ['b'])
  cluster.fetches.length = 0
  await cluster.clock.runFor(10_000)
  expect(cluster.log(2).endOffset).toBe(1)
  expect(cluster.fetches.length).toBeLessThan(60)
  cluster.onReply = (_leader, _request, reply) => reply
  await cluster.untilCopied([1, 2])
  expect(cluster.log(2).endOffset).toBe(2)
})

test('a place out of range that is not before the log of the leader changes nothing', async () => {
  const cluster = await copied(({ topicId, partition }) => ({
    kind: 'refused',
    topicId,
    partition,
    code: 'offset-out-of-range',
    logStartOffset: 0,
    logEndOffset: 0,
  }))
  await cluster.appended(1, ['b'])
  await cluster.clock.runFor(5_000)
  expect([cluster.log(2).startOffset, cluster.log(2).endOffset]).toEqual([0, 1])
})

test('a node that comes in again while it cuts a log has done so before it takes part', async () => {
  const cluster = await copied((part) => part)
  cluster.elect(2)
  cluster.onReply = () => {
    throw new Error('cut off')
  }
  await cluster.appended(2, ['x', 'y'], { acks: 1 })
  cluster.onReply = (_leader, _request, reply) => reply
  const { fileSystem } = cluster.node(2)
  fileSystem.latencyMs = 200
  cluster.elect(1, { isr: [1] })
  await cluster.clock.runFor(100)
  // The fetcher of that leader is left at once.
  cluster.elect(-1)
  expect(cluster.log(2).endOffset).toBe(3)
  await cluster.reregister(2)
  expect(cluster.log(2).endOffset).toBe(1)
  fileSystem.latencyMs = 0
  cluster.elect(1, { isr: [1] })
  await cluster.appended(1, ['b'])
  await cluster.untilCopied([1, 2])
  expect(cluster.log(2).endOffset).toBe(2)
})
