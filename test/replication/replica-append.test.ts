import { expect, test } from 'vitest'
import type { TopicId } from '../../src/core/ids.ts'
import { batchMaxTimestamp, checkBatch } from '../../src/core/record-batch.ts'
import {
  append,
  batchOf,
  fetchOnce,
  NEVER,
  ReplicaHarness,
  readAll,
  request,
  valuesOf,
} from './replica-harness.ts'

test('appends of one turn share one durable write, over all partitions', async () => {
  const harness = new ReplicaHarness()
  const topicId = harness.metadata.put('t', {}, 4)
  const manager = await harness.open()
  await append(manager, topicId, ['first'])
  harness.fileSystem.traced = true
  const answers = manager.append(
    Array.from({ length: 40 }, (_, i) => request(topicId, [`${i}`], { partition: i % 4 })),
    NEVER,
  )
  const results = await Promise.all(answers)
  expect(results.every((result) => result.ok)).toBe(true)
  const writes = harness.fileSystem.trace.filter(({ kind }) => kind === 'durable-write')
  expect(writes.length).toBeLessThanOrEqual(2)
})

test('acks 0 is answered before anything is durable', async () => {
  const harness = new ReplicaHarness()
  const topicId = harness.metadata.put('t')
  const manager = await harness.open()
  let settled = ''
  const [none, leader] = manager.append(
    [request(topicId, ['a'], { acks: 0 }), request(topicId, ['b'], { acks: 1 })],
    NEVER,
  )
  void none?.then(() => {
    settled += '0'
  })
  void leader?.then(() => {
    settled += '1'
  })
  await none
  expect(settled).toBe('0')
  expect(manager.offsets(topicId, 0).highWatermark).toBe(0)
  await leader
  expect(manager.offsets(topicId, 0).highWatermark).toBe(2)
})

test('a batch that is not whole is refused before it can be stored', async () => {
  const harness = new ReplicaHarness()
  const topicId = harness.metadata.put('t')
  const manager = await harness.open()
  const flipped = batchOf(['a'])
  flipped[65] = (flipped[65] as number) ^ 1
  const long = new Uint8Array([...batchOf(['a']), 0])
  for (const batch of [flipped, long, new Uint8Array(10), new Uint8Array(0)]) {
    const [answer] = manager.append([{ topicId, partition: 0, acks: -1, batch }], NEVER)
    expect(await answer).toMatchObject({ ok: false, committed: 'no' })
  }
  expect(manager.offsets(topicId, 0).logEndOffset).toBe(0)
})

test('a batch that no journal file could hold is refused', async () => {
  const harness = new ReplicaHarness()
  const topicId = harness.metadata.put('t')
  const manager = await harness.open()
  expect(await append(manager, topicId, ['x'.repeat(70_000)])).toMatchObject({
    code: 'body-too-large',
    committed: 'no',
  })
  expect(await append(manager, topicId, ['a'])).toMatchObject({ ok: true, baseOffset: 0 })
})

test('the leader stamps the time where the topic says so', async () => {
  const harness = new ReplicaHarness()
  const topicId = harness.metadata.put('t', { timestamps: 'append' })
  const manager = await harness.open()
  const nowMs = harness.clock.nowMs()
  expect(await append(manager, topicId, ['a'])).toEqual({
    ok: true,
    baseOffset: 0,
    appendTimeMs: nowMs,
  })
  const read = await fetchOnce(manager, topicId, 0)
  const batch = read?.ok === true ? read.batches[0] : undefined
  expect(batch && checkBatch(batch, 0, batch.length)).toBe('valid')
  expect(batch && batchMaxTimestamp(batch)).toBe(nowMs)
})

test('unknown topics and partitions are told apart, and neither is made', async () => {
  const harness = new ReplicaHarness()
  const topicId = harness.metadata.put('t')
  const manager = await harness.open()
  expect(await append(manager, topicId, ['a'], { partition: 1 })).toMatchObject({
    code: 'partition-not-found',
    committed: 'no',
  })
  expect(await append(manager, 'f'.repeat(32) as TopicId, ['a'])).toMatchObject({
    code: 'topic-not-found',
  })
  expect(() => manager.offsets(topicId, 7)).toThrow(/no partition 7/)
})

