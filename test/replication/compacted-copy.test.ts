/** Followers of a leader whose log is compacted: each compacts for itself, and holds what counts. */
import { expect, test } from 'vitest'
import { SeededRandom } from '../../src/env/seeded-random.ts'
import type { Entry, KeyedRecord } from '../storage/compacted-topic.ts'
import { COMPACTED, keyedBatch, keyedRecords, latest } from '../storage/compacted-topic.ts'
import { ClusterHarness } from './cluster-harness.ts'
import { NEVER } from './replica-harness.ts'

async function open(): Promise<ClusterHarness> {
  const cluster = new ClusterHarness({ replicas: [1, 2] }, { memoryBytes: 0 })
  cluster.configure(COMPACTED)
  for (const nodeId of [1, 2]) await cluster.start(nodeId)
  cluster.elect(1, { isr: [1] })
  return cluster
}

async function append(cluster: ClusterHarness, ...entries: readonly Entry[]): Promise<void> {
  const batch = keyedBatch(entries, cluster.clock.nowMs())
  const result = await cluster.appended(1, ['x'], { batch })
  expect(result).toMatchObject({ ok: true })
}

async function compact(cluster: ClusterHarness, nodeId: number): Promise<void> {
  const { storage } = cluster.node(nodeId).manager
  const log = cluster.log(nodeId)
  storage.appender.roll(log)
  await cluster.clock.run(storage.checkpoints.run(false))
  await cluster.clock.run(storage.compactor.run())
}

async function read(cluster: ClusterHarness, nodeId: number): Promise<KeyedRecord[]> {
  const log = cluster.log(nodeId)
  const { reader } = cluster.node(nodeId).manager.storage
  const records: KeyedRecord[] = []
  for (let offset = log.startOffset; offset < log.endOffset; ) {
    const range = { offset, endOffset: log.endOffset, maxBytes: 1_000_000 }
    const found = await cluster.clock.run(reader.read(log, range, NEVER))
    records.push(...keyedRecords(found.batches, offset))
    offset = found.nextOffset
  }
  return records
}

test('a follower that ends amid what is gone at its leader goes on there', async () => {
  const cluster = await open()
  for (const value of ['1', '2', '3']) await append(cluster, ['a', value])
  await cluster.untilCopied([1, 2])
  cluster.kill(2)
  for (const value of ['4', '5', '6']) await append(cluster, ['a', value])
  await compact(cluster, 1)
  expect(await read(cluster, 1)).toMatchObject([{ offset: 5, value: '6' }])
  await cluster.start(2)
  cluster.elect(1, { isr: [1] })
  await cluster.untilCopied([1, 2])
  const values = (await read(cluster, 2)).map(({ value }) => value)
  expect(values).toEqual(['1', '2', '3', '6'])
  expect(cluster.log(2).epochs.epochAt(5)).toBe(1)
  await compact(cluster, 2)
  expect(await read(cluster, 2)).toEqual(await read(cluster, 1))
})

test('a follower that missed the deletion of a key does not bring it back', async () => {
  const cluster = await open()
  await append(cluster, ['a', '1'], ['b', '1'])
  await cluster.untilCopied([1, 2])
  cluster.kill(2)
  await append(cluster, ['a', null])
  await append(cluster, ['c', '1'])
  await compact(cluster, 1)
  await cluster.clock.runFor(60_000)
  expect(cluster.log(1).compacted.purgedEnd).toBe(3)
  await cluster.start(2)
  cluster.elect(1, { isr: [1] })
  await cluster.untilCopied([1, 2])
  expect([...latest(await read(cluster, 2)).keys()]).toEqual(['b', 'c'])
  expect(cluster.log(2).compacted.purgedEnd).toBe(3)
  // It is not begun anew again and again.
  const { generation } = cluster.log(2)
  await append(cluster, ['d', '1'])
  await cluster.untilCopied([1, 2])
  expect(cluster.log(2).generation).toBe(generation)
})

test('a log that compacted for records that an unclean election gives up begins anew', async () => {
  const cluster = await open()
  await append(cluster, ['a', '1'], ['b', '1'])
  await cluster.untilCopied([1, 2])
  cluster.kill(2)
  await append(cluster, ['a', '2'])
  await compact(cluster, 1)
  expect((await read(cluster, 1)).map(({ value }) => value)).toEqual(['1', '2'])
  await cluster.start(2)
  cluster.elect(2, { isr: [2] })
  await cluster.untilCopied([1, 2])
  expect(await read(cluster, 1)).toEqual(await read(cluster, 2))
  expect([...latest(await read(cluster, 1)).keys()]).toEqual(['a', 'b'])
})

test('a follower that begins now takes what is left, once', async () => {
  const cluster = new ClusterHarness({ replicas: [1, 2] }, { memoryBytes: 0 })
  cluster.configure(COMPACTED)
  await cluster.start(1)
  cluster.elect(1, { isr: [1] })
  await append(cluster, ['a', '1'], ['b', '1'])
  await append(cluster, ['a', null])
  await append(cluster, ['c', '1'])
  await compact(cluster, 1)
  await cluster.clock.runFor(60_000)
  expect(cluster.log(1).compacted.purgedEnd).toBe(3)
  await cluster.start(2)
  cluster.elect(1, { isr: [1] })
  await cluster.untilCopied([1, 2])
  expect(await read(cluster, 2)).toEqual(await read(cluster, 1))
  expect(cluster.log(2).generation).toBe(0)
})

test('a leader takes no record without a key, whatever its fronts know', async () => {
  const cluster = await open()
  const batch = keyedBatch([
    ['a', '1'],
    [null, '2'],
  ])
  expect(await cluster.appended(1, ['x'], { batch })).toMatchObject({
    ok: false,
    code: 'key-required',
    committed: 'no',
  })
  expect(cluster.log(1).endOffset).toBe(0)
})

test.each([1, 2, 3, 4, 5, 6])(
  'replicas that come and go, and compact when they like, agree on what counts, seed %i',
  async (seed) => {
    const cluster = await open()
    const random = new SeededRandom(seed)
    const below = (limit: number) => Math.floor(random.float() * limit)
    const model = new Map<string, string>()
    let leader = 1
    for (let round = 0; round < 12; round++) {
      const isAway = below(2) === 0
      const follower = 3 - leader
      if (isAway) cluster.kill(follower)
      cluster.elect(leader, { isr: [leader] })
      for (let i = 0; i < 12; i++) {
        const key = `${below(6)}`
        const value = below(3) === 0 ? null : `${round}.${i}`
        const batch = keyedBatch([[key, value]], cluster.clock.nowMs())
        const result = await cluster.appended(leader, ['x'], { batch, acks: 1 })
        expect(result).toMatchObject({ ok: true })
        if (value === null) model.delete(key)
        else model.set(key, value)
        if (below(4) === 0) await compact(cluster, below(2) === 0 || isAway ? leader : follower)
        // Long enough for tombstones to go.
        if (below(6) === 0) await cluster.clock.runFor(8_000)
      }
      if (isAway) await cluster.start(follower)
      cluster.elect(leader, { isr: [leader] })
      await cluster.untilCopied([1, 2])
      for (const nodeId of [1, 2]) {
        expect(latest(await read(cluster, nodeId)), `round ${round}, node ${nodeId}`).toEqual(model)
      }
      if (below(2) === 0) leader = follower
    }
    expect(cluster.log(1).compacted.purgedEnd).toBeGreaterThan(0)
  },
)
