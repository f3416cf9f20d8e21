import { expect, test, vi } from 'vitest'
import type { TopicConfig } from '../../src/core/topic.ts'
import { append, DATA, fetchOnce, ReplicaHarness, readAll } from '../replication/replica-harness.ts'

const HOUR_MS = 3_600_000

async function node(config: Partial<TopicConfig>, records: number) {
  const harness = new ReplicaHarness({ fileDeleteDelayMs: 60_000, retentionIntervalMs: 60_000 })
  const topicId = harness.metadata.put('t', { segmentBytes: 1000, ...config })
  const manager = await harness.open()
  for (let i = 0; i < records; i++) {
    const timestampMs = harness.clock.nowMs()
    await append(manager, topicId, [`${i}:${'x'.repeat(180)}`], { timestampMs })
  }
  const log = manager.storage.find(topicId, 0)
  if (log === undefined) throw new Error('the log is there')
  return { harness, topicId, manager, log }
}

test('too many bytes go segment by segment, files later than offsets', async () => {
  const { harness, topicId, manager, log } = await node(
    { retentionBytes: 2500, retentionMs: -1 },
    40,
  )
  const directory = `${DATA}/logs/t-0.${topicId}`
  await harness.clock.runFor(61_000)
  expect(log.sizeBytes).toBeGreaterThanOrEqual(2500)
  expect(log.sizeBytes).toBeLessThan(2500 + 1000)
  expect(log.segments[0]?.baseOffset).toBe(log.startOffset)
  expect(await fetchOnce(manager, topicId, 0)).toMatchObject({
    code: 'cursor-expired',
    members: { earliest: log.startOffset },
  })
  expect(await readAll(manager, topicId, log.startOffset)).toHaveLength(40 - log.startOffset)
  const firstFile = `${'0'.padStart(20, '0')}.log`
  expect(await harness.fileSystem.list(directory)).toContain(firstFile)
  await harness.clock.runFor(61_000)
  expect(await harness.fileSystem.list(directory)).not.toContain(firstFile)
})

test('too old segments go, also the active one of an idle log', async () => {
  const { harness, log } = await node({ retentionMs: HOUR_MS }, 40)
  await harness.clock.runFor(HOUR_MS - 60_000)
  expect(log.startOffset).toBe(0)
  await harness.clock.runFor(10 * 60_000)
  expect(log.startOffset).toBe(40)
  expect(log.sizeBytes).toBe(0)
})

test('a record of the future keeps its segment, but not for ever', async () => {
  const config = { retentionMs: HOUR_MS, segmentBytes: 100_000 }
  const { harness, topicId, manager, log } = await node(config, 5)
  await append(manager, topicId, ['future'], { timestampMs: harness.clock.nowMs() + 3 * HOUR_MS })
  await harness.clock.runFor(2 * HOUR_MS)
  expect(log.startOffset).toBe(0)
  await harness.clock.runFor(3 * HOUR_MS)
  expect(log.startOffset).toBe(6)
})

test('a wall clock that jumps removes nothing', async () => {
  const { harness, log } = await node({ retentionMs: HOUR_MS }, 40)
  harness.clock.jumpWallClock(365 * 24 * HOUR_MS)
  await harness.clock.runFor(10 * 60_000)
  expect(log.startOffset).toBe(0)
  harness.clock.jumpWallClock(-365 * 24 * HOUR_MS)
  await harness.clock.runFor(10 * 60_000)
  expect(log.startOffset).toBe(0)
  await harness.clock.runFor(2 * HOUR_MS)
  expect(log.startOffset).toBe(40)
})

test('a segment is closed for its age when the next record comes', async () => {
  const { harness, topicId, manager, log } = await node({ segmentMs: HOUR_MS, retentionMs: -1 }, 2)
  await harness.clock.runFor(HOUR_MS / 2)
  await append(manager, topicId, ['same'])
  expect(log.segments).toHaveLength(1)
  await harness.clock.runFor(HOUR_MS)
  await append(manager, topicId, ['next'])
  expect(log.segments).toHaveLength(2)
})

test('deleted records stay deleted after a power failure, as soon as that was said', async () => {
  const { harness, topicId, manager } = await node({ retentionMs: -1 }, 30)
  expect(await manager.deleteRecords(topicId, 0, 17)).toEqual({ logStartOffset: 17 })
  expect(await manager.deleteRecords(topicId, 0, 3)).toEqual({ logStartOffset: 17 })
  harness.crash()
  const again = await harness.open()
  expect(again.offsets(topicId, 0).logStartOffset).toBe(17)
  const records = await readAll(again, topicId, 17)
  expect(records.map(({ offset }) => offset)).toEqual(Array.from({ length: 13 }, (_, i) => 17 + i))
})

test('nobody is told that records are deleted before that is durable', async () => {
  const { harness, topicId, manager } = await node({ retentionMs: -1 }, 30)
  harness.fileSystem.fault = ({ kind }) => (kind === 'durable-write' ? 'crash' : undefined)
  const told = vi.fn()
  void manager.deleteRecords(topicId, 0, 17).then(told)
  await harness.fileSystem.ended
  await harness.clock.runFor(1_000)
  expect(told).not.toHaveBeenCalled()
})