test('whoever stops waiting gets an open outcome; the append goes on', async () => {
  const harness = new ReplicaHarness()
  const topicId = harness.metadata.put('t')
  const manager = await harness.open()
  const controller = new AbortController()
  const [answer] = manager.append([request(topicId, ['a'])], controller.signal)
  controller.abort()
  expect(await answer).toMatchObject({ ok: false, code: 'outcome-unknown', committed: 'unknown' })
  await append(manager, topicId, ['b'])
  expect(valuesOf(await readAll(manager, topicId))).toEqual(['a', 'b'])
})

test('at the bound of unwritten bytes appends wait their turn, then are refused', async () => {
  const harness = new ReplicaHarness({ appendWaitMs: 1000 })
  const topicId = harness.metadata.put('t')
  const manager = await harness.open()
  // A disk that takes the journal but no segments.
  harness.fileSystem.fault = ({ kind, path }) =>
    kind === 'write' && path.endsWith('.log') ? 'ENOSPC' : undefined
  const value = 'x'.repeat(1000)
  const answers = Array.from(
    { length: 20 },
    () => manager.append([request(topicId, [value])], NEVER)[0],
  )
  await harness.clock.runFor(1500)
  const results = await Promise.all(answers)
  const refused = results.filter((result) => result?.ok === false)
  expect(refused.length).toBeGreaterThan(5)
  for (const result of refused) {
    expect(result).toMatchObject({ ok: false, committed: 'no' })
    expect(['overloaded', 'disk-full']).toContain(result?.ok === false && result.code)
  }
  harness.fileSystem.fault = () => undefined
  await harness.clock.runFor(1000)
  expect(await append(manager, topicId, ['after'])).toMatchObject({ ok: true })
  const stored = await readAll(manager, topicId)
  expect(stored).toHaveLength(results.length - refused.length + 1)
})

test('a full disk refuses records and takes them again when space returns', async () => {
  const harness = new ReplicaHarness()
  const topicId = harness.metadata.put('t')
  const manager = await harness.open()
  await append(manager, topicId, ['before'])
  harness.fileSystem.quotaBytes = harness.fileSystem.usedBytes
  const value = 'x'.repeat(3000)
  let refusal: unknown
  for (let i = 0; i < 200 && refusal === undefined; i++) {
    const [answer] = manager.append([request(topicId, [value])], NEVER)
    const result = await harness.clock.run(answer as NonNullable<typeof answer>)
    if (result.ok === false) refusal = result
  }
  expect(refusal).toMatchObject({ code: 'disk-full', committed: 'no' })
  expect(manager.storage.diskIsFull).toBe(true)
  const kept = await readAll(manager, topicId)
  harness.fileSystem.quotaBytes = Number.POSITIVE_INFINITY
  await harness.clock.runFor(2500)
  expect(await append(manager, topicId, ['after'])).toMatchObject({
    ok: true,
    baseOffset: kept.length,
  })
  harness.crash()
  const again = await harness.open()
  expect(valuesOf(await readAll(again, topicId))).toEqual([...valuesOf(kept), 'after'])
  expect(harness.fatal).toEqual([])
})

test('with little space left records are refused before the disk is full, and the ballast is given up', async () => {
  const harness = new ReplicaHarness({ ballastBytes: 50_000, minFreeBytes: 20_000 })
  const topicId = harness.metadata.put('t')
  const manager = await harness.open()
  const { fileSystem } = harness
  expect(await fileSystem.size('/data/ballast')).toBe(50_000)
  fileSystem.quotaBytes = fileSystem.usedBytes + 10_000
  await harness.clock.runFor(600)
  expect(await append(manager, topicId, ['a'])).toMatchObject({ code: 'disk-full' })
  expect(await fileSystem.size('/data/ballast')).toBeUndefined()
  fileSystem.quotaBytes = Number.POSITIVE_INFINITY
  await harness.clock.runFor(600)
  expect(await append(manager, topicId, ['a'])).toMatchObject({ ok: true })
  expect(await fileSystem.size('/data/ballast')).toBe(50_000)
})

