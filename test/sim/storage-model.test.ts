import { expect, test } from 'vitest'
import type { TopicId } from '../../src/core/ids.ts'
import type { ReplicaManager } from '../../src/replication/replica-manager.ts'
import type { ReadRecord } from '../replication/replica-harness.ts'
import {
  fetchOnce,
  NEVER,
  ReplicaHarness,
  readAll,
  recordsOf,
  request,
} from '../replication/replica-harness.ts'
import { LogModel } from './log-model.ts'

const SEEDS = 25
const OPERATIONS = 4000

interface Topic {
  readonly name: string
  readonly id: TopicId
  readonly model: LogModel
  readonly flush: 'commit' | 'os'
}

/** Random operations on a node, each followed by what the model says of it. */
class Run {
  readonly #harness: ReplicaHarness
  readonly #topics: Topic[] = []
  readonly #unsettled = new Set<Promise<void>>()
  #manager!: ReplicaManager
  #values = 0
  #names = 0
  readonly counts = new Map<string, number>()

  constructor(seed: number) {
    this.#harness = new ReplicaHarness(
      { fileDeleteDelayMs: 2000, checkpointIntervalMs: 5000 },
      seed,
    )
  }

  get harness(): ReplicaHarness {
    return this.#harness
  }

  async run(operations: number): Promise<void> {
    this.#manager = await this.#harness.open()
    for (const flush of ['commit', 'commit', 'os'] as const) this.#create(flush)
    for (let i = 0; i < operations; i++) await this.#step()
    await this.#heal()
    await this.#settle()
    await this.#restart(() => this.#harness.crash(), true)
    expect(this.#harness.fatal).toEqual([])
  }

  async #step(): Promise<void> {
    const dice = this.#below(1000)
    if (dice < 600) return this.#append()
    if (dice < 850) return this.#read()
    if (dice < 900) return this.#settle()
    if (dice < 930) return this.#note('clock', () => this.#harness.clock.runFor(this.#below(3000)))
    if (dice < 945) return this.#note('checkpoint', () => this.#checkpoint())
    if (dice < 955) return this.#note('roll', async () => this.#roll())
    if (dice < 965) return this.#note('delete records', () => this.#deleteRecords())
    if (dice < 975) return this.#note('retention', () => this.#retention())
    if (dice < 980) return this.#note('full', async () => this.#fill())
    if (dice < 985) return this.#note('heal', () => this.#heal())
    if (dice < 987) return this.#note('recreate', async () => this.#recreate())
    if (dice < 990) return this.#note('close', () => this.#close())
    if (dice < 995)
      return this.#note('kill', () => this.#restart(() => this.#harness.kill(), false))
    return this.#note('crash', () => this.#restart(() => this.#harness.crash(), true))
  }

  async #note(what: string, act: () => Promise<void>): Promise<void> {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1)
    await act()
  }

  async #append(): Promise<void> {
    const { model, id } = this.#topic()
    const values = Array.from(
      { length: 1 + this.#below(4) },
      () =>
        `${this.#values++}:${'x'.repeat(this.#below(10) === 0 ? this.#below(6000) : this.#below(200))}`,
    )
    model.send(values)
    const timestampMs = this.#harness.clock.nowMs()
    const [answer] = this.#manager.append([request(id, values, { timestampMs })], NEVER)
    const { fileSystem } = this.#harness
    const settled = (answer as NonNullable<typeof answer>).then((result) => {
      this.#unsettled.delete(settled)
      // What a dead process had on its lips was not said.
      if (fileSystem !== this.#harness.fileSystem) return
      if (result.ok) model.acknowledged(values, result.baseOffset)
      else {
        expect(['disk-full', 'overloaded', 'topic-not-found']).toContain(result.code)
        model.refused(values)
      }
    })
    this.#unsettled.add(settled)
    if (this.#below(3) === 0) await this.#harness.clock.runFor(0)
  }

  async #read(): Promise<void> {
    const { model, id } = this.#topic()
    const offset = model.start + this.#below(Math.max(1, model.end - model.start))
    const isKnown = offset < model.end
    const result = await fetchOnce(this.#manager, id, offset, 1 + this.#below(20_000))
    if (!isKnown) return
    if (result?.ok !== true) {
      // An append that the model does not know of yet may have let retention go further.
      expect(result).toMatchObject({ code: 'cursor-expired' })
      return
    }
    expect(result.batches.length).toBeGreaterThan(0)
    await this.#settle()
    model.checkRead(recordsOf(result.batches, offset))
  }

  /** Until every append is answered; a full disk answers them too. */
  async #settle(): Promise<void> {
    for (let round = 0; this.#unsettled.size > 0; round++) {
      expect(round, 'appends that are never answered').toBeLessThan(100)
      await this.#harness.clock.runFor(500)
    }
  }

  async #checkpoint(): Promise<void> {
    this.#manager.storage.checkpoints.request()
    if (this.#below(2) === 0) await this.#harness.clock.runFor(10)
  }

  #roll(): void {
    const { id } = this.#topic()
    const log = this.#manager.storage.find(id, 0)
    if (log !== undefined && !this.#manager.storage.diskIsFull) {
      this.#manager.storage.appender.roll(log)
    }
  }

  async #deleteRecords(): Promise<void> {
    const { model, id } = this.#topic()
    if (this.#manager.storage.diskIsFull) return
    await this.#settle()
    const before = model.start + this.#below(model.end - model.start + 1)
    const deleting = this.#manager.deleteRecords(id, 0, before)
    await this.#harness.clock.run(deleting)
    expect((await deleting).logStartOffset).toBe(Math.max(before, model.start))
    model.raiseStart(before)
  }

  async #retention(): Promise<void> {
    const { id, model } = this.#topic()
    const log = this.#manager.storage.find(id, 0)
    if (log === undefined || this.#manager.storage.diskIsFull) return
    await this.#settle()
    log.settings =
      this.#below(2) === 0
        ? { ...log.settings, retentionBytes: this.#below(20_000), retentionMs: -1 }
        : { ...log.settings, retentionBytes: -1, retentionMs: this.#below(20_000) }
    await this.#harness.clock.run(this.#manager.storage.cleaner.run())
    expect(log.startOffset).toBeLessThanOrEqual(log.highWatermark)
    model.raiseStart(log.startOffset)
    log.settings = { ...log.settings, retentionBytes: -1, retentionMs: -1 }
  }

  #fill(): void {
    const { fileSystem } = this.#harness
    fileSystem.quotaBytes = fileSystem.usedBytes + this.#below(30_000)
  }

  async #heal(): Promise<void> {
    this.#harness.fileSystem.quotaBytes = Number.POSITIVE_INFINITY
    await this.#harness.clock.runFor(2500)
    expect(this.#manager.storage.diskIsFull).toBe(false)
  }

  #recreate(): void {
    const index = this.#below(this.#topics.length)
    const [topic] = this.#topics.splice(index, 1)
    if (topic === undefined) return
    this.#harness.metadata.remove(topic.name)
    this.#create(topic.flush)
  }

  async #close(): Promise<void> {
    await this.#heal()
    await this.#settle()
    await this.#harness.clock.run(this.#manager.close())
    await this.#reopen(false)
  }

  async #restart(stop: () => void, losesPower: boolean): Promise<void> {
    this.#harness.fileSystem.quotaBytes = Number.POSITIVE_INFINITY
    stop()
    this.#unsettled.clear()
    await this.#reopen(losesPower)
  }

  async #reopen(losesPower: boolean): Promise<void> {
    this.#manager = await this.#harness.clock.run(this.#harness.open())
    for (const { id, model, flush } of this.#topics) {
      const log = this.#manager.storage.find(id, 0)
      expect(log?.damage).toBeUndefined()
      const start = log?.startOffset ?? -1
      const found: ReadRecord[] = await readAll(this.#manager, id, start)
      if (flush === 'os' && losesPower) model.checkShortened(found, start)
      else model.checkRecovered(found, start)
    }
  }

  #create(flush: 'commit' | 'os'): void {
    const name = `topic-${this.#names++}`
    const config = { segmentBytes: 8192, retentionMs: -1, flush }
    const id = this.#harness.metadata.put(name, config)
    this.#topics.push({ name, id, model: new LogModel(), flush })
  }

  #topic(): Topic {
    return this.#topics[this.#below(this.#topics.length)] as Topic
  }

  #below(limit: number): number {
    return Math.floor(this.#harness.random.float() * limit)
  }
}

test.each(Array.from({ length: SEEDS }, (_, i) => i + 1))(
  'storage agrees with a list under random operations, crashes and full disks, seed %i',
  async (seed) => {
    const run = new Run(seed)
    await run.run(OPERATIONS)
    expect(run.counts.size).toBeGreaterThan(8)
  },
)
