import { expect, test } from 'vitest'
import { ServiceError } from '../../src/lib/service-error.ts'
import { ClusterHarness, TOPIC_ID } from './cluster-harness.ts'
import { NEVER } from './replica-harness.ts'

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

test('a follower that catches up on a disk that runs full goes on when there is space', async () => {
  const roomy = { maxUnwrittenBytes: 1_000_000, memoryBytes: 1_000_000, maxJournalBytes: 1_000_000 }
  const cluster = new ClusterHarness({ replicas: [1, 2] }, roomy)
  await cluster.start(1)
  cluster.elect(1, { isr: [1] })
  for (let i = 0; i < 60; i++) await cluster.appended(1, ['x'.repeat(3000)])
  const { fileSystem, fatal } = await cluster.start(2)
  fileSystem.quotaBytes = fileSystem.usedBytes
  await cluster.clock.runFor(5_000)
  expect(cluster.log(2).endOffset).toBeLessThan(60)
  expect(cluster.log(2).endOffset).toBe(cluster.log(2).durableEnd)
  fileSystem.quotaBytes = Number.POSITIVE_INFINITY
  await cluster.untilCopied([1, 2])
  await cluster.until('it is in sync', () => cluster.state().isr.length === 2)
  expect(fatal).toEqual([])
  cluster.crash(2)
  await cluster.start(2)
  expect([cluster.log(2).endOffset, cluster.log(2).damage]).toEqual([60, undefined])
})

test('a node that gave up committed records, for a leader chosen without them, starts again', async () => {
  const cluster = await clusterOf([1, 2])
  cluster.elect(1)
  for (let i = 0; i < 5; i++) await cluster.appended(1, ['a'])
  await cluster.untilCopied([1, 2])
  cluster.elect(2, { isr: [2] })
  cluster.onReply = () => {
    throw new Error('cut off')
  }
  for (let i = 0; i < 5; i++) await cluster.appended(2, ['b'])
  await cluster.clock.run(cluster.node(2).manager.storage.checkpoints.run(false))
  cluster.elect(1, { isr: [1] })
  cluster.onReply = (_leader, _request, reply) => reply
  await cluster.appended(1, ['c'])
  await cluster.untilCopied([1, 2])
  expect(cluster.log(2).endOffset).toBe(6)
  cluster.crash(2)
  await cluster.start(2)
  expect([cluster.log(2).endOffset, cluster.log(2).damage]).toEqual([6, undefined])
})

test('a follower whose log starts behind the end of a leader chosen without it begins anew', async () => {
  const cluster = await clusterOf([1, 2], { config: { segmentBytes: 1000 } })
  cluster.elect(1)
  for (let i = 0; i < 5; i++) await cluster.appended(1, ['a'])
  await cluster.untilCopied([1, 2])
  cluster.elect(2, { isr: [2] })
  cluster.onReply = () => {
    throw new Error('cut off')
  }
  for (let i = 0; i < 5; i++) await cluster.appended(2, ['b'.repeat(800)])
  await cluster.clock.run(cluster.node(2).manager.deleteRecords(TOPIC_ID, 0, 8))
  cluster.elect(1, { isr: [1] })
  cluster.onReply = (_leader, _request, reply) => reply
  await cluster.until('both have the same', () => cluster.log(2).endOffset === 5)
  await cluster.appended(1, ['c'])
  await cluster.untilCopied([1, 2])
  const { startOffset, endOffset, lastEpoch } = cluster.log(2)
  expect([startOffset, endOffset, lastEpoch]).toEqual([0, 6, 3])
})

test('a node with a full disk stops, though it was about to cut its log', async () => {
  const cluster = await clusterOf([1, 2])
  cluster.elect(1)
  await cluster.appended(1, ['a'])
  await cluster.untilCopied([1, 2])
  await diverged(cluster, ['x'])
  cluster.onReply = (_leader, _request, reply) => reply
  const { fileSystem, manager } = cluster.node(2)
  fileSystem.fault = ({ kind, path }) =>
    kind === 'write' && path.endsWith('.log') ? 'ENOSPC' : undefined
  cluster.elect(1)
  await cluster.clock.runFor(1_000)
  expect(cluster.log(2).endOffset).toBe(2)
  await cluster.clock.run(
    Promise.race([
      manager.close(),
      cluster.clock.sleep(10_000, NEVER).then(() => Promise.reject(new Error('it hangs'))),
    ]),
  )
  expect(cluster.log(2).endOffset).toBe(2)
})