test('batches larger than any buffer are written and read back, from memory and from disk', async () => {
  const big = 'x'.repeat(3 * 1024 * 1024)
  const harness = new ReplicaHarness({
    memoryBytes: 0,
    maxUnwrittenBytes: 64 * 1024 * 1024,
    maxJournalBytes: 256 * 1024 * 1024,
    journal: { fileBytes: 16 * 1024 * 1024 },
  })
  const topicId = harness.metadata.put('t')
  let manager = await harness.open()
  const values = ['small', big, 'small again', `${big}!`]
  for (const value of values) await append(manager, topicId, [value])
  expect(valuesOf(await readAll(manager, topicId))).toEqual(values)
  await manager.close()
  manager = await harness.open()
  expect(valuesOf(await readAll(manager, topicId))).toEqual(values)
  expect(valuesOf(await readAll(manager, topicId, 2))).toEqual(values.slice(2))
})

test('what comes in the very turn in which the journal refuses is not built on what it refused', async () => {
  let refused = 0
  let taken = 0
  for (let microtasks = 1; microtasks < 120; microtasks++) {
    const roomy = {
      maxUnwrittenBytes: 1_000_000,
      memoryBytes: 1_000_000,
      maxJournalBytes: 1_000_000,
    }
    const harness = new ReplicaHarness(roomy)
    const topicId = harness.metadata.put('t', {}, 2)
    const manager = await harness.open()
    // There is space for one more journal file, which takes some of the large ones.
    harness.fileSystem.quotaBytes = harness.fileSystem.usedBytes
    for (let i = 0; i < 11; i++) await append(manager, topicId, ['x'.repeat(3000)])
    const large = manager.append(
      Array.from({ length: 10 }, (_, i) =>
        request(topicId, ['y'.repeat(14_000)], { partition: i % 2 }),
      ),
      NEVER,
    )
    // What it captures now may be refused before it is written.
    if (microtasks % 2 === 0) manager.storage.checkpoints.request()
    for (let i = 0; i < microtasks; i++) await Promise.resolve()
    const small = manager.append(
      [0, 1].map((partition) => request(topicId, ['z'], { partition })),
      NEVER,
    )
    const results = await harness.clock.run(Promise.all([...large, ...small]))
    const kept = [0, 1].map((partition) => manager.offsets(topicId, partition).highWatermark)
    harness.fileSystem.quotaBytes = Number.POSITIVE_INFINITY
    await harness.clock.runFor(1500)
    harness.crash()
    const again = await harness.open()
    for (const partition of [0, 1]) {
      expect(again.storage.find(topicId, partition)?.damage, `after ${microtasks}`).toBeUndefined()
      expect(again.offsets(topicId, partition).highWatermark).toBe(kept[partition])
    }
    refused += results.filter((result) => !result.ok && result.code === 'disk-full').length
    taken += results.filter((result) => result.ok).length
    expect(results.filter((result) => !result.ok && result.code !== 'disk-full')).toEqual([])
  }
  expect([refused > 120, taken > 0]).toEqual([true, true])
})

test('before leaderships are handed over what was taken is answered, and nothing more is taken', async () => {
  const harness = new ReplicaHarness()
  const topicId = harness.metadata.put('t')
  const manager = await harness.open()
  const taken = append(manager, topicId, ['a'])
  let isSettled = false
  const settling = manager.settleAppends(NEVER).then(() => {
    isSettled = true
  })
  expect(await append(manager, topicId, ['b'])).toMatchObject({ code: 'draining', committed: 'no' })
  expect(isSettled).toBe(false)
  expect(await taken).toMatchObject({ ok: true, baseOffset: 0 })
  await settling
  expect(manager.offsets(topicId, 0).logEndOffset).toBe(1)
})

test('an append that does not commit holds up a handover no longer than it may', async () => {
  const harness = new ReplicaHarness()
  const topicId = harness.metadata.put('t')
  const manager = await harness.open()
  const late = new AbortController()
  const taken = append(manager, topicId, ['a'])
  const settling = manager.settleAppends(late.signal)
  late.abort()
  await settling
  expect(await taken).toMatchObject({ ok: true })
})
