import { expect, test } from 'vitest'
import type {
  ReplicaFetchPart,
  ReplicaFetchPosition,
  ReplicaFetchReply,
  ReplicaFetchRequest,
} from '../../src/wire/replica-fetch.ts'
import { ClusterHarness, TOPIC_ID } from './cluster-harness.ts'
import { NEVER } from './replica-harness.ts'

const PARTITIONS = 3

/** Node 1 leads all partitions; the test is node 2. */
async function leader(
  options: { instant?: boolean; memoryBytes?: number } = {},
): Promise<ClusterHarness> {
  const { memoryBytes } = options
  const cluster = new ClusterHarness(
    { replicas: [1, 2], partitions: PARTITIONS },
    memoryBytes === undefined ? {} : { memoryBytes },
  )
  cluster.hasInstantDisks = options.instant ?? false
  await cluster.start(1)
  for (let partition = 0; partition < PARTITIONS; partition++) {
    cluster.elect(1, { isr: [1] }, partition)
  }
  return cluster
}

function at(partition: number, fetchOffset: number, fields: Partial<ReplicaFetchPosition> = {}) {
  return {
    topicId: TOPIC_ID,
    partition,
    leaderEpoch: 1,
    fetchOffset,
    durableOffset: fetchOffset,
    lastFetchedEpoch: fetchOffset === 0 ? -1 : 1,
    logStartOffset: 0,
    ...fields,
  }
}

function ask(
  cluster: ClusterHarness,
  positions: readonly ReplicaFetchPosition[],
  request: Partial<ReplicaFetchRequest> = {},
): Promise<ReplicaFetchReply> {
  return cluster.node(1).manager.replicaFetch(
    {
      followerId: 2,
      incarnation: 1_000,
      sessionId: 0,
      sessionStep: 1,
      positions,
      forget: [],
      maxBytes: 1024 * 1024,
      waitMs: 500,
      ...request,
    },
    NEVER,
  )
}

async function answer(cluster: ClusterHarness, reply: Promise<ReplicaFetchReply>) {
  const answered = await cluster.clock.run(reply)
  if (answered === 'session-unknown') throw new Error('the session is known')
  return answered
}

/** Partition and end of each part; the last offset that was sent is below it. */
function summary(parts: readonly ReplicaFetchPart[]): unknown[] {
  return parts.map((part) =>
    part.kind === 'data'
      ? [part.partition, part.batches.length, part.highWatermark]
      : [part.partition, part.kind],
  )
}

const all = () => Array.from({ length: PARTITIONS }, (_, partition) => at(partition, 0))

test('only partitions with news are answered for, and only what changed is told', async () => {
  const cluster = await leader()
  await cluster.appended(1, ['a'], { partition: 1 })
  const first = await answer(cluster, ask(cluster, all()))
  expect(summary(first.parts)).toEqual([
    [1, 1, 1],
    [0, 0, 0],
    [2, 0, 0],
  ])
  const { sessionId } = first
  const second = ask(cluster, [at(1, 1)], { sessionId, sessionStep: 2 })
  await cluster.clock.runFor(100)
  await cluster.appended(1, ['b'], { partition: 2 })
  expect(summary((await answer(cluster, second)).parts)).toEqual([[2, 1, 0]])
  const third = ask(cluster, [at(2, 1)], { sessionId, sessionStep: 3 })
  expect(summary((await answer(cluster, third)).parts)).toEqual([[2, 0, 1]])
  const before = cluster.clock.monotonicMs()
  const fourth = await answer(cluster, ask(cluster, [], { sessionId, sessionStep: 4 }))
  expect([fourth.parts, cluster.clock.monotonicMs() - before]).toEqual([[], 500])
})