test('a follower with other records up to where the log of the leader starts begins anew', async () => {
  const cluster = await clusterOf([1, 2])
  cluster.elect(1)
  for (let i = 0; i < 2; i++) await cluster.appended(1, ['a'])
  await cluster.untilCopied([1, 2])
  cluster.onReply = () => {
    throw new Error('cut off')
  }
  for (let i = 0; i < 4; i++) await cluster.appended(1, ['a'], { acks: 1 })
  cluster.elect(2)
  for (let i = 0; i < 2; i++) await cluster.appended(2, ['b'], { acks: 1 })
  cluster.elect(1, { isr: [1] })
  await cluster.clock.run(cluster.node(1).manager.deleteRecords(TOPIC_ID, 0, 4))
  cluster.onReply = (_leader, _request, reply) => reply
  await cluster.untilCopied([1, 2])
  await cluster.until('it is in sync', () => cluster.state().isr.length === 2)
  const { startOffset, endOffset, lastEpoch } = cluster.log(2)
  expect([startOffset, endOffset, lastEpoch]).toEqual([4, 6, 1])
})

test("a log that ends where the leader's starts amid a batch begins anew with the whole batch", async () => {
  const cluster = new ClusterHarness({ replicas: [1, 2] })
  for (const nodeId of [1, 2]) await cluster.start(nodeId)
  cluster.elect(1)
  await cluster.appended(1, ['a'])
  await cluster.untilCopied([1, 2])
  cluster.onReply = () => {
    throw new Error('cut off')
  }
  for (let i = 0; i < 2; i++) await cluster.appended(1, ['a'], { acks: 1 })
  cluster.elect(2)
  await cluster.appended(2, ['b', 'b', 'b'], { acks: 1 })
  cluster.elect(2, { isr: [2] })
  await cluster.clock.run(cluster.node(2).manager.deleteRecords(TOPIC_ID, 0, 3))
  cluster.onReply = (_leader, _request, reply) => reply
  await cluster.until('it is in sync', () => cluster.state().isr.length === 2)
  const { startOffset, endOffset, lastEpoch } = cluster.log(1)
  expect([startOffset, endOffset, lastEpoch]).toEqual([3, 4, 2])
})

test('a segment that a leader cannot read holds up only its own partition', async () => {
  const cluster = new ClusterHarness({ replicas: [1, 2], partitions: 3 })
  await cluster.start(1)
  for (const partition of [0, 1, 2]) cluster.elect(1, { isr: [1] }, partition)
  for (const partition of [0, 1, 2]) {
    for (let i = 0; i < 10; i++) await cluster.appended(1, ['x'.repeat(3000)], { partition })
  }
  const { manager, fileSystem } = cluster.node(1)
  await cluster.clock.run(manager.storage.checkpoints.run(false))
  fileSystem.flipBit(`${cluster.log(1, 1).directory}/${'0'.repeat(20)}.log`, 5000, 0)
  await cluster.start(2)
  for (const partition of [0, 2]) await cluster.untilCopied([1, 2], partition)
  expect(cluster.log(2, 1).endOffset).toBeLessThan(10)
  await cluster.appended(1, ['y'], { partition: 2 })
  await cluster.untilCopied([1, 2], 2)
})

test('a change of in-sync replicas interrupts no request of a follower', async () => {
  const cluster = await clusterOf([1, 2, 3])
  cluster.elect(1)
  await cluster.appended(1, ['a'])
  await cluster.untilCopied([1, 2, 3])
  await cluster.clock.runFor(1_000)
  cluster.fetches.length = 0
  for (let i = 0; i < 20; i++) {
    cluster.change({ isr: i % 2 === 0 ? [1, 2] : [1, 2, 3] })
    await cluster.clock.runFor(5)
  }
  expect(cluster.fetches.filter(({ sessionId }) => sessionId === 0)).toEqual([])
})

test('a leader that opens no session is not asked without a pause', async () => {
  const cluster = await clusterOf([1, 2])
  cluster.elect(1)
  await cluster.appended(1, ['a'])
  cluster.onReply = () => 'session-unknown'
  cluster.fetches.length = 0
  await cluster.clock.runFor(10_000)
  expect(cluster.fetches.length).toBeLessThan(30)
  cluster.onReply = (_leader, _request, reply) => reply
  await cluster.appended(1, ['b'])
  await cluster.untilCopied([1, 2])
})

