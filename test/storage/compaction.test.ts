import { describe, expect, test } from 'vitest'
import { batchBaseOffset, batchLastOffset, checkBatch } from '../../src/core/record-batch.ts'
import { fetchOnce, ReplicaHarness } from '../replication/replica-harness.ts'
import type { Entry } from './compacted-topic.ts'
import { CompactedTopic, latest } from './compacted-topic.ts'

const offsetsOf = (records: readonly { offset: number }[]) => records.map(({ offset }) => offset)

/** Nothing is read from memory, which is not compacted. */
function harness(options: ConstructorParameters<typeof ReplicaHarness>[0] = {}): ReplicaHarness {
  return new ReplicaHarness({ memoryBytes: 0, ...options })
}

async function logFiles(topic: CompactedTopic): Promise<string[]> {
  const names = await topic.harness.fileSystem.list(topic.log.directory)
  return names.filter((name) => !name.endsWith('index'))
}

describe('a compacted log', () => {
  test('keeps the last record of each key, where it was and as it was', async () => {
    const topic = await CompactedTopic.open(harness())
    await topic.append(['a', '1'], ['b', '1'])
    await topic.append(['a', '2'])
    await topic.append(['c', '1'], ['b', '2'], ['c', '2'])
    const before = await topic.read()
    await topic.close()
    await topic.compact()
    const after = await topic.read()
    expect(offsetsOf(after)).toEqual([2, 4, 5])
    expect(after).toEqual(before.filter(({ offset }) => [2, 4, 5].includes(offset)))
    expect(topic.log.compacted.endOffset).toBe(6)
  })

  test('is whole: every offset is in a valid batch, and reads go on over what is gone', async () => {
    const topic = await CompactedTopic.open(harness())
    for (let i = 0; i < 20; i++) await topic.append(['a', `${i}`])
    await topic.append(['b', '1'])
    await topic.close()
    await topic.compact()
    const result = await fetchOnce(topic.manager, topic.id, 7, 1)
    expect(result).toMatchObject({ ok: true, nextOffset: 19 })
    let next = 0
    for (let offset = 0; offset < 21; offset = next) {
      const read = await fetchOnce(topic.manager, topic.id, offset, 1)
      if (read?.ok !== true) throw new Error('nothing was read')
      for (const batch of read.batches) {
        expect(checkBatch(batch, 0, batch.length)).toBe('valid')
        expect(batchBaseOffset(batch)).toBe(next)
        next = batchLastOffset(batch) + 1
      }
    }
    expect(offsetsOf(await topic.read())).toEqual([19, 20])
  })

  test('is not read from memory as it was', async () => {
    const topic = await CompactedTopic.open(harness({ memoryBytes: 1_000_000 }))
    await topic.append(['a', '1'], ['a', '2'])
    await topic.close()
    await topic.append(['b', '1'])
    await topic.compact()
    expect(offsetsOf(await topic.read())).toEqual([1, 2])
  })

  test('does not touch the active segment', async () => {
    const topic = await CompactedTopic.open(harness())
    await topic.append(['a', '1'], ['a', '2'])
    await topic.harness.clock.run(topic.manager.storage.checkpoints.run(false))
    await topic.compact()
    expect(offsetsOf(await topic.read())).toEqual([0, 1])
    await topic.close()
    await topic.append(['a', '3'])
    await topic.compact()
    expect(offsetsOf(await topic.read())).toEqual([1, 2])
  })

  test('does not touch what is not committed', async () => {
    const topic = await CompactedTopic.open(harness())
    await topic.append(['a', '1'], ['a', '2'])
    await topic.close()
    // As on a follower that has not heard yet how far its leader has committed.
    Object.defineProperty(topic.log, 'highWatermark', { value: 1, configurable: true })
    await topic.compact()
    expect(topic.log.compacted.endOffset).toBe(0)
    Reflect.deleteProperty(topic.log, 'highWatermark')
    await topic.compact()
    expect(topic.log.compacted.endOffset).toBe(2)
  })

  test('waits until a checkpoint has all of the segments', async () => {
    const topic = await CompactedTopic.open(harness())
    await topic.append(['a', '1'], ['a', '2'])
    topic.manager.storage.appender.roll(topic.log)
    await topic.append(['b', '1'])
    await topic.run(topic.manager.storage.write(topic.log))
    await topic.compact()
    expect(topic.log.compacted.endOffset).toBe(0)
    await topic.harness.clock.run(topic.manager.storage.checkpoints.run(false))
    await topic.compact()
    expect(topic.log.compacted.endOffset).toBe(2)
  })

  test('begins when enough of it is new', async () => {
    const topic = await CompactedTopic.open(harness(), { minCleanableDirtyRatio: 0.5 })
    for (let i = 0; i < 10; i++) await topic.append([`${i}`, 'x'.repeat(100)])
    await topic.close()
    await topic.compact()
    expect(topic.log.compacted.endOffset).toBe(10)
    for (let i = 0; i < 5; i++) await topic.append([`${i}`, 'x'.repeat(100)])
    await topic.close()
    await topic.compact()
    expect(topic.manager.storage.compactor.dirtyRatio(topic.log)).toBeCloseTo(1 / 3, 1)
    expect(topic.log.compacted.endOffset).toBe(10)
    for (let i = 0; i < 6; i++) await topic.append([`${i}`, 'x'.repeat(100)])
    await topic.close()
    await topic.compact()
    expect(topic.log.compacted.endOffset).toBe(21)
    expect(topic.manager.storage.compactor.dirtyRatio(topic.log)).toBe(0)
  })

  test('begins at the latest after the lag that the topic allows', async () => {
    const config = { minCleanableDirtyRatio: 1, maxCompactionLagMs: 60_000 }
    const topic = await CompactedTopic.open(harness(), config)
    await topic.append(['a', '1'])
    await topic.close()
    await topic.compact()
    expect(topic.log.compacted.endOffset).toBe(1)
    await topic.append(['a', '2'])
    // Nobody closes the segment but the log itself.
    await topic.harness.clock.runFor(50_000)
    expect(topic.log.compacted.endOffset).toBe(1)
    await topic.harness.clock.runFor(120_000)
    expect(topic.log.compacted.endOffset).toBe(2)
    expect(offsetsOf(await topic.read())).toEqual([1])
  })

  test('leaves records alone that are younger than the topic wants', async () => {
    const topic = await CompactedTopic.open(harness(), { minCompactionLagMs: 60_000 })
    await topic.append(['a', '1'])
    await topic.append(['a', '2'])
    await topic.close()
    await topic.harness.clock.runFor(50_000)
    expect(offsetsOf(await topic.read())).toEqual([0, 1])
    await topic.harness.clock.runFor(20_000)
    expect(offsetsOf(await topic.read())).toEqual([1])
  })

  test('drops records without a key that were there before', async () => {
    const topic = await CompactedTopic.open(harness(), { cleanup: 'delete' })
    await topic.append([null, 'old'], ['', 'empty'], ['a', '1'])
    await topic.close()
    await topic.compact()
    expect(offsetsOf(await topic.read())).toEqual([0, 1, 2])
    topic.harness.metadata.put('compacted', { cleanup: 'compact' })
    await topic.compact()
    expect(offsetsOf(await topic.read())).toEqual([1, 2])
  })

  test('takes more passes when there are more keys than it can remember', async () => {
    const topic = await CompactedTopic.open(harness({ compactionKeyBytes: 8 * 24 }))
    const entries = Array.from({ length: 40 }, (_, i): Entry => [`${i % 20}`, `${i}`])
    await topic.append(...entries.slice(0, 30))
    await topic.append(...entries.slice(30))
    await topic.close()
    const ends: number[] = []
    for (let pass = 0; topic.log.compacted.endOffset < 40; pass++) {
      expect(pass).toBeLessThan(20)
      await topic.compact()
      ends.push(topic.log.compacted.endOffset)
      expect(latest(await topic.read()).size).toBe(20)
    }
    expect(ends.length).toBeGreaterThan(3)
    expect(offsetsOf(await topic.read())).toEqual(Array.from({ length: 20 }, (_, i) => 20 + i))
  })

  test('joins small segments, and removes the files that they were in', async () => {
    const topic = await CompactedTopic.open(harness({ fileDeleteDelayMs: 100 }))
    for (let i = 0; i < 4; i++) {
      await topic.append(['a', `${i}`], [`${i}`, 'x'])
      await topic.close()
    }
    expect(topic.log.segments).toHaveLength(5)
    await topic.compact()
    expect(topic.log.segments.map(({ baseOffset }) => baseOffset)).toEqual([0, 8])
    // Until a checkpoint says otherwise, a restart would need the old ones.
    await topic.harness.clock.runFor(200)
    expect(await logFiles(topic)).toHaveLength(5)
    await topic.harness.clock.run(topic.manager.storage.checkpoints.run(false))
    await topic.harness.clock.runFor(200)
    expect(await logFiles(topic)).toEqual(['00000000000000000000.1.log'])
    expect(offsetsOf(await topic.read())).toEqual([1, 3, 5, 6, 7])
  })

  test('that began anew is not mistaken for what it was, whose files are still there', async () => {
    const topic = await CompactedTopic.open(harness())
    await topic.append(['a', '1'], ['a', '2'])
    await topic.close()
    await topic.compact()
    expect(offsetsOf(await topic.read())).toEqual([1])
    await topic.run(topic.manager.storage.restart(topic.log, 0))
    await topic.append(['b', '1'], ['c', '1'], ['b', '2'], ['d', '1'])
    await topic.close()
    await topic.compact()
    expect(offsetsOf(await topic.read())).toEqual([1, 2, 3])
  })

  test('does not write segments anew of which nothing goes', async () => {
    const topic = await CompactedTopic.open(harness(), { segmentBytes: 16 * 1024 })
    for (let i = 0; i < 2; i++) {
      for (let j = 0; j < 10; j++) await topic.append([`${i}.${j}`, 'x'.repeat(1_000)])
      await topic.close()
    }
    await topic.compact()
    expect(topic.log.compacted.endOffset).toBe(20)
    expect(topic.log.segments.map(({ version }) => version)).toEqual([0, 0, 0])
    await topic.append(['1.3', 'y'])
    await topic.close()
    await topic.compact()
    expect(topic.log.segments.map(({ version }) => version)).toEqual([0, 1, 0])
  })

  test('is as it was after a restart, and as it is after a checkpoint', async () => {
    const topic = await CompactedTopic.open(harness())
    await topic.append(['a', '1'], ['a', '2'])
    await topic.close()
    await topic.compact()
    await topic.reopen(() => topic.harness.crash())
    expect(offsetsOf(await topic.read())).toEqual([0, 1])
    expect(topic.log.compacted.endOffset).toBe(0)
    expect(await logFiles(topic)).toEqual(['00000000000000000000.log'])
    await topic.compact()
    await topic.harness.clock.run(topic.manager.storage.checkpoints.run(false))
    await topic.reopen(() => topic.harness.crash())
    expect(offsetsOf(await topic.read())).toEqual([1])
    expect(topic.log.compacted.endOffset).toBe(2)
    expect(topic.log.damage).toBeUndefined()
    expect(await logFiles(topic)).toEqual(['00000000000000000000.1.log'])
    expect(await topic.append(['b', '1'])).toBe(2)
  })

  test('finds records by time where others are gone', async () => {
    const topic = await CompactedTopic.open(harness())
    const times: number[] = []
    for (const key of ['a', 'b', 'a', 'c', 'b', 'd']) {
      times.push(topic.harness.clock.nowMs())
      await topic.append([key, 'x'.repeat(3_000)])
      await topic.harness.clock.runFor(1_000)
    }
    await topic.close()
    await topic.compact()
    expect(offsetsOf(await topic.read())).toEqual([2, 3, 4, 5])
    const found: number[] = []
    for (const timeMs of times) {
      const { manager, id, harness: world } = topic
      found.push((await world.clock.run(manager.resolveOffset(id, 0, { timeMs }))).offset)
    }
    expect(found).toEqual([2, 2, 2, 3, 4, 5])
  })
})

