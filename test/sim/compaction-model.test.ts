import { expect, test } from 'vitest'
import { fetchOnce, ReplicaHarness } from '../replication/replica-harness.ts'
import type { Entry, KeyedRecord } from '../storage/compacted-topic.ts'
import { CompactedTopic, keyedRecords, latest } from '../storage/compacted-topic.ts'
import { KeyedModel } from './keyed-model.ts'

const SEEDS = 20
const OPERATIONS = 1_500
const DAY_MS = 24 * 3_600_000

/** Reads on now and then, a little at a time, and remembers the last record of each key. */
class SlowReader {
  readonly #topic: CompactedTopic
  readonly #model: KeyedModel
  readonly #state = new Map<string, KeyedRecord>()
  #position = 0

  constructor(topic: CompactedTopic, model: KeyedModel) {
    this.#topic = topic
    this.#model = model
  }

  async read(maxBytes: number): Promise<void> {
    this.#position = Math.max(this.#position, this.#topic.log.startOffset)
    const offset = this.#position
    const result = await fetchOnce(this.#topic.manager, this.#topic.id, offset, maxBytes)
    if (result === undefined) return
    expect(result.ok).toBe(true)
    if (!result.ok) return
    const found = keyedRecords(result.batches, offset)
    this.#model.checkPart(found, offset)
    for (const record of found) this.#state.set(record.key ?? '', record)
    expect(result.nextOffset).toBeGreaterThan(offset)
    this.#position = result.nextOffset
  }

  /** At the end of the log it knows what counts; it has seen deletions if those were kept for it. */
  async check(seesDeletions: boolean): Promise<void> {
    while (this.#position < this.#topic.log.highWatermark) await this.read(4_096)
    const known = latest([...this.#state.values()])
    for (const [key, value] of latest(this.#model.from(0))) expect(known.get(key)).toBe(value)
    if (!seesDeletions) return
    const deleted = this.#model.from(0).filter(({ value }) => value === null)
    for (const { key } of deleted) {
      if (!latest(this.#model.from(0)).has(key ?? '')) expect(known.has(key ?? '')).toBe(false)
    }
  }

  cutEnd(offset: number): void {
    if (this.#position <= offset) return
    // What it has read is gone: it begins again, as readers do that are told so.
    this.#position = 0
    this.#state.clear()
  }
}

class Run {
  readonly counts = new Map<string, number>()
  readonly #harness: ReplicaHarness
  readonly #model = new KeyedModel()
  readonly #keepsDeletions: boolean
  #topic!: CompactedTopic
  #reader!: SlowReader
  #compacting: Promise<void> = Promise.resolve()
  #count = 0

  constructor(seed: number) {
    this.#harness = new ReplicaHarness(
      {
        fileDeleteDelayMs: 2_000,
        checkpointIntervalMs: 5_000,
        compactionBytesPerSecond: 20_000,
        memoryBytes: seed % 3 === 0 ? 16 * 1024 : 0,
        // With so few keys at once, passes end amid segments and batches.
        compactionKeyBytes: seed % 4 === 0 ? 24 * 8 : 24 * 1024,
      },
      seed,
    )
    this.#keepsDeletions = seed % 2 === 0
  }

  async run(): Promise<void> {
    const deleteRetentionMs = this.#keepsDeletions ? DAY_MS : 2_000
    this.#topic = await CompactedTopic.open(this.#harness, {
      segmentBytes: 4096,
      deleteRetentionMs,
    })
    this.#reader = new SlowReader(this.#topic, this.#model)
    for (let i = 0; i < OPERATIONS; i++) await this.#step()
    await this.#settle()
    await this.#restart('crash')
    await this.#reader.check(this.#keepsDeletions)
    expect(this.#harness.fatal).toEqual([])
  }

  async #step(): Promise<void> {
    const dice = this.#below(1000)
    if (dice < 550) return this.#append()
    if (dice < 700) return this.#note('read on', () => this.#reader.read(1 + this.#below(3_000)))
    if (dice < 760) return this.#note('read', () => this.#read())
    if (dice < 850) return this.#note('clock', () => this.#clock())
    if (dice < 900) return this.#note('roll', async () => this.#roll())
    if (dice < 940) return this.#note('compact', () => this.#compact())
    if (dice < 950) return this.#note('checkpoint', () => this.#checkpoint())
    if (dice < 958) return this.#note('delete records', () => this.#deleteRecords())
    if (dice < 965) return this.#note('cut', () => this.#cut())
    if (dice < 970) return this.#note('catch up', () => this.#reader.check(this.#keepsDeletions))
    if (dice < 975) return this.#note('close', () => this.#restart('close'))
    if (dice < 980) return this.#note('kill', () => this.#restart('kill'))
    if (dice < 985) return this.#note('crash', () => this.#restart('crash'))
    return this.#note('read all', () => this.#check(this.#topic.log.startOffset))
  }

  async #note(what: string, act: () => Promise<void>): Promise<void> {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1)
    await act()
  }

  async #append(): Promise<void> {
    const entries = Array.from({ length: 1 + this.#below(4) }, (): Entry => {
      const key = `${Math.floor(this.#below(30) ** 2 / 30)}`
      const value = `${this.#count++}:${'x'.repeat(this.#below(200))}`
      return [key, this.#below(5) === 0 ? null : value]
    })
    const timestampMs = this.#harness.clock.nowMs()
    this.#model.written(await this.#topic.append(...entries), entries, timestampMs)
  }

  async #read(): Promise<void> {
    const { start, end } = this.#model
    await this.#check(start + this.#below(Math.max(1, end - start)))
  }

  async #check(offset: number): Promise<void> {
    const found = await this.#topic.read(offset, 1 + this.#below(8_000))
    if (offset <= this.#topic.log.startOffset) this.#model.check(found, offset)
    else {
      // From amid the log on, the record that a tombstone deleted may be before.
      this.#model.checkPart(found, offset)
      const known = latest(found)
      expect(known).toEqual(latest(this.#model.from(offset)))
    }
  }

  async #clock(): Promise<void> {
    await this.#harness.clock.runFor(this.#below(3_000))
  }

  #roll(): void {
    this.#topic.manager.storage.appender.roll(this.#topic.log)
  }

  /** It goes on while other things happen. */
  async #compact(): Promise<void> {
    await this.#settle()
    if (this.#below(2) === 0) await this.#checkpoint()
    this.#compacting = this.#topic.manager.storage.compactor.run()
    if (this.#below(2) === 0) await this.#settle()
  }

  async #settle(): Promise<void> {
    await this.#harness.clock.run(this.#compacting)
  }

  async #checkpoint(): Promise<void> {
    await this.#harness.clock.run(this.#topic.manager.storage.checkpoints.run(false))
  }

  async #deleteRecords(): Promise<void> {
    const { start, end } = this.#model
    const before = start + this.#below(Math.min(20, end - start + 1))
    await this.#harness.clock.run(this.#topic.manager.deleteRecords(this.#topic.id, 0, before))
    this.#model.raiseStart(before)
  }

  /** As a follower is cut, never below what may be compacted, which is committed; it leads no more then. */
  async #cut(): Promise<void> {
    const { log, manager } = this.#topic
    const least = Math.max(log.startOffset, log.segments.at(-1)?.baseOffset ?? 0)
    const offset = least + this.#below(log.endOffset - least + 1)
    if (offset === log.startOffset) return
    await this.#harness.clock.run(manager.storage.truncate(log, offset))
    this.#model.cutEnd(log.endOffset)
    this.#reader.cutEnd(log.endOffset)
    await this.#harness.clock.runFor(this.#below(100))
    await this.#restart('kill')
  }

  async #restart(how: 'close' | 'kill' | 'crash'): Promise<void> {
    const { harness, manager } = this.#topic
    if (how === 'close') await harness.clock.run(manager.close())
    this.#compacting.catch(() => undefined)
    this.#compacting = Promise.resolve()
    await this.#topic.reopen(() => (how === 'crash' ? harness.crash() : harness.kill()))
    const { log } = this.#topic
    expect(log.damage).toBeUndefined()
    expect([log.startOffset, log.endOffset]).toEqual([this.#model.start, this.#model.end])
    await this.#check(log.startOffset)
  }

  #below(limit: number): number {
    return Math.floor(this.#harness.random.float() * limit)
  }
}

test.each(Array.from({ length: SEEDS }, (_, i) => i + 1))(
  'a compacted log agrees with a list under random operations and crashes, seed %i',
  async (seed) => {
    const run = new Run(seed)
    await run.run()
    expect(run.counts.size).toBeGreaterThan(10)
  },
)