test('what a follower was told under an earlier epoch it is told again', async () => {
  const cluster = await clusterOf([1, 2])
  cluster.elect(1)
  await cluster.appended(1, ['a', 'b'])
  await cluster.until('it knows', () => cluster.log(2).highWatermark === 2)
  cluster.onReply = (_leader, _request, reply) => {
    if (reply === 'session-unknown') return reply
    const parts = reply.parts.map((part) =>
      part.kind === 'data' && part.batches.length === 0 ? { ...part, leaderEpoch: 1 } : part,
    )
    return { ...reply, parts }
  }
  cluster.change({ leaderEpoch: 2 })
  await cluster.appended(1, ['c'])
  await cluster.clock.runFor(1_000)
  expect(cluster.log(2).highWatermark).toBe(2)
  cluster.onReply = (_leader, _request, reply) => reply
  cluster.change({ leaderEpoch: 3 })
  await cluster.until('it knows all', () => cluster.log(2).highWatermark === 3)
  expect(cluster.log(2).highWatermark).toBe(3)
})

test('a follower of a topic that is not synced is not trusted until it has given up its vote', async () => {
  const cluster = await clusterOf([1, 2], { config: { flush: 'os' } })
  const doubts: (boolean | undefined)[] = []
  cluster.onOpened = ({ manager }) => {
    doubts.push(manager.storage.find(TOPIC_ID, 0)?.lossPossible)
  }
  cluster.elect(1)
  await cluster.appended(1, ['a'])
  await cluster.untilCopied([1, 2])
  await cluster.clock.run(cluster.node(2).manager.storage.checkpoints.run(false))
  cluster.kill(2)
  await cluster.until('it is out of sync', () => cluster.state().isr.length === 1)
  // Nobody tells the node when it is in sync again.
  cluster.storeFate = () => new ServiceError('metadata-unavailable', 'not now')
  await cluster.start(2)
  expect(doubts).toEqual([true])
  expect(cluster.log(2).lossPossible).toBe(false)
  await cluster.clock.run(cluster.node(2).manager.close())
  cluster.kill(2)
  await cluster.start(2)
  expect(doubts).toEqual([true, false])
})

test('where histories part, a reader is not sent before what is about to be committed again', async () => {
  const cluster = await clusterOf([1, 2])
  cluster.elect(1)
  await cluster.appended(1, ['a'])
  await cluster.untilCopied([1, 2])
  cluster.onReply = () => {
    throw new Error('cut off')
  }
  await cluster.appended(1, ['b', 'c'], { acks: 1 })
  const read = (lastEpoch: number) => {
    const positions = [{ topicId: TOPIC_ID, partition: 0, offset: 9, lastEpoch }]
    const request = { positions, maxBytes: 100, waitMs: 0, isolation: 'committed' } as const
    return cluster.clock.run(cluster.node(1).manager.fetch(request, NEVER))
  }
  expect(await read(1)).toMatchObject([{ code: 'partition-unavailable' }])
  expect(await read(-1)).toMatchObject([
    { code: 'offset-out-of-range', members: { tail: 1, leaderEpoch: 1 } },
  ])
  cluster.onReply = (_leader, _request, reply) => reply
  await cluster.untilCopied([1, 2])
  await cluster.until('it is committed', () => cluster.log(1).highWatermark === 3)
  expect(await read(1)).toMatchObject([{ code: 'offset-out-of-range', members: { tail: 3 } }])
})

test('only the leader removes what is too old or too much', async () => {
  const config = { segmentBytes: 1000, retentionBytes: 2000, retentionMs: -1 }
  const cluster = await clusterOf([1, 2], { config }, { retentionIntervalMs: 1_000 })
  cluster.elect(1)
  await cluster.node(1).manager.storage.cleaner.close()
  for (let i = 0; i < 10; i++) await cluster.appended(1, ['x'.repeat(800)])
  await cluster.untilCopied([1, 2])
  await cluster.clock.runFor(5_000)
  expect([cluster.log(1).startOffset, cluster.log(2).startOffset]).toEqual([0, 0])
  cluster.elect(2)
  await cluster.until('the new leader removes it', () => cluster.log(2).startOffset > 5)
  await cluster.until(
    'so does its follower',
    () => cluster.log(1).startOffset === cluster.log(2).startOffset,
  )
})

test('records that a follower took and its disk refused are asked for again', async () => {
  const cluster = await clusterOf([1, 2], { config: { flush: 'os' } })
  cluster.elect(1)
  await cluster.appended(1, ['a'])
  await cluster.untilCopied([1, 2])
  const { fileSystem } = cluster.node(2)
  fileSystem.fault = ({ kind }) => (kind === 'write' ? 'ENOSPC' : undefined)
  await cluster.appended(1, ['b'], { acks: 1 })
  await cluster.clock.runFor(100)
  expect(cluster.log(2).endOffset).toBe(1)
  fileSystem.fault = () => undefined
  await cluster.untilCopied([1, 2])
  expect(cluster.log(2).endOffset).toBe(2)
})