describe('tombstones', () => {
  test('stay for as long as the topic says after the first pass that sees them', async () => {
    const topic = await CompactedTopic.open(harness(), { deleteRetentionMs: 100_000 })
    await topic.append(['a', '1'], ['b', '1'])
    await topic.append(['a', null])
    await topic.harness.clock.runFor(200_000)
    const before = await topic.read()
    await topic.close()
    await topic.compact()
    expect(await topic.read()).toEqual(before.filter(({ offset }) => offset > 0))
    const horizonMs = topic.harness.clock.nowMs() + 100_000
    expect(topic.log.compacted).toEqual({ endOffset: 3, purgedEnd: 0, horizonMs })
    await topic.harness.clock.runFor(90_000)
    expect(offsetsOf(await topic.read())).toEqual([1, 2])
    await topic.harness.clock.runFor(20_000)
    expect(offsetsOf(await topic.read())).toEqual([1])
    expect(topic.log.compacted).toEqual({ endOffset: 3, purgedEnd: 3, horizonMs: -1 })
  })

  test('are not waited for anew when others come', async () => {
    const topic = await CompactedTopic.open(harness(), { deleteRetentionMs: 100_000 })
    await topic.append(['a', null])
    await topic.close()
    await topic.compact()
    await topic.harness.clock.runFor(60_000)
    await topic.append(['b', null])
    await topic.close()
    await topic.compact()
    expect(offsetsOf(await topic.read())).toEqual([0, 1])
    await topic.harness.clock.runFor(60_000)
    await topic.append(['c', 'new'])
    await topic.close()
    await topic.compact()
    expect(offsetsOf(await topic.read())).toEqual([1, 2])
  })

  test('give way to a later record of their key like any other', async () => {
    const topic = await CompactedTopic.open(harness())
    await topic.append(['a', null], ['a', '2'])
    await topic.close()
    await topic.compact()
    expect(await topic.read()).toMatchObject([{ offset: 1, value: '2' }])
    expect(topic.log.compacted.purgedEnd).toBe(0)
  })
})

