import { expect, test } from 'vitest'
import {
  append,
  DATA,
  fetchOnce,
  NEVER,
  ReplicaHarness,
  readAll,
  valuesOf,
} from './replica-harness.ts'

test('a topic that is removed loses its data, at once for clients and after a delay on disk', async () => {
  const harness = new ReplicaHarness({ fileDeleteDelayMs: 60_000, checkpointIntervalMs: 1000 })
  const topicId = harness.metadata.put('t')
  const other = harness.metadata.put('other')
  let manager = await harness.open()
  await append(manager, topicId, ['a'])
  await append(manager, other, ['b'])
  await harness.clock.runFor(2000)
  const directory = `${DATA}/logs/t-0.${topicId}`
  expect(await harness.fileSystem.list(directory)).not.toEqual([])
  const waiting = manager.fetch(
    {
      positions: [{ topicId, partition: 0, offset: 1, lastEpoch: -1 }],
      maxBytes: 100,
      waitMs: 1000,
      isolation: 'committed',
    },
    NEVER,
  )
  harness.metadata.remove('t')
  expect(await append(manager, topicId, ['c'])).toMatchObject({ code: 'topic-not-found' })
  await harness.clock.runFor(1000)
  expect(await waiting).toMatchObject([{ code: 'topic-not-found' }])
  // The delay begins anew with every start.
  await harness.clock.runFor(30_000)
  expect(await harness.fileSystem.list(directory)).not.toEqual([])
  harness.crash()
  manager = await harness.open()
  expect(manager.storage.find(topicId, 0)).toBeUndefined()
  await harness.clock.runFor(61_000)
  expect(await harness.fileSystem.list(directory)).toEqual([])
  expect(valuesOf(await readAll(manager, other))).toEqual(['b'])
})

test('a topic that the metadata merely do not mention keeps its data', async () => {
  const harness = new ReplicaHarness({ fileDeleteDelayMs: 10 })
  const topicId = harness.metadata.put('t')
  let manager = await harness.open()
  await append(manager, topicId, ['a'])
  await manager.close()
  const { image } = harness.metadata
  harness.metadata.image = { ...image, topics: new Map(), topicsById: new Map() }
  manager = await harness.open()
  await harness.clock.runFor(120_000)
  expect(manager.storage.find(topicId, 0)?.endOffset).toBe(1)
  await manager.close()
  harness.metadata.image = image
  manager = await harness.open()
  expect(valuesOf(await readAll(manager, topicId))).toEqual(['a'])
})

test('a higher leader epoch begins at the end of the log, and lower ones are stale', async () => {
  const harness = new ReplicaHarness()
  const topicId = harness.metadata.put('t')
  const manager = await harness.open()
  await append(manager, topicId, ['a'])
  harness.metadata.put('t', {}, 1, 5)
  await append(manager, topicId, ['b'])
  harness.metadata.put('t', {}, 1, 3)
  await append(manager, topicId, ['c'])
  expect(manager.offsets(topicId, 0).leaderEpoch).toBe(5)
  const epochs = manager.storage.find(topicId, 0)?.epochs
  expect(epochs?.starts).toEqual([
    { leaderEpoch: 0, startOffset: 0 },
    { leaderEpoch: 5, startOffset: 1 },
  ])
  expect(await manager.resolveOffset(topicId, 0, 'latest')).toEqual({ offset: 3, lastEpoch: 5 })
  expect(await manager.resolveOffset(topicId, 0, { last: 2 })).toEqual({ offset: 1, lastEpoch: 0 })
})

test('a reader that followed records which are gone is told where the histories part', async () => {
  const harness = new ReplicaHarness()
  const topicId = harness.metadata.put('t')
  const manager = await harness.open()
  for (const value of ['a', 'b', 'c']) await append(manager, topicId, [value])
  harness.metadata.put('t', {}, 1, 2)
  const at = (offset: number, lastEpoch: number) =>
    manager.fetch(
      {
        positions: [{ topicId, partition: 0, offset, lastEpoch }],
        maxBytes: 100,
        waitMs: 0,
        isolation: 'committed',
      },
      NEVER,
    )
  const tail = { code: 'offset-out-of-range', members: { tail: 3, leaderEpoch: 2 } }
  expect(await at(4, 0)).toMatchObject([tail])
  // Where it is told to go on it may, though nothing is written there yet.
  expect(await at(3, 2)).toMatchObject([])
  for (const value of ['d', 'e']) await append(manager, topicId, [value])
  expect(await at(3, 2)).toMatchObject([{ ok: true, nextOffset: 4 }])
  expect(await at(3, 0)).toMatchObject([{ ok: true, nextOffset: 4 }])
  expect(await at(4, 0)).toMatchObject([tail])
  expect(await at(4, 3)).toMatchObject([{ code: 'offset-out-of-range' }])
})

