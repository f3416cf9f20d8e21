import { expect, test } from 'vitest'
import type { TopicId } from '../../src/core/ids.ts'
import type { ReplicaManager } from '../../src/replication/replica-manager.ts'
import type { PartitionLog } from '../../src/storage/partition-log.ts'
import { append, ReplicaHarness, readAll, valuesOf } from '../replication/replica-harness.ts'
import type { Operation } from './sim-file-system.ts'

/** What the log holds from its start on. */
interface Content {
  readonly start: number
  readonly values: readonly string[]
}

/** What was done to a log, one thing after the other: a crash leaves it as before or as after the last. */
class Life {
  done: Content = { start: 0, values: [] }
  next: Content | undefined
  readonly #manager: ReplicaManager
  readonly #topicId: TopicId
  #number = 0

  constructor(manager: ReplicaManager, topicId: TopicId) {
    this.#manager = manager
    this.#topicId = topicId
  }

  async append(batches: number): Promise<void> {
    for (let i = 0; i < batches; i++) {
      const values = [`${this.#number++}:${'x'.repeat(300)}`, 'y']
      const { start, values: before } = this.done
      await this.#step({ start, values: [...before, ...values] }, async () => {
        await append(this.#manager, this.#topicId, values)
      })
    }
  }

  /** `offset` is the end of a batch, or below the start. */
  async truncate(offset: number): Promise<void> {
    const { start, values } = this.done
    const next =
      offset < start
        ? { start: offset, values: [] }
        : { start, values: values.slice(0, offset - start) }
    await this.#replace(next, (log) => this.#manager.storage.truncate(log, offset))
  }

  async restart(offset: number): Promise<void> {
    await this.#replace({ start: offset, values: [] }, (log) =>
      this.#manager.storage.restart(log, offset),
    )
  }

  async raiseStart(offset: number): Promise<void> {
    const { start, values } = this.done
    await this.#step({ start: offset, values: values.slice(offset - start) }, async () => {
      await this.#manager.deleteRecords(this.#topicId, 0, offset)
    })
  }

  async #replace(next: Content, replace: (log: PartitionLog) => Promise<void>): Promise<void> {
    const replica = this.#manager.find(this.#topicId, 0)
    if (replica === undefined) throw new Error('the partition is here')
    await this.#step(next, () => replica.replaceEnd(() => replace(replica.log)))
  }

  async #step(next: Content, take: () => Promise<void>): Promise<void> {
    this.next = next
    await take()
    this.done = next
    this.next = undefined
  }
}

async function live(harness: ReplicaHarness, manager: ReplicaManager, life: Life): Promise<void> {
  const { checkpoints } = manager.storage
  await life.append(20)
  await life.truncate(24)
  await life.append(6)
  await checkpoints.run(false)
  // Into a segment before the last, below what the checkpoint says is committed.
  await life.truncate(10)
  await life.append(3)
  await life.truncate(12)
  checkpoints.request()
  await life.append(9)
  await life.raiseStart(21)
  await harness.clock.runFor(200)
  await life.restart(100)
  await life.append(4)
  await checkpoints.run(false)
  await life.truncate(50)
  await life.append(3)
  await life.truncate(50)
  await life.restart(0)
  await life.append(12)
  await manager.close()
}

async function contentOf(manager: ReplicaManager, topicId: TopicId): Promise<Content> {
  const log = manager.storage.find(topicId, 0)
  expect(log?.damage).toBeUndefined()
  const start = log?.startOffset ?? -1
  return { start, values: valuesOf(await readAll(manager, topicId, start)) }
}

async function run(target: number, losesPower: boolean): Promise<number> {
  const harness = new ReplicaHarness({ fileDeleteDelayMs: 100 }, target + 1)
  const topicId = harness.metadata.put('t', { segmentBytes: 4096 })
  let count = 0
  let struck: Operation | undefined
  const manager = await harness.open()
  harness.fileSystem.fault = (operation) => {
    if (count++ !== target) return undefined
    struck = operation
    return 'crash'
  }
  const life = new Life(manager, topicId)
  await Promise.race([live(harness, manager, life), harness.fileSystem.ended])
  const { done, next } = life
  if (losesPower) harness.crash()
  else harness.kill()
  const again = await harness.open()
  const found = await contentOf(again, topicId)
  expect([done, next], `crash at ${JSON.stringify(struck)}`).toContainEqual(found)
  // What was recovered can be written on, and recovered again.
  await append(again, topicId, ['z'])
  harness.crash()
  const values = [...found.values, 'z']
  expect(await contentOf(await harness.open(), topicId)).toEqual({ start: found.start, values })
  expect(harness.fatal).toEqual([])
  return count
}

test.each([
  ['power fails', true],
  ['the process is killed', false],
] as const)(
  'a log whose end is replaced is what it was before or what it is after, when %s at any operation of the disk',
  async (_, losesPower) => {
    const operations = await run(Number.POSITIVE_INFINITY, losesPower)
    expect(operations).toBeGreaterThan(150)
    for (let target = 0; target < operations; target++) await run(target, losesPower)
  },
)