describe('what happens to a log meanwhile', () => {
  async function during(
    config: object,
    meanwhile: (topic: CompactedTopic) => Promise<unknown>,
  ): Promise<CompactedTopic> {
    const topic = await CompactedTopic.open(harness({ compactionBytesPerSecond: 1_000 }), config)
    for (let i = 0; i < 30; i++) await topic.append([`${i % 3}`, 'x'.repeat(200)])
    await topic.close()
    await topic.append(['last', '1'])
    const compacting = topic.manager.storage.compactor.run()
    await topic.harness.clock.runFor(1)
    await topic.harness.clock.run(meanwhile(topic).then(() => undefined))
    await topic.harness.clock.run(compacting)
    expect(topic.harness.fatal).toEqual([])
    return topic
  }

  test('deleting its records', async () => {
    const topic = await during({}, async ({ manager, id }) => manager.deleteRecords(id, 0, 29))
    expect(topic.log.startOffset).toBe(29)
    await topic.compact()
    expect(offsetsOf(await topic.read())).toEqual([29, 30])
  })

  test('deleting all of what is compacted', async () => {
    const topic = await during({}, async ({ manager, id }) => manager.deleteRecords(id, 0, 30))
    await topic.harness.clock.runFor(60_000)
    expect(offsetsOf(await topic.read())).toEqual([30])
    expect(await logFiles(topic)).toEqual(['00000000000000000030.log'])
  })

  test('cutting it', async () => {
    const topic = await during({}, async ({ manager, log }) => manager.storage.truncate(log, 10))
    expect(topic.log.endOffset).toBe(10)
    expect(topic.log.compacted.endOffset).toBe(0)
    expect(offsetsOf(await topic.read(0))).toHaveLength(10)
    expect((await logFiles(topic)).filter((name) => name.includes('.1.'))).toEqual([])
  })

  test('deleting it', async () => {
    const topic = await CompactedTopic.open(harness({ compactionBytesPerSecond: 1_000 }))
    for (let i = 0; i < 30; i++) await topic.append(['a', 'x'.repeat(200)])
    await topic.close()
    const { directory } = topic.log
    const compacting = topic.manager.storage.compactor.run()
    await topic.harness.clock.runFor(1)
    topic.harness.metadata.remove('compacted')
    await topic.harness.clock.run(compacting)
    await topic.harness.clock.runFor(60_000)
    expect(await topic.harness.fileSystem.list(directory)).toEqual([])
    expect(topic.harness.fatal).toEqual([])
  })

  test('stopping the node, which does not wait for it', async () => {
    const topic = await CompactedTopic.open(harness({ compactionBytesPerSecond: 1 }))
    for (let i = 0; i < 30; i++) await topic.append(['a', 'x'.repeat(200)])
    await topic.close()
    const { directory } = topic.log
    const compacting = topic.manager.storage.compactor.run()
    await topic.harness.clock.runFor(1)
    const startedMs = topic.harness.clock.monotonicMs()
    await topic.harness.clock.run(topic.manager.close())
    await compacting
    expect(topic.harness.clock.monotonicMs() - startedMs).toBeLessThan(1_000)
    const names = await topic.harness.fileSystem.list(directory)
    expect(names.filter((name) => !name.endsWith('index'))).toEqual(['00000000000000000000.log'])
  })
})