test('where histories part, a reader is told the epoch of the record that comes next there', async () => {
  const harness = new ReplicaHarness()
  const topicId = harness.metadata.put('t')
  const manager = await harness.open()
  await append(manager, topicId, ['a', 'b'])
  harness.metadata.put('t', {}, 1, 3)
  await append(manager, topicId, ['c'])
  harness.metadata.put('t', {}, 1, 6)
  const at = async (offset: number, lastEpoch: number) => {
    const positions = [{ topicId, partition: 0, offset, lastEpoch }]
    return await manager.fetch(
      { positions, maxBytes: 100, waitMs: 0, isolation: 'committed' },
      NEVER,
    )
  }
  // No place behind it may seem to lie before it.
  expect(await at(9, 0)).toMatchObject([{ members: { tail: 2, leaderEpoch: 3 } }])
  expect(await at(9, 3)).toMatchObject([{ members: { tail: 3, leaderEpoch: 6 } }])
  expect(await at(9, -1)).toMatchObject([{ members: { tail: 3, leaderEpoch: 6 } }])
})

test('a reader of records that were lost is told so, also when the node was killed before it wrote others', async () => {
  const harness = new ReplicaHarness({ checkpointIntervalMs: 1000 })
  const topicId = harness.metadata.put('t', { flush: 'os' })
  let manager = await harness.open()
  await append(manager, topicId, ['a', 'b', 'c', 'd'])
  harness.crash()
  manager = await harness.open()
  const end = manager.storage.find(topicId, 0)?.endOffset ?? 0
  expect(end).toBeLessThan(4)
  await harness.clock.runFor(5_000)
  harness.kill()
  manager = await harness.open()
  await append(manager, topicId, ['v', 'w', 'x', 'y', 'z'])
  const positions = [{ topicId, partition: 0, offset: 4, lastEpoch: 0 }]
  const reading = { positions, maxBytes: 1_000, waitMs: 0, isolation: 'committed' } as const
  expect(await manager.fetch(reading, NEVER)).toMatchObject([
    { code: 'offset-out-of-range', members: { tail: end } },
  ])
  await manager.close()
})

test('flush to the operating system: durable when written, and changeable both ways', async () => {
  const harness = new ReplicaHarness()
  const topicId = harness.metadata.put('t', { flush: 'os', segmentBytes: 4096 })
  let manager = await harness.open()
  const values: string[] = []
  const fill = async () => {
    for (let i = 0; i < 20; i++) {
      const value = `${values.length}:${'x'.repeat(200)}`
      values.push(value)
      expect(await append(manager, topicId, [value])).toMatchObject({ ok: true })
    }
  }
  await fill()
  expect(manager.storage.journalBytes).toBeLessThan(20 * 4096)
  harness.kill()
  manager = await harness.open()
  expect(valuesOf(await readAll(manager, topicId))).toEqual(values)
  // Records may have been lost, as far as the node can know: a new epoch says so.
  expect(manager.offsets(topicId, 0).leaderEpoch).toBe(1)
  harness.metadata.put('t', { flush: 'commit' })
  await fill()
  harness.crash()
  manager = await harness.open()
  expect(valuesOf(await readAll(manager, topicId))).toEqual(values)
  harness.metadata.put('t', { flush: 'os' })
  await fill()
  harness.kill()
  manager = await harness.open()
  expect(valuesOf(await readAll(manager, topicId))).toEqual(values)
})

test('a full disk refuses records that flush to the operating system, whole', async () => {
  const harness = new ReplicaHarness()
  const topicId = harness.metadata.put('t', { flush: 'os' })
  const manager = await harness.open()
  await append(manager, topicId, ['before'])
  harness.fileSystem.quotaBytes = harness.fileSystem.usedBytes + 700
  const refused = append(manager, topicId, ['x'.repeat(2000)])
  expect(await refused).toMatchObject({ code: 'disk-full', committed: 'no' })
  harness.fileSystem.quotaBytes = Number.POSITIVE_INFINITY
  await harness.clock.runFor(1000)
  expect(await append(manager, topicId, ['after'])).toMatchObject({ ok: true, baseOffset: 1 })
  await manager.close()
  const again = await harness.open()
  expect(valuesOf(await readAll(again, topicId))).toEqual(['before', 'after'])
})