test('records are sent while they are written to the disk of the leader, and committed when they are', async () => {
  const cluster = await leader()
  cluster.change({ isr: [1, 2] })
  const { sessionId } = await answer(cluster, ask(cluster, all()))
  cluster.node(1).fileSystem.latencyMs = 200
  const append = cluster.append(1, ['a'])
  const data = await answer(cluster, ask(cluster, [], { sessionId, sessionStep: 2 }))
  expect(summary(data.parts)).toEqual([[0, 1, 0]])
  expect(cluster.log(1).durableEnd).toBe(0)
  const third = ask(cluster, [at(0, 1)], { sessionId, sessionStep: 3 })
  await cluster.clock.runFor(100)
  expect(cluster.log(1).highWatermark).toBe(0)
  expect(summary((await answer(cluster, third)).parts)).toEqual([[0, 0, 1]])
  expect(await append).toMatchObject({ ok: true })
})

test('records that have no place in the journal yet are not sent', async () => {
  const cluster = await leader()
  const { sessionId } = await answer(cluster, ask(cluster, all()))
  cluster.node(1).fileSystem.latencyMs = 200
  const first = cluster.append(1, ['a'])
  await cluster.clock.runFor(1)
  const second = cluster.append(1, ['b'])
  const data = await answer(cluster, ask(cluster, [], { sessionId, sessionStep: 2 }))
  expect(summary(data.parts)).toEqual([[0, 1, 0]])
  const more = await answer(cluster, ask(cluster, [at(0, 1)], { sessionId, sessionStep: 3 }))
  expect(summary(more.parts)).toEqual([[0, 1, 1]])
  expect(cluster.log(1).durableEnd).toBe(1)
  expect(await cluster.clock.run(Promise.all([first, second]))).toMatchObject([
    { ok: true },
    { ok: true },
  ])
})

test('a follower that was sent elsewhere is told of the bounds there, though there is nothing to copy', async () => {
  const cluster = await leader({ memoryBytes: 0 })
  for (const value of ['a', 'b', 'c']) await cluster.appended(1, [value])
  const { fileSystem, manager } = cluster.node(1)
  await cluster.clock.run(manager.storage.checkpoints.run(false))
  fileSystem.latencyMs = 200
  const reading = ask(cluster, [at(0, 0)])
  await cluster.clock.runFor(50)
  fileSystem.latencyMs = 0
  await cluster.clock.run(manager.deleteRecords(TOPIC_ID, 0, 3))
  const { sessionId, parts } = await answer(cluster, reading)
  expect(parts).toMatchObject([{ kind: 'data', logStartOffset: 3, highWatermark: 3 }])
  const next = (sessionStep: number, position: ReplicaFetchPosition) =>
    answer(cluster, ask(cluster, [position], { sessionId, sessionStep }))
  // It could take one of the records.
  expect(summary((await next(2, at(0, 1))).parts)).toEqual([[0, 'refused']])
  expect((await next(3, at(0, 3, { lastFetchedEpoch: -1 }))).parts).toMatchObject([
    { partition: 0, kind: 'data', logStartOffset: 3, batches: [] },
  ])
})

test('a watermark that moves alone is told soon', async () => {
  const cluster = await leader()
  cluster.change({ isr: [1, 2] })
  const { sessionId } = await answer(cluster, ask(cluster, all()))
  const append = cluster.append(1, ['a'])
  const data = await answer(cluster, ask(cluster, [], { sessionId, sessionStep: 2 }))
  expect(summary(data.parts)).toEqual([[0, 1, 0]])
  const before = cluster.clock.monotonicMs()
  const news = await answer(cluster, ask(cluster, [at(0, 1)], { sessionId, sessionStep: 3 }))
  expect(summary(news.parts)).toEqual([[0, 0, 1]])
  expect(cluster.clock.monotonicMs() - before).toBeLessThan(50)
  expect(await append).toMatchObject({ ok: true })
})

test('a step that was missed, or comes twice, ends the session', async () => {
  const cluster = await leader()
  const { sessionId } = await answer(cluster, ask(cluster, all()))
  await answer(cluster, ask(cluster, [], { sessionId, sessionStep: 2 }))
  for (const sessionStep of [2, 4]) {
    expect(await ask(cluster, [], { sessionId, sessionStep })).toBe('session-unknown')
  }
  expect(await ask(cluster, [], { sessionId, sessionStep: 3, incarnation: 999 })).toBe(
    'session-unknown',
  )
})

