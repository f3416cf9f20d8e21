/** Clients of a simulated cluster: producers of unique values and readers that follow what is committed. */
import type { TopicName } from '../../src/core/ids.ts'
import { batchLeaderEpoch } from '../../src/core/record-batch.ts'
import { isCompacted } from '../../src/core/topic.ts'
import type { Random } from '../../src/env/random.ts'
import type { ProduceOutcome } from '../../src/front/produce.ts'
import { ServiceError } from '../../src/lib/service-error.ts'
import type { TopicImage } from '../../src/metadata/metadata-image.ts'
import type { Acks, FetchResult, StorageService } from '../../src/wire/internal.ts'
import type { ClientHistory, Outcome } from '../support/history-checker.ts'
import { History } from '../support/history-checker.ts'
import type { FrontUnderTest } from './cluster-code.ts'
import { KeyedHistory } from './keyed-history.ts'
import type { SimFront } from './sim-front.ts'
import { keyedEntry, simRecords } from './sim-records.ts'
import type { SimWorld } from './sim-world.ts'

export interface WorkloadOptions {
  readonly topics: readonly string[]
  /** Which of them are compacted; none if absent. */
  readonly compacted?: readonly string[]
  readonly producers: number
  readonly readers: number
  readonly deleters: number
  /** Longest pause of a producer between two requests. */
  readonly thinkMs: number
}

export interface WorkloadEvents {
  /** A record was acknowledged as durable on all in-sync replicas. */
  acknowledged(topic: TopicImage, partition: number, offset: number, sentMs: number): void
  /** A reader was told that all below is committed. */
  shown(topic: TopicImage, partition: number, endOffset: number): void
  /** It is asked for that records below are deleted. */
  deleting(topic: TopicImage, partition: number, before: number): void
  deleted(topic: TopicImage, partition: number, before: number): void
  /** Whether what a reader was given may be gone. */
  mayBeReset(topic: TopicImage, partition: number): boolean
  /** Where the log may start, as far as anybody may know. */
  latestStart(topic: TopicImage, partition: number): number
  violation(text: string): void
}

/** After this a client goes away without an answer. */
const CLIENT_TIMEOUT_MS = 40_000
const RECONNECT_MS = 200
const READ_WAIT_MS = 1_000
const READ_BYTES = 64 * 1024
const DELETE_EVERY_MS = 6_000

export class Workload {
  /** By topic. */
  readonly histories = new Map<string, ClientHistory>()
  /** By topic and partition: up to where records are certainly deleted. */
  readonly deletions = new Map<string, number>()
  readonly #world: SimWorld
  readonly #fronts: readonly SimFront[]
  readonly #options: WorkloadOptions
  readonly #events: WorkloadEvents
  readonly #random: Random
  readonly #running: Promise<void>[] = []
  #stopped: boolean = false

  constructor(
    world: SimWorld,
    fronts: readonly SimFront[],
    options: WorkloadOptions,
    events: WorkloadEvents,
  ) {
    this.#world = world
    this.#fronts = fronts
    this.#options = options
    this.#events = events
    this.#random = world.fork()
    for (const topic of options.topics) {
      const isKeyed = options.compacted?.includes(topic) === true
      this.histories.set(topic, isKeyed ? new KeyedHistory() : new History())
    }
  }

  start(): void {
    const { producers, readers, deleters, topics } = this.#options
    for (let i = 0; i < producers; i++) this.#running.push(this.#produce(`p${i}`))
    for (let i = 0; i < deleters; i++) this.#running.push(this.#delete())
    for (let i = 0; i < readers; i++) {
      for (const topic of topics) this.#running.push(this.#read(topic as TopicName))
    }
  }

  /** Resolves when every request has its outcome. */
  async stop(): Promise<void> {
    this.#stopped = true
    await Promise.all(this.#running)
  }

  async #produce(writer: string): Promise<void> {
    const random = this.#random
    const acks: Acks = random.float() < 0.65 ? -1 : random.float() < 0.75 ? 1 : 0
    for (let n = 0; !this.#stopped; n++) {
      await this.#world.sleep(random.float() * this.#options.thinkMs)
      const front = this.#front()
      const topic = front && this.#topic(front)
      if (front === undefined || topic === undefined) {
        await this.#world.sleep(RECONNECT_MS)
        continue
      }
      const values = Array.from(
        { length: 1 + (random.uint32() % 3) },
        (_, i) => `${writer}.${n}.${i}`,
      )
      await this.send(front, topic, writer, values, acks)
    }
  }

