import { expect, test } from 'vitest'
import { ReplicaHarness } from '../replication/replica-harness.ts'
import type { Entry } from '../storage/compacted-topic.ts'
import { CompactedTopic } from '../storage/compacted-topic.ts'
import { KeyedModel } from './keyed-model.ts'
import type { Fault } from './sim-file-system.ts'

const CONFIG = { segmentBytes: 4096, deleteRetentionMs: 1_000 }

/** Writes, compacts, purges and joins segments, with checkpoints in between. */
async function live(topic: CompactedTopic, model: KeyedModel): Promise<void> {
  const { clock } = topic.harness
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 8; i++) {
      const n = round * 8 + i
      const entries: Entry[] = [
        [`${n % 5}`, `${n}.${'x'.repeat(300)}`],
        [`t${n % 3}`, n % 2 === 0 ? null : `${n}`],
      ]
      const timestampMs = clock.nowMs()
      model.written(await topic.append(...entries), entries, timestampMs)
    }
    await topic.close()
    await topic.compact()
    await clock.runFor(3_000)
  }
  await topic.run(topic.manager.close())
}

async function run(target: number, losesPower: boolean): Promise<number> {
  const harness = new ReplicaHarness({ memoryBytes: 0, fileDeleteDelayMs: 100 }, target + 1)
  const model = new KeyedModel()
  let count = 0
  let where = 'at the end'
  const topic = await CompactedTopic.open(harness, CONFIG)
  const { fileSystem } = harness
  fileSystem.fault = (operation): Fault | undefined => {
    if (count++ !== target) return undefined
    where = JSON.stringify(operation)
    return 'crash'
  }
  await Promise.race([live(topic, model).catch(() => undefined), fileSystem.ended])
  await topic.reopen(() => (losesPower ? harness.crash() : harness.kill()))
  expect(topic.log.damage, where).toBeUndefined()
  const check = async () => {
    const found = await topic.read()
    // What was sent last may be there, though nobody was told so.
    model.check(
      found.filter(({ offset }) => offset < model.end),
      topic.log.startOffset,
    )
    expect(topic.log.endOffset, where).toBeGreaterThanOrEqual(model.end)
    expect(topic.log.endOffset, where).toBeLessThanOrEqual(model.end + 2)
  }
  // A record that nobody was told of may have taken the place of another.
  if (topic.log.endOffset === model.end) await check()
  await topic.close()
  await topic.compact()
  if (topic.log.endOffset === model.end) await check()
  await harness.clock.run(topic.manager.storage.checkpoints.run(false))
  await topic.reopen(() => harness.crash())
  expect(topic.log.damage, where).toBeUndefined()
  if (topic.log.endOffset === model.end) await check()
  const names = await harness.fileSystem.list(topic.log.directory)
  const logs = names.filter((name) => !name.endsWith('index'))
  const written = topic.log.segments.filter(({ sizeBytes }) => sizeBytes > 0)
  expect(logs.length, `${where}: ${logs}`).toBe(written.length)
  expect(harness.fatal).toEqual([])
  return count
}

test.each([
  ['power fails', true],
  ['the process is killed', false],
] as const)(
  'a log is as it was or compacted, and never anything between, when %s at any operation of the disk',
  async (_, losesPower) => {
    const operations = await run(Number.POSITIVE_INFINITY, losesPower)
    expect(operations).toBeGreaterThan(150)
    for (let target = 0; target < operations; target++) await run(target, losesPower)
  },
)