test('a request of an earlier life opens no session, one of a later life does', async () => {
  const cluster = await leader()
  const { sessionId } = await answer(cluster, ask(cluster, all()))
  expect(await ask(cluster, all(), { incarnation: 999 })).toBe('session-unknown')
  const late = await answer(cluster, ask(cluster, [], { sessionId, sessionStep: 2 }))
  expect(late.parts).toEqual([])
  await answer(cluster, ask(cluster, all(), { incarnation: 1_001 }))
  expect(await ask(cluster, [], { sessionId, sessionStep: 3 })).toBe('session-unknown')
})

test('whoever asks in another epoch is told nothing, and counts for nothing', async () => {
  const cluster = await leader()
  await cluster.appended(1, ['a'])
  const parts = async (leaderEpoch: number) =>
    (await answer(cluster, ask(cluster, [at(0, 0, { leaderEpoch })]))).parts
  expect(await parts(0)).toEqual([])
  expect(await parts(2)).toEqual([])
  expect(cluster.replica(1).tenure?.inSync.durableOffsetOf(2)).toBe(-1)
  expect(await parts(1)).toHaveLength(1)
  expect(cluster.replica(1).tenure?.inSync.durableOffsetOf(2)).toBe(0)
})

test('who has other records is told where they part, and counts for nothing', async () => {
  const cluster = await leader()
  await cluster.appended(1, ['a', 'b'])
  const diverging = [at(0, 5), at(1, 3, { lastFetchedEpoch: 0 })]
  const { parts } = await answer(cluster, ask(cluster, diverging))
  expect(parts).toMatchObject([
    { kind: 'diverging', partition: 0, divergingEpoch: 1, endOffset: 2 },
    { kind: 'diverging', partition: 1, divergingEpoch: -1, endOffset: 0 },
  ])
  expect(cluster.replica(1, 0).tenure?.inSync.durableOffsetOf(2)).toBe(-1)
})

test('records on disk and records in memory do not stand in each other’s way', async () => {
  const cluster = await leader()
  for (const partition of [0, 1]) {
    for (let i = 0; i < 20; i++) await cluster.appended(1, ['x'.repeat(3000)], { partition })
  }
  await cluster.clock.run(cluster.node(1).manager.storage.checkpoints.run(false))
  for (let i = 0; i < 10; i++) await cluster.appended(1, ['y'.repeat(1000)], { partition: 2 })
  const ends = [0, 0, 0]
  let reply = await answer(cluster, ask(cluster, all(), { maxBytes: 4000 }))
  let rounds = 0
  while (ends.join() !== '20,20,10' && rounds++ < 60) {
    for (const part of reply.parts) {
      if (part.kind === 'data') (ends[part.partition] as number) += part.batches.length
    }
    await cluster.appended(1, ['z'], { partition: 2 })
    ends[2] = Math.min(ends[2] as number, 10)
    const { sessionId, sessionStep } = reply
    const positions = reply.parts.map(({ partition }) => at(partition, ends[partition] as number))
    const request = { sessionId, sessionStep: sessionStep + 1, maxBytes: 4000 }
    reply = await answer(cluster, ask(cluster, positions, request))
  }
  expect(ends).toEqual([20, 20, 10])
})

test('what becomes durable in the very turn of a request is not missed', async () => {
  for (let microtasks = 0; microtasks < 80; microtasks++) {
    const cluster = await leader({ instant: true })
    const { sessionId } = await answer(cluster, ask(cluster, all()))
    const append = cluster.append(1, ['a'])
    for (let i = 0; i < microtasks; i++) await Promise.resolve()
    const before = cluster.clock.monotonicMs()
    const { parts } = await answer(cluster, ask(cluster, [], { sessionId, sessionStep: 2 }))
    expect(summary(parts)).toHaveLength(1)
    expect(cluster.clock.monotonicMs() - before, `after ${microtasks}`).toBeLessThan(50)
    expect(await append).toMatchObject({ ok: true })
  }
})