  /** One request, from its start to its outcome, which goes into the history. */
  async send(
    front: FrontUnderTest,
    topic: TopicImage,
    writer: string,
    values: readonly string[],
    acks: Acks,
    partition = this.#random.uint32() % topic.partitions.length,
  ): Promise<Outcome['kind']> {
    const sentMs = this.#world.clock.monotonicMs()
    const result = await this.#request(front, topic, values, acks, partition)
    const part = result === undefined || 'kind' in result ? undefined : result.parts[0]
    const history = this.histories.get(topic.name) as ClientHistory
    let kind: Outcome['kind'] = 'unknown'
    values.forEach((value, i) => {
      let outcome: Outcome = result !== undefined && 'kind' in result ? result : { kind: 'unknown' }
      if (part?.result.ok === true && acks !== 0) {
        const offset = part.firstOffset + i
        outcome = { kind: 'written', partition: part.partition, offset }
        if (acks === -1) this.#events.acknowledged(topic, part.partition, offset, sentMs)
      } else if (part?.result.ok === false && part.result.committed === 'no') {
        outcome = { kind: 'refused' }
      }
      kind = outcome.kind
      const promised = acks === -1 ? 'for-good' : 'until-failover'
      history.wrote(writer, value, outcome, promised, sentMs)
    })
    const code = part?.result.ok === false ? part.result.code : ''
    const where = part === undefined ? '' : `${part.partition}@${part.firstOffset}`
    this.#world.trace.add(writer, `${values[0]} acks ${acks}: ${kind} ${where} ${code}`)
    return kind
  }

