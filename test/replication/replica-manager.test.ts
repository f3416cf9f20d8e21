import { expect, test } from 'vitest'
import {
  append,
  fetchOnce,
  NEVER,
  ReplicaHarness,
  readAll,
  request,
  valuesOf,
} from './replica-harness.ts'

test('appends, reads back from memory and from disk, and does so again after a restart', async () => {
  const harness = new ReplicaHarness()
  const topicId = harness.metadata.put('t', { segmentBytes: 4096 })
  let manager = await harness.open()
  const values: string[] = []
  for (let i = 0; i < 200; i++) {
    const value = `value ${i} ${'x'.repeat(i * 3)}`
    values.push(value)
    expect(await append(manager, topicId, [value])).toEqual({
      ok: true,
      baseOffset: i,
      appendTimeMs: -1,
    })
  }
  expect(valuesOf(await readAll(manager, topicId))).toEqual(values)
  expect(manager.storage.memoryBytes).toBeLessThanOrEqual(16 * 1024)
  expect([...manager.replicas][0]?.log.segments.length).toBeGreaterThan(10)
  await manager.close()
  manager = await harness.open()
  expect(valuesOf(await readAll(manager, topicId))).toEqual(values)
  harness.kill()
  manager = await harness.open()
  expect(valuesOf(await readAll(manager, topicId))).toEqual(values)
  expect(harness.fatal).toEqual([])
})

test('a power failure loses nothing that was acknowledged', async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const harness = new ReplicaHarness({}, seed)
    const topicId = harness.metadata.put('t', { segmentBytes: 4096 })
    let manager = await harness.open()
    const values: string[] = []
    for (let round = 0; round < 4; round++) {
      for (let i = 0; i < 30; i++) {
        const value = `${round}-${i} ${'x'.repeat(100)}`
        values.push(value)
        await append(manager, topicId, [value])
      }
      harness.crash()
      manager = await harness.open()
      expect(valuesOf(await readAll(manager, topicId))).toEqual(values)
    }
  }
})

test('a wait ends with the first record, on whichever partition it comes', async () => {
  const harness = new ReplicaHarness()
  const topicId = harness.metadata.put('t', {}, 8)
  const manager = await harness.open()
  const positions = Array.from({ length: 8 }, (_, partition) => ({
    topicId,
    partition,
    offset: 0,
    lastEpoch: -1,
  }))
  const fetching = manager.fetch(
    { positions, maxBytes: 1000, waitMs: 5000, isolation: 'committed' },
    NEVER,
  )
  await append(manager, topicId, ['late'], { partition: 5 })
  expect(await fetching).toMatchObject([{ ok: true, partition: 5, nextOffset: 1 }])
  expect([...manager.replicas].map((replica) => replica.readersWaiting)).toEqual(Array(8).fill(0))
})

test('a wait ends empty when its time is up, and with its signal', async () => {
  const harness = new ReplicaHarness()
  const topicId = harness.metadata.put('t')
  const manager = await harness.open()
  const fetchRequest = {
    positions: [{ topicId, partition: 0, offset: 0, lastEpoch: -1 }],
    maxBytes: 1000,
    waitMs: 5000,
    isolation: 'committed',
  } as const
  const timed = manager.fetch(fetchRequest, NEVER)
  await harness.clock.runFor(5000)
  expect(await timed).toEqual([])
  const controller = new AbortController()
  const aborted = manager.fetch(fetchRequest, controller.signal)
  controller.abort(new Error('gone'))
  await expect(aborted).rejects.toThrow('gone')
  expect([...manager.replicas][0]?.readersWaiting).toBe(0)
})

test('positions outside of the log are told where it is', async () => {
  const harness = new ReplicaHarness()
  const topicId = harness.metadata.put('t')
  const manager = await harness.open()
  for (let i = 0; i < 5; i++) await append(manager, topicId, [`${i}`])
  await manager.deleteRecords(topicId, 0, 2)
  expect(await fetchOnce(manager, topicId, 1)).toMatchObject({
    ok: false,
    code: 'cursor-expired',
    members: { earliest: 2 },
  })
  expect(await fetchOnce(manager, topicId, 6)).toMatchObject({
    ok: false,
    code: 'offset-out-of-range',
    members: { tail: 5 },
  })
  expect(await fetchOnce(manager, topicId, 5)).toBeUndefined()
  await expect(manager.deleteRecords(topicId, 0, 6)).rejects.toMatchObject({
    code: 'offset-out-of-range',
  })
})

test('an append that expects another end is refused and told the end, once that is durable', async () => {
  const harness = new ReplicaHarness()
  const topicId = harness.metadata.put('t')
  const manager = await harness.open()
  const [first, wrong, right] = manager.append(
    [
      request(topicId, ['a', 'b'], { expectedOffset: 0 }),
      request(topicId, ['c'], { expectedOffset: 0 }),
      request(topicId, ['d'], { expectedOffset: 2 }),
    ],
    NEVER,
  )
  const order: string[] = []
  void first?.then(() => order.push('first'))
  void wrong?.then(() => order.push('wrong'))
  expect(await first).toMatchObject({ ok: true, baseOffset: 0 })
  expect(await wrong).toMatchObject({
    ok: false,
    code: 'precondition-failed',
    members: { tail: 2 },
  })
  expect(await right).toMatchObject({ ok: true, baseOffset: 2 })
  expect(order).toEqual(['first', 'wrong'])
  expect(valuesOf(await readAll(manager, topicId))).toEqual(['a', 'b', 'd'])
})
