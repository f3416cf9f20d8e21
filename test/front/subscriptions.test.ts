import { describe, expect, it } from 'vitest'
import { partitionKey } from '../../src/core/ids.ts'
import type { RecordInput } from '../../src/core/record.ts'
import { encodeBatch } from '../../src/core/record-batch.ts'
import { nullLogger } from '../../src/env/logger.ts'
import { Subscriptions } from '../../src/front/subscriptions.ts'
import type { TopicImage } from '../../src/metadata/metadata-image.ts'
import { SimClock } from '../sim/sim-clock.ts'
import { seededRandom } from '../support/seeded-random.ts'
import { FakeOutlet } from './fake-outlet.ts'
import { FakeStorage } from './fake-storage.ts'
import { FakeMetadata, textRecord, topicImage } from './topics.ts'

function setUp(...topics: TopicImage[]) {
  const clock = new SimClock()
  const storage = new FakeStorage(clock)
  const metadata = new FakeMetadata(topics)
  const subscriptions = new Subscriptions({ clock, storage, metadata, logger: nullLogger })
  const produce = (topic: TopicImage, partition: number, ...values: string[]) => {
    storage.appendBatch(topic.id, partition, encodeBatch(values.map(recordOf)))
  }
  const subscribe = async (
    topic: TopicImage,
    start: { from?: string; cursor?: string; partitions?: number[] },
    outlet = new FakeOutlet(),
  ) => {
    const range = { from: 'latest', cursor: undefined, partitions: undefined, ...start }
    const prepared = await subscriptions.prepare({
      topic,
      range,
      isolation: 'committed',
      rendering: 'record',
    })
    subscriptions.follow(prepared, outlet)
    return { outlet, done: outlet.over }
  }
  return { clock, storage, metadata, subscriptions, produce, subscribe }
}

function recordOf(value: string): RecordInput {
  return textRecord(value, { timestampMs: 1_000_000 })
}

function valuesOf(outlet: FakeOutlet): unknown[] {
  return outlet.frames.map(({ data }) => data.value)
}

const one = topicImage('one', 1)
const three = topicImage('three', 3)