  /** Undefined when no answer came. */
  #request(
    front: FrontUnderTest,
    topic: TopicImage,
    values: readonly string[],
    acks: Acks,
    partition: number,
  ): Promise<ProduceOutcome | { kind: 'refused' } | undefined> {
    return new Promise((resolve) => {
      const timeout = this.#world.clock.timer(CLIENT_TIMEOUT_MS, () => resolve(undefined))
      const done = (outcome: ProduceOutcome | { kind: 'refused' }) => {
        timeout.cancel()
        resolve(outcome)
      }
      const isKeyed = isCompacted(topic.config)
      const records = values.map((name) => ({
        ...bytesOf(isKeyed ? keyedEntry(name) : { key: null, value: name }),
        headers: [],
        timestampMs: Number.NaN,
        media: 2 as const,
        partition,
      }))
      const request = { topic, acks, records, expectedTail: undefined, locate: String }
      try {
        front.front.producer.produce(request, done)
      } catch (error) {
        if (!(error instanceof ServiceError)) throw error
        done({ kind: 'refused' })
      }
    })
  }

  async #read(name: TopicName): Promise<void> {
    const positions = new Map<number, { offset: number; lastEpoch: number }>()
    while (!this.#stopped) {
      const front = this.#front()
      const topic = front?.metadata.image.topics.get(name)
      if (front === undefined || topic === undefined) {
        await this.#world.sleep(RECONNECT_MS)
        continue
      }
      const asked = topic.partitions.map((_, partition) => ({
        topicId: topic.id,
        partition,
        ...(positions.get(partition) ?? { offset: 0, lastEpoch: -1 }),
      }))
      const fetching = front.front.storage.fetch(
        { positions: asked, maxBytes: READ_BYTES, waitMs: READ_WAIT_MS, isolation: 'committed' },
        new AbortController().signal,
      )
      const results = await this.#within(fetching)
      for (const result of results ?? []) this.#take(topic, positions, result)
      await this.#world.sleep(this.#random.float() * RECONNECT_MS)
    }
  }

  async #delete(): Promise<void> {
    const random = this.#random
    while (!this.#stopped) {
      await this.#world.sleep(random.float() * DELETE_EVERY_MS)
      const front = this.#front()
      const topic = front && this.#topic(front)
      if (front === undefined || topic === undefined) continue
      const partition = random.uint32() % topic.partitions.length
      const { storage } = front.front
      const offsets = await this.#within(Promise.resolve(storage.offsets(topic.id, partition)))
      if (offsets === undefined) continue
      const before = Math.floor(offsets.highWatermark * random.float())
      await this.deleteBelow(storage, topic, partition, before)
    }
  }

  /** Deletes records, and remembers whether it was answered. */
  async deleteBelow(
    storage: StorageService,
    topic: TopicImage,
    partition: number,
    before: number,
  ): Promise<void> {
    const key = `${topic.name}/${partition}`
    this.#events.deleting(topic, partition, before)
    const result = await this.#within(storage.deleteRecords(topic.id, partition, before))
    if (result !== undefined) {
      this.deletions.set(key, Math.max(this.deletions.get(key) ?? 0, before))
      this.#events.deleted(topic, partition, before)
    }
    this.#world.trace.add('delete', `${key} to ${before}: ${result?.logStartOffset ?? 'unknown'}`)
  }

  #take(
    topic: TopicImage,
    positions: Map<number, { offset: number; lastEpoch: number }>,
    result: FetchResult,
  ): void {
    const { partition } = result
    const { name } = topic
    const { offset } = positions.get(partition) ?? { offset: 0 }
    if (!result.ok) {
      const earliest = Number(result.members?.['earliest'])
      const mayExpire = earliest <= this.#events.latestStart(topic, partition)
      if (result.code === 'cursor-expired' && mayExpire) {
        positions.set(partition, { offset: earliest, lastEpoch: -1 })
      } else if (
        result.code === 'offset-out-of-range' &&
        this.#events.mayBeReset(topic, partition)
      ) {
        positions.set(partition, { offset: Number(result.members?.['tail']), lastEpoch: -1 })
      } else if (result.code === 'offset-out-of-range' || result.code === 'cursor-expired') {
        this.#events.violation(
          `reader of ${name}/${partition} at ${offset} was told ${result.code}: ${result.detail}`,
        )
      }
      return
    }
    const history = this.histories.get(name) as ClientHistory
    const records = simRecords(result.batches, offset)
    const atMs = this.#world.clock.monotonicMs()
    for (const record of records) history.read({ partition, ...record }, atMs)
    const isRight = isCompacted(topic.config)
      ? records.every((record, i) => record.offset > (records[i - 1]?.offset ?? offset - 1))
      : records.every((record, i) => record.offset === offset + i)
    if (!isRight) {
      const offsets = records.map((record) => record.offset)
      this.#events.violation(`reader of ${name}/${partition} at ${offset} was given ${offsets}`)
    }
    this.#events.shown(topic, partition, result.highWatermark)
    if (result.nextOffset > result.highWatermark) {
      const where = `${result.nextOffset}, committed is ${result.highWatermark}`
      this.#events.violation(`reader of ${name}/${partition} was given records to ${where}`)
    }
    const last = result.batches.at(-1)
    if (last === undefined) return
    positions.set(partition, { offset: result.nextOffset, lastEpoch: batchLeaderEpoch(last) })
  }

  /** Undefined when it fails, or takes too long: readers try again. */
  #within<T>(promise: Promise<T>): Promise<T | undefined> {
    return new Promise((resolve) => {
      const timeout = this.#world.clock.timer(CLIENT_TIMEOUT_MS, () => resolve(undefined))
      const settle = (value: T | undefined) => {
        timeout.cancel()
        resolve(value)
      }
      promise.then(settle, () => settle(undefined))
    })
  }

  #front(): FrontUnderTest | undefined {
    return this.#fronts[this.#random.uint32() % this.#fronts.length]?.running
  }

  #topic(front: FrontUnderTest): TopicImage | undefined {
    const { topics } = this.#options
    const name = topics[this.#random.uint32() % topics.length] as TopicName
    return front.metadata.image.topics.get(name)
  }
}

function bytesOf({ key, value }: { readonly key: string | null; readonly value: string | null }) {
  return {
    key: key === null ? null : Buffer.from(key),
    value: value === null ? null : Buffer.from(value),
  }
}
