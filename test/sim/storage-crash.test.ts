import { expect, test } from 'vitest'
import type { TopicId } from '../../src/core/ids.ts'
import type { ReplicaManager } from '../../src/replication/replica-manager.ts'
import { NEVER, ReplicaHarness, readAll, request } from '../replication/replica-harness.ts'
import { LogModel } from './log-model.ts'
import type { Fault, Operation } from './sim-file-system.ts'

/** A life with everything in it: appends, a roll, a checkpoint, deleted records, a deleted topic, a clean stop. */
async function live(harness: ReplicaHarness, models: Map<string, LogModel>): Promise<void> {
  const a = harness.metadata.put('a', { segmentBytes: 4096 })
  const b = harness.metadata.put('b', { segmentBytes: 4096 })
  models.set(a, new LogModel()).set(b, new LogModel())
  const manager = await harness.open()
  await fill(harness, manager, models, 12)
  manager.storage.checkpoints.request()
  await fill(harness, manager, models, 12)
  const model = models.get(a) as LogModel
  await manager.deleteRecords(a, 0, 9)
  model.raiseStart(9)
  await harness.clock.runFor(200)
  await fill(harness, manager, models, 6)
  harness.metadata.remove('b')
  models.delete(b)
  await harness.clock.runFor(200)
  await fill(harness, manager, models, 3)
  await manager.close()
}

async function fill(
  harness: ReplicaHarness,
  manager: ReplicaManager,
  models: Map<string, LogModel>,
  rounds: number,
): Promise<void> {
  const { fileSystem } = harness
  for (let round = 0; round < rounds; round++) {
    for (const [topicId, model] of models) {
      const values = [`${model.appended}:${'x'.repeat(300)}`, 'y']
      model.send(values)
      const [answer] = manager.append([request(topicId as TopicId, values)], NEVER)
      const result = await answer
      if (fileSystem !== harness.fileSystem) return
      if (result?.ok === true) model.acknowledged(values, result.baseOffset)
    }
  }
}

function crashAt(harness: ReplicaHarness, target: number): { count: number; struck?: Operation } {
  const state: { count: number; struck?: Operation } = { count: 0 }
  harness.fileSystem.fault = (operation): Fault | undefined => {
    if (state.count++ !== target) return undefined
    state.struck = operation
    return 'crash'
  }
  return state
}

async function run(target: number, seed: number, losesPower: boolean): Promise<number> {
  const harness = new ReplicaHarness({ fileDeleteDelayMs: 100 }, seed)
  const models = new Map<string, LogModel>()
  const state = crashAt(harness, target)
  await Promise.race([live(harness, models), harness.fileSystem.ended])
  if (losesPower) harness.crash()
  else harness.kill()
  const manager = await harness.open()
  for (const [topicId, model] of models) {
    const log = manager.storage.find(topicId as TopicId, 0)
    const where = `crash at ${JSON.stringify(state.struck)}`
    expect(log?.damage, where).toBeUndefined()
    // Deletion of records may have become durable before its caller heard of it.
    const start = log?.startOffset ?? -1
    model.checkRecovered(await readAll(manager, topicId as TopicId, start), start)
  }
  // What was recovered can be written on, and recovered again.
  await fill(harness, manager, models, 2)
  harness.crash()
  const again = await harness.open()
  for (const [topicId, model] of models) {
    const start = again.offsets(topicId as TopicId, 0).logStartOffset
    model.checkRecovered(await readAll(again, topicId as TopicId, start), start)
  }
  expect(harness.fatal).toEqual([])
  return state.count
}

test.each([
  ['power fails', true],
  ['the process is killed', false],
] as const)(
  'nothing acknowledged is lost when %s at any operation of the disk',
  async (_, losesPower) => {
    const operations = await run(Number.POSITIVE_INFINITY, 1, losesPower)
    expect(operations).toBeGreaterThan(150)
    for (let target = 0; target < operations; target++) await run(target, target + 1, losesPower)
  },
)

test('a failed sync of a segment ends the process, and nothing acknowledged is lost', async () => {
  const harness = new ReplicaHarness()
  const models = new Map<string, LogModel>()
  harness.fileSystem.fault = ({ kind, path }) =>
    kind === 'sync' && path.endsWith('.log') ? 'EIO' : undefined
  const living = live(harness, models).catch(() => undefined)
  await harness.clock.runFor(0)
  await Promise.race([living, harness.clock.runFor(20_000)])
  expect(harness.fatal[0]).toMatchObject({ code: 'EIO' })
  harness.crash()
  const manager = await harness.open()
  for (const [topicId, model] of models) {
    const start = manager.offsets(topicId as TopicId, 0).logStartOffset
    model.checkRecovered(await readAll(manager, topicId as TopicId, start), start)
  }
})

test('a failed write of the journal ends the process and leaves the outcome open', async () => {
  const harness = new ReplicaHarness()
  const topicId = harness.metadata.put('t')
  const manager = await harness.open()
  harness.fileSystem.fault = ({ kind }) => (kind === 'durable-write' ? 'EIO' : undefined)
  const [answer] = manager.append([request(topicId, ['lost?'])], NEVER)
  expect(await answer).toMatchObject({ ok: false, code: 'outcome-unknown', committed: 'unknown' })
  expect(harness.fatal).toHaveLength(1)
})