describe('Subscriptions', () => {
  it('sends what comes after the start, and only that', async () => {
    const { clock, produce, subscribe } = setUp(one)
    produce(one, 0, 'old')
    const { outlet } = await subscribe(one, {})
    produce(one, 0, 'new')
    await clock.runFor(1)
    produce(one, 0, 'newer')
    await clock.runFor(1)
    expect(valuesOf(outlet)).toEqual(['new', 'newer'])
  })

  it('sends what gathered in one turn as one write, and shares its bytes', async () => {
    const { clock, storage, produce, subscribe, subscriptions } = setUp(one)
    const streams = [await subscribe(one, {}), await subscribe(one, {}), await subscribe(one, {})]
    await clock.runFor(1)
    const before = storage.fetches.length
    for (const value of ['a', 'b', 'c']) produce(one, 0, value)
    await clock.runFor(1)
    const [first, ...others] = streams.map(({ outlet }) => outlet)
    expect(valuesOf(first!)).toEqual(['a', 'b', 'c'])
    // The first record wakes the fetch; what comes until it is handled is the second piece.
    expect(first!.writes).toBeLessThanOrEqual(2)
    for (const outlet of others) {
      expect(outlet.chunks).toHaveLength(first!.chunks.length)
      expect(outlet.chunks.every((chunk, i) => chunk === first!.chunks[i])).toBe(true)
    }
    expect(subscriptions.hubs).toBe(1)
    expect(storage.fetches.length - before).toBeLessThanOrEqual(3)
  })

  it('closes the shared tail with its last member', async () => {
    const { clock, storage, subscriptions, subscribe } = setUp(one)
    const first = await subscribe(one, {})
    const second = await subscribe(one, {})
    await clock.runFor(1)
    first.outlet.disconnect()
    await clock.run(first.done)
    expect([subscriptions.hubs, subscriptions.streams, storage.waiting]).toEqual([1, 1, 1])
    second.outlet.disconnect()
    await clock.run(second.done)
    expect([subscriptions.hubs, subscriptions.streams, storage.waiting]).toEqual([0, 0, 0])
  })

  it('lets a slow reader fall behind without holding it in memory, and catches it up', async () => {
    const { clock, produce, subscribe } = setUp(one)
    const slow = new FakeOutlet(() => false)
    const { outlet: fast } = await subscribe(one, {})
    await subscribe(one, {}, slow)
    await clock.runFor(1)
    const big = 'x'.repeat(700_000)
    for (let i = 0; i < 30; i++) {
      produce(one, 0, `${i}${big}`)
      await clock.runFor(1)
    }
    expect(fast.frames).toHaveLength(30)
    expect(slow.writes).toBe(1)
    for (let i = 0; i < 100 && slow.frames.length < 30; i++) {
      slow.drain()
      await clock.runFor(1)
    }
    expect(slow.frames.map(({ data }) => data.offset)).toEqual([...Array(30).keys()])
    expect(slow.overruns).toBe(0)
  })

  it('tells of a gap and goes on with the earliest record', async () => {
    const { clock, storage, produce, subscribe } = setUp(one)
    for (const value of ['a', 'b', 'c']) produce(one, 0, value)
    await storage.deleteRecords(one.id, 0, 2)
    const { outlet } = await subscribe(one, { from: 'offset:1' })
    await clock.runFor(1)
    expect(outlet.events).toMatchObject([
      { name: 'gap', data: { topic: 'one', partition: 0, offset: 1, earliest: 2 } },
    ])
    expect(valuesOf(outlet)).toEqual(['c'])
  })

  it('goes on with the other partitions while one has no leader, and says so once', async () => {
    const { clock, storage, produce, subscribe } = setUp(three)
    const key = partitionKey(three.id, 1)
    const refusal = { ok: false, detail: 'no leader', committed: 'no' } as const
    storage.refusals.set(key, { ...refusal, code: 'partition-unavailable' })
    const { outlet } = await subscribe(three, { from: 'earliest' })
    produce(three, 0, 'a')
    await clock.runFor(5000)
    expect(valuesOf(outlet)).toEqual(['a'])
    expect(outlet.events).toEqual([
      { name: 'error', data: 'partition-unavailable', cursor: undefined },
    ])
    storage.refusals.delete(key)
    produce(three, 1, 'b')
    await clock.runFor(5000)
    produce(three, 2, 'c')
    await clock.runFor(1)
    expect(valuesOf(outlet)).toEqual(['a', 'b', 'c'])
  })

  it('refuses a position past the end before anything is sent', async () => {
    const { subscribe } = setUp(one)
    await expect(subscribe(one, { from: 'offset:1' })).rejects.toMatchObject({
      code: 'offset-out-of-range',
      options: { members: { tail: expect.any(String) as string } },
    })
  })

  it('ends when the topic is deleted, and when the front drains', async () => {
    const { clock, metadata, subscriptions, subscribe } = setUp(one, three)
    const deleted = await subscribe(one, {})
    const drained = await subscribe(three, {})
    await clock.runFor(1)
    metadata.set([three])
    await clock.run(deleted.done)
    expect(deleted.outlet.ended).toBe('deleted')
    expect(drained.outlet.ended).toBeUndefined()
    subscriptions.endAll('draining')
    await clock.run(drained.done)
    expect(drained.outlet.ended).toBe('draining')
  })

  it('gives every reader every record once and in order, wherever it joins and however it drains', async () => {
    const random = seededRandom('subscriptions')
    const { clock, storage, subscriptions, produce, subscribe } = setUp(three)
    storage.beforeFetch = () =>
      random.float() < 0.5
        ? undefined
        : clock.sleep(random.between(0, 4), new AbortController().signal)
    const ends = [0, 0, 0]
    const readers: { next: number[]; outlet: FakeOutlet; seen: number; lastId: string }[] = []
    const check = (reader: (typeof readers)[number]) => {
      const { frames } = reader.outlet
      for (const { data, positions, id } of frames.slice(reader.seen)) {
        expect(data.offset).toBe(reader.next[data.partition])
        reader.next[data.partition] = data.offset + 1
        expect(positions.map(({ offset }) => offset)).toEqual(reader.next)
        reader.lastId = id
      }
      reader.seen = frames.length
      expect(reader.outlet.overruns).toBe(0)
    }
    const join = async (start: { from?: string; cursor?: string }, next: number[]) => {
      const eagerness = random.float()
      const outlet = new FakeOutlet(() => random.float() < eagerness)
      readers.push({ next, outlet, seen: 0, lastId: start.cursor ?? '' })
      await subscribe(three, start, outlet)
    }
    for (let step = 0; step < 400; step++) {
      const dice = random.float()
      if (dice < 0.5) {
        const partition = random.between(0, 3)
        const count = random.between(1, 5)
        const padding = random.float() < 0.05 ? 'x'.repeat(900_000) : ''
        produce(three, partition, ...Array<string>(count).fill(`v${padding}`))
        ends[partition]! += count
      } else if (dice < 0.6 && readers.length < 12) {
        const isLatest = random.float() < 0.5
        await join({ from: isLatest ? 'latest' : 'earliest' }, isLatest ? [...ends] : [0, 0, 0])
      } else if (dice < 0.65 && readers.length > 0) {
        const index = random.between(0, readers.length)
        const [gone] = readers.splice(index, 1)
        check(gone!)
        gone!.outlet.disconnect()
        if (gone!.lastId !== '') await join({ cursor: gone!.lastId }, [...gone!.next])
      } else {
        for (const { outlet } of readers) if (random.float() < 0.3) outlet.drain()
      }
      await clock.runFor(random.between(0, 3))
    }
    const isDone = () => readers.every(({ next }) => next.every((offset, p) => offset === ends[p]))
    for (let i = 0; i < 10_000 && !isDone(); i++) {
      for (const reader of readers) {
        reader.outlet.drain()
        check(reader)
      }
      await clock.runFor(5)
    }
    expect(readers.map(({ next }) => next)).toEqual(readers.map(() => ends))
    expect(subscriptions.hubs).toBeLessThanOrEqual(1)
  })
})