describe('where it cannot be', () => {
  test('damage is left to be found, and repaired', async () => {
    const topic = await CompactedTopic.open(harness())
    await topic.append(['a', 'x'.repeat(500)])
    await topic.append(['a', 'y'.repeat(500)])
    await topic.close()
    const path = `${topic.log.directory}/00000000000000000000.log`
    const file = await topic.harness.fileSystem.open(path, 'create')
    await file.writeAt([Buffer.from('!')], 300)
    await file.close()
    await topic.compact()
    await topic.compact()
    expect(topic.log.compacted.endOffset).toBe(0)
    expect(await logFiles(topic)).toEqual(['00000000000000000000.log'])
    await expect(topic.read()).rejects.toThrow('partition-damaged')
  })

  test('a full disk is not made fuller', async () => {
    const topic = await CompactedTopic.open(harness())
    for (let i = 0; i < 20; i++) await topic.append([`${i}`, 'x'.repeat(500)], ['a', `${i}`])
    await topic.close()
    const { fileSystem } = topic.harness
    fileSystem.quotaBytes = fileSystem.usedBytes + 5_000
    await topic.compact()
    expect(topic.log.compacted.endOffset).toBe(0)
    expect(topic.manager.storage.diskIsFull).toBe(false)
    expect(await logFiles(topic)).toEqual(['00000000000000000000.log'])
    fileSystem.quotaBytes = Number.POSITIVE_INFINITY
    await topic.compact()
    expect(topic.log.compacted.endOffset).toBe(40)
  })

  test.each(['write', 'sync', 'rename'] as const)(
    'a failed %s of what is new leaves the log as it is',
    async (kind) => {
      const topic = await CompactedTopic.open(harness())
      await topic.append(['a', '1'], ['a', '2'])
      await topic.close()
      topic.harness.fileSystem.fault = (operation) =>
        operation.kind === kind && operation.path.includes('.1.log') ? 'EIO' : undefined
      await topic.compact()
      expect(topic.harness.fatal).toEqual([])
      expect(offsetsOf(await topic.read())).toEqual([0, 1])
      topic.harness.fileSystem.fault = () => undefined
      await topic.compact()
      expect(offsetsOf(await topic.read())).toEqual([1])
    },
  )
})
