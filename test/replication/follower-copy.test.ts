import { expect, test, vi } from 'vitest'
import { stampBatch } from '../../src/core/record-batch.ts'
import type { PartitionLog } from '../../src/storage/partition-log.ts'
import type { ReplicaFetchPart } from '../../src/wire/replica-fetch.ts'
import { ClusterHarness, TOPIC_ID } from './cluster-harness.ts'
import { SMALL } from './replica-harness.ts'

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

test('what a follower has not removed for good, it does not say to have removed', async () => {
  const cluster = await copied((part) => part)
  cluster.elect(2)
  await cluster.appended(2, ['b'], { acks: 1 })
  await cluster.untilCopied([1, 2])
  const { manager, fileSystem } = cluster.node(2)
  fileSystem.latencyMs = 1_000_000
  const removing = manager.storage.raiseStart(cluster.log(2), 1)
  cluster.elect(1)
  cluster.fetches.length = 0
  const said = () =>
    cluster.fetches.flatMap(({ positions }) => positions.map((place) => place.logStartOffset))
  await cluster.clock.runFor(5_000)
  expect(cluster.log(2).startOffset).toBe(1)
  expect(new Set(said())).toEqual(new Set([0]))
  await cluster.clock.run(removing)
  await cluster.clock.runFor(5_000)
  expect(said().at(-1)).toBe(1)
})

/** Node 2 has no room for what it is sent from now on; gives what waits. */
function withoutRoom(cluster: ClusterHarness): (() => void)[] {
  const waiting: (() => void)[] = []
  vi.spyOn(cluster.node(2).manager.storage.gate, 'enter').mockImplementation((_bytes, done) => {
    waiting.push(() => done('entered'))
  })
  return waiting
}

/** Node 2 comes back when all that it has was removed at the leader. */
async function leftBehind(): Promise<ClusterHarness> {
  const cluster = await copied((part) => part)
  cluster.kill(2)
  for (const value of ['b', 'c', 'd']) await cluster.appended(1, [value])
  await cluster.clock.run(cluster.node(1).manager.deleteRecords(TOPIC_ID, 0, 3))
  await cluster.start(2)
  cluster.elect(1, { isr: [1] })
  return cluster
}

function cutToNothing({ topicId, partition }: ReplicaFetchPart): ReplicaFetchPart {
  const part = { topicId, partition, leaderEpoch: 1 }
  return { ...part, kind: 'diverging', divergingEpoch: -1, endOffset: 0 }
}

const bounds = ({ startOffset, endOffset }: PartitionLog) => [startOffset, endOffset]

test.each([
  ['another node', 3],
  ['the same node anew', 1],
  ['the follower itself', 2],
])('records that waited for room are not taken once %s leads', async (_, leader) => {
  const cluster = await copied((part) => part)
  const waiting = withoutRoom(cluster)
  await cluster.appended(1, ['b'], { acks: 1 })
  await cluster.until('they wait', () => waiting.length === 1)
  cluster.elect(leader, { isr: [leader] })
  waiting[0]?.()
  await cluster.clock.runFor(100)
  expect(bounds(cluster.log(2))).toEqual([0, 1])
})

test.each<[string, (part: ReplicaFetchPart) => ReplicaFetchPart]>([
  ['records', (part) => part],
  ['a cut', cutToNothing],
])('%s that came as another epoch began changed nothing', async (_, sent) => {
  const cluster = await copied((part) => {
    if (cluster.state().leaderEpoch > 1) return part
    cluster.elect(1)
    return sent(part)
  })
  cluster.fetches.length = 0
  await cluster.appended(1, ['b'], { acks: 1 })
  await cluster.untilCopied([1, 2])
  const asked = cluster.fetches.flatMap(({ positions }) => positions)
  expect(asked.find(({ leaderEpoch }) => leaderEpoch === 2)?.fetchOffset).toBe(1)
})

test('a log that begins anew does so further on where the leader has removed what was to come first', async () => {
  const cluster = await copied((part) => part)
  for (const value of ['b', 'c', 'd', 'e']) await cluster.appended(1, [value])
  await cluster.untilCopied([1, 2])
  cluster.kill(2)
  for (const value of ['f', 'g', 'h']) await cluster.appended(1, [value])
  let isTold = false
  cluster.onReply = (_leader, _request, reply) => {
    if (isTold) throw new Error('cut off')
    if (reply === 'session-unknown') return reply
    isTold = reply.parts.some(({ kind }) => kind === 'data')
    return {
      ...reply,
      parts: reply.parts.map((part) => (part.kind === 'data' ? { ...part, purgedEnd: 6 } : part)),
    }
  }
  await cluster.start(2)
  cluster.elect(1, { isr: [1] })
  await cluster.until('deletions were missed', () => isTold)
  await cluster.clock.run(cluster.node(1).manager.deleteRecords(TOPIC_ID, 0, 4))
  cluster.onReply = (_leader, _request, reply) => reply
  await cluster.until('all is there', () => cluster.log(2).endOffset === 8)
  expect(bounds(cluster.log(2))).toEqual([4, 8])
})

test('a log does not begin anew for a leader that was replaced meanwhile', async () => {
  const cluster = await leftBehind()
  const waiting = withoutRoom(cluster)
  await cluster.until('it is sent something', () => waiting.length === 1)
  cluster.elect(-1)
  waiting[0]?.()
  await cluster.clock.runFor(100)
  expect(bounds(cluster.log(2))).toEqual([0, 1])
})

test('a log that begins anew takes nothing from a leader that was replaced meanwhile', async () => {
  const cluster = await leftBehind()
  const { fileSystem, manager } = cluster.node(2)
  fileSystem.latencyMs = 200
  const restart = vi.spyOn(manager.storage.appender, 'restart')
  await cluster.until('it begins anew', () => restart.mock.calls.length === 1)
  cluster.elect(-1)
  await cluster.clock.runFor(1_000)
  expect(bounds(cluster.log(2))).toEqual([3, 3])
})

test('records of many partitions that wait for room take no more than there is', async () => {
  const partitions = [0, 1, 2, 3]
  const cluster = new ClusterHarness({ replicas: [1, 2], partitions: partitions.length })
  await cluster.start(1)
  for (const partition of partitions) {
    cluster.elect(1, { isr: [1] }, partition)
    await cluster.appended(1, ['x'.repeat(5_000)], { partition })
  }
  const { fileSystem, manager } = await cluster.start(2)
  fileSystem.latencyMs = 20
  let mostBytes = 0
  for (const partition of partitions) {
    cluster.replica(2, partition).observe(() => {
      mostBytes = Math.max(mostBytes, manager.storage.unwrittenBytes)
    })
  }
  for (const partition of partitions) await cluster.untilCopied([1, 2], partition)
  expect(cluster.log(2, 3).endOffset).toBe(1)
  expect(mostBytes).toBeLessThanOrEqual(SMALL.maxUnwrittenBytes)
})