test('closing refuses new work, ends the waits and leaves nothing behind', async () => {
  const harness = new ReplicaHarness()
  const topicId = harness.metadata.put('t')
  const manager = await harness.open()
  const waiting = manager.fetch(
    {
      positions: [{ topicId, partition: 0, offset: 0, lastEpoch: -1 }],
      maxBytes: 100,
      waitMs: 60_000,
      isolation: 'committed',
    },
    NEVER,
  )
  const admitted = append(manager, topicId, ['a'])
  const closing = manager.close()
  await waiting.catch((error: unknown) => expect(error).toMatchObject({ code: 'draining' }))
  expect(await admitted).toMatchObject({ ok: true })
  expect(await append(manager, topicId, ['b'])).toMatchObject({ code: 'draining', committed: 'no' })
  await closing
  expect(await fetchOnce(manager, topicId, 0).catch((error: unknown) => error)).toMatchObject({
    code: 'draining',
  })
  const again = await harness.open()
  expect(valuesOf(await readAll(again, topicId))).toEqual(['a'])
})

test('a second process is kept out, and a foreign, missing or newer folder refused', async () => {
  const harness = new ReplicaHarness()
  const manager = await harness.open()
  await expect(harness.open()).rejects.toThrow(/another process uses/)
  await manager.close()
  const foreign = new ReplicaHarness({ nodeId: 2 })
  foreign.fileSystem = harness.fileSystem
  await expect(foreign.open()).rejects.toThrow(/belongs to node 1/)
  const other = new ReplicaHarness({ clusterId: 'other' })
  other.fileSystem = harness.fileSystem
  await expect(other.open()).rejects.toThrow(/belongs to cluster test-cluster/)
  await harness.fileSystem.remove(`${DATA}/node.json`)
  await expect(harness.open()).rejects.toThrow(/no node.json/)
  const empty = new ReplicaHarness({ mustExist: true })
  await expect(empty.open()).rejects.toThrow(/is its disk mounted/)
})

test('a full disk does not keep a node from stopping', async () => {
  const harness = new ReplicaHarness()
  const topicId = harness.metadata.put('t')
  let manager = await harness.open()
  harness.fileSystem.fault = ({ kind, path }) =>
    kind === 'write' && !path.includes('/journal/') ? 'ENOSPC' : undefined
  await append(manager, topicId, ['a'])
  await manager.close()
  harness.fileSystem.fault = () => undefined
  manager = await harness.open()
  expect(valuesOf(await readAll(manager, topicId))).toEqual(['a'])
})

test('a node that stops with a full disk, amid a checkpoint, loses nothing', async () => {
  const harness = new ReplicaHarness()
  const topicId = harness.metadata.put('t')
  let manager = await harness.open()
  harness.fileSystem.fault = ({ kind, path }) =>
    kind === 'write' && path.endsWith('.log') ? 'ENOSPC' : undefined
  await append(manager, topicId, ['a'])
  const checkpoint = manager.storage.checkpoints.run(false)
  const refused = expect(checkpoint).rejects.toThrow()
  await manager.close()
  await refused
  harness.fileSystem.fault = () => undefined
  manager = await harness.open()
  expect(valuesOf(await readAll(manager, topicId))).toEqual(['a'])
})

test('a disk that takes no index keeps nobody from reading', async () => {
  const harness = new ReplicaHarness({ memoryBytes: 0 })
  const topicId = harness.metadata.put('t', { segmentBytes: 20_000 })
  let manager = await harness.open()
  for (let i = 0; i < 100; i++) await append(manager, topicId, [`${i}:${'x'.repeat(500)}`])
  await manager.close()
  const directory = `${DATA}/logs/t-0.${topicId}`
  for (const name of await harness.fileSystem.list(directory)) {
    if (name.endsWith('index')) await harness.fileSystem.remove(`${directory}/${name}`)
  }
  harness.fileSystem.fault = ({ kind, path }) =>
    kind === 'write' && path.endsWith('index') ? 'EIO' : undefined
  manager = await harness.open()
  expect(await readAll(manager, topicId)).toHaveLength(100)
  expect(harness.fatal).toEqual([])
})

test('a damaged segment is looked through once, not for every reader, and costs only its own part', async () => {
  const harness = new ReplicaHarness({ memoryBytes: 0 })
  const topicId = harness.metadata.put('t', { segmentBytes: 20_000 })
  let manager = await harness.open()
  for (let i = 0; i < 100; i++) await append(manager, topicId, [`${i}:${'x'.repeat(500)}`])
  await manager.close()
  harness.fileSystem.flipBit(`${DATA}/logs/t-0.${topicId}/${'0'.padStart(20, '0')}.log`, 9000, 0)
  manager = await harness.open()
  expect(await readAll(manager, topicId, 40)).toHaveLength(60)
  expect(await fetchOnce(manager, topicId, 15)).toMatchObject({ code: 'partition-damaged' })
  harness.fileSystem.traced = true
  for (let i = 0; i < 20; i++) {
    expect(await fetchOnce(manager, topicId, 15)).toMatchObject({ code: 'partition-damaged' })
  }
  expect(harness.fileSystem.trace.filter(({ kind }) => kind === 'read').length).toBeLessThan(25)
  expect(await append(manager, topicId, ['more'])).toMatchObject({ ok: true })
})