test('a leader with nothing left below its end has followers keep what was committed', async () => {
  const cluster = new ClusterHarness({ replicas: [1, 2] })
  await cluster.start(2)
  cluster.elect(2, { isr: [2] })
  for (let i = 0; i < 3; i++) await cluster.appended(2, ['a'])
  await cluster.clock.run(cluster.node(2).manager.deleteRecords(TOPIC_ID, 0, 3))
  await cluster.start(1)
  await cluster.until('it is in sync', () => cluster.state().isr.length === 2)
  expect([cluster.log(1).startOffset, cluster.log(1).epochs.latest]).toEqual([3, -1])
  cluster.onReply = () => {
    throw new Error('cut off')
  }
  await cluster.appended(2, ['x'], { acks: 1 })
  let lowest = 3
  cluster.replica(2).observe(() => {
    lowest = Math.min(lowest, cluster.log(2).highWatermark)
  })
  cluster.onReply = (_leader, _request, reply) => reply
  cluster.elect(1)
  await cluster.appended(1, ['b'], { acks: 1 })
  await cluster.until('it is copied', () => cluster.log(2).lastEpoch === 2)
  expect([lowest, cluster.log(2).endOffset]).toEqual([3, 4])
})

test('what was removed was committed, also when only the removal is remembered', async () => {
  const cluster = await clusterOf([1, 2, 3], { config: { minInsyncReplicas: 2 } })
  cluster.elect(1)
  await cluster.appended(1, ['a'])
  await cluster.clock.run(cluster.node(1).manager.storage.checkpoints.run(false))
  for (let i = 0; i < 4; i++) await cluster.appended(1, ['b'])
  await cluster.untilCopied([1, 2, 3])
  await cluster.clock.run(cluster.node(1).manager.deleteRecords(TOPIC_ID, 0, 4))
  for (const nodeId of [1, 2, 3]) cluster.crash(nodeId)
  await cluster.start(1)
  cluster.elect(1, { isr: [1] })
  const { startOffset, highWatermark } = cluster.log(1)
  expect([startOffset, highWatermark]).toEqual([4, 4])
  for (const nodeId of [2, 3]) await cluster.start(nodeId)
  await cluster.until('all are in sync', () => cluster.state().isr.length === 3)
  expect(await cluster.appended(1, ['c'])).toMatchObject({ ok: true, baseOffset: 5 })
})

test('a new leader whose disk takes back what it had got counts on nobody who still has it', async () => {
  const cluster = await clusterOf([1, 2], { config: { flush: 'os' } })
  cluster.elect(1)
  await cluster.appended(1, ['a'])
  await cluster.untilCopied([1, 2])
  const { fileSystem } = cluster.node(2)
  fileSystem.latencyMs = 200
  fileSystem.fault = ({ kind }) => (kind === 'write' ? 'ENOSPC' : undefined)
  await cluster.appended(1, ['b'], { acks: 1 })
  await cluster.until('it has come', () => cluster.log(2).endOffset === 2)
  cluster.elect(2)
  expect(cluster.replica(2).tenure?.epochStart).toBe(2)
  const told = () => cluster.replica(2).tenure?.inSync.durableOffsetOf(1)
  await cluster.until('the follower has it', () => told() === 2)
  cluster.onReply = () => {
    throw new Error('cut off')
  }
  await cluster.until('it is taken back', () => cluster.log(2).endOffset === 1)
  fileSystem.latencyMs = 0
  fileSystem.fault = () => undefined
  await cluster.until('there is space', () => !cluster.node(2).manager.storage.diskIsFull)
  const answer = cluster.append(2, ['c'])
  await cluster.clock.runFor(300)
  expect(cluster.log(2).highWatermark).toBe(1)
  cluster.onReply = (_leader, _request, reply) => reply
  expect(await cluster.clock.run(answer)).toMatchObject({ ok: true, baseOffset: 1 })
  await cluster.until('they are the same', () => cluster.log(1).lastEpoch === 2)
  const starts = [1, 2].map((nodeId) => cluster.log(nodeId).epochs.starts)
  expect(starts[0]).toEqual(starts[1])
})

test('a reader that waits at a leader is told at once when another one leads', async () => {
  const cluster = await clusterOf([1, 2])
  cluster.elect(1)
  await cluster.appended(1, ['a'])
  await cluster.untilCopied([1, 2])
  const position = { topicId: TOPIC_ID, partition: 0, offset: 1, lastEpoch: -1 }
  const reading = cluster
    .node(1)
    .manager.fetch(
      { positions: [position], maxBytes: 1_000, waitMs: 3_600_000, isolation: 'committed' },
      NEVER,
    )
  cluster.elect(2)
  expect(await reading).toMatchObject([{ ok: false, code: 'partition-unavailable' }])
})
