import { describe, expect, it } from 'vitest'
import { partitionKey } from '../../src/core/ids.ts'
import { murmur2 } from '../../src/core/slot-map.ts'
import { nullLogger } from '../../src/env/logger.ts'
import { nullMetrics } from '../../src/env/metrics.ts'
import type { ProduceOutcome, ProduceRequest } from '../../src/front/produce.ts'
import { Producer } from '../../src/front/produce.ts'
import { ProduceBatcher } from '../../src/front/produce-batcher.ts'
import { ProduceMeter } from '../../src/front/produce-meter.ts'
import { StickyPartitioner } from '../../src/front/sticky-partitioner.ts'
import type { ServiceError } from '../../src/lib/service-error.ts'
import type { TopicImage } from '../../src/metadata/metadata-image.ts'
import { SimClock } from '../sim/sim-clock.ts'
import { FakeStorage, valuesIn } from './fake-storage.ts'
import { textRecord, topicImage } from './topics.ts'

function setUp(options: { pendingBytes?: number; pendingEntries?: number } = {}) {
  const clock = new SimClock()
  const storage = new FakeStorage()
  const partitioner = new StickyPartitioner()
  const batcher = new ProduceBatcher(
    {
      clock,
      storage,
      logger: nullLogger,
      meter: new ProduceMeter(nullMetrics),
      onCut: (topic, partition) => partitioner.passOn(topic, partition),
    },
    {
      pendingBytes: 1_000_000,
      pendingEntries: 100,
      timeoutMs: 30_000,
      inFlightPerPartition: 1,
      worthSendingBytes: 10_000,
      ...options,
    },
  )
  const producer = new Producer({ clock, partitioner, batcher })
  const produce = (
    topic: TopicImage,
    records: ProduceRequest['records'],
    more: Partial<ProduceRequest> = {},
  ): Promise<ProduceOutcome> =>
    new Promise((resolve, reject) => {
      const locate = (index: number, field = '') => `${index}/${field}`
      const request = { topic, acks: -1 as const, records, expectedTail: undefined, locate }
      try {
        producer.produce({ ...request, ...more }, resolve)
      } catch (error) {
        reject(error)
      }
    })
  return { clock, storage, batcher, produce }
}

const one = topicImage('one', 1)
const six = topicImage('six', 6)

function offsetsOf(outcome: ProduceOutcome): number[] {
  return outcome.parts.map((part) => part.firstOffset)
}

describe('Producer', () => {
  it('writes the requests of one turn as one batch and gives each its offsets', async () => {
    const { clock, storage, produce } = setUp()
    const outcomes = Promise.all([
      produce(one, [textRecord('a')]),
      produce(one, [textRecord('b'), textRecord('c')]),
      produce(one, [textRecord('d')]),
    ])
    expect((await clock.run(outcomes)).map(offsetsOf)).toEqual([[0], [1], [3]])
    expect(storage.calls).toHaveLength(1)
    const batches = storage.calls[0]!.map((request) => request.batch)
    expect(batches).toHaveLength(1)
    expect(valuesIn(batches).map(({ value }) => value)).toEqual(['a', 'b', 'c', 'd'])
  })

  it('gathers what arrives while a batch is being written', async () => {
    const { clock, storage, produce } = setUp()
    storage.hold()
    const first = produce(one, [textRecord('a')])
    await clock.runFor(1)
    const others = ['b', 'c', 'd'].map(async (value) => {
      const outcome = produce(one, [textRecord(value)])
      await clock.runFor(1)
      return outcome
    })
    await clock.runFor(10)
    expect(storage.calls).toHaveLength(1)
    storage.release()
    await clock.run(Promise.all([first, ...others]))
    expect(storage.calls.map((call) => valuesIn(call.map((r) => r.batch)).length)).toEqual([1, 3])
  })

  it('does not hold back what is a batch by itself', async () => {
    const { clock, storage, produce } = setUp()
    storage.hold()
    const large = 'x'.repeat(6_000)
    const outcomes = [produce(one, [textRecord('a')])]
    await clock.runFor(1)
    outcomes.push(produce(one, [textRecord(large)]))
    await clock.runFor(1)
    expect(storage.calls).toHaveLength(1)
    outcomes.push(produce(one, [textRecord(large)]))
    await clock.runFor(1)
    outcomes.push(produce(one, [textRecord('b')]))
    await clock.runFor(1)
    expect(storage.calls.map((call) => valuesIn(call.map((r) => r.batch)).length)).toEqual([1, 2])
    storage.release()
    const offsets = (await clock.run(Promise.all(outcomes))).map(offsetsOf)
    expect(offsets).toEqual([[0], [1], [2], [3]])
  })

  it('does not make one partition wait for another', async () => {
    const { clock, storage, produce } = setUp()
    storage.hold()
    const outcomes = [produce(six, [textRecord('a', { partition: 0 })])]
    await clock.runFor(1)
    outcomes.push(produce(six, [textRecord('b', { partition: 1 })]))
    await clock.runFor(1)
    expect(storage.calls.map((call) => call[0]!.partition)).toEqual([0, 1])
    storage.release()
    expect(await clock.run(Promise.all(outcomes))).toHaveLength(2)
  })

  it('keeps acks levels and conditional requests in batches of their own', async () => {
    const { clock, storage, produce } = setUp()
    const expectedTail = { partition: 0, offset: 1 }
    const outcomes = Promise.all([
      produce(one, [textRecord('a')]),
      produce(one, [textRecord('b')], { expectedTail }),
      produce(one, [textRecord('c')]),
      produce(one, [textRecord('d')], { acks: 1 }),
      produce(one, [textRecord('e')], { expectedTail }),
    ])
    const [a, b, c, d, e] = await clock.run(outcomes)
    expect([a, b, c, d].map((outcome) => offsetsOf(outcome!))).toEqual([[0], [1], [2], [3]])
    expect(e!.parts[0]!.result).toMatchObject({ ok: false, code: 'precondition-failed' })
    expect(storage.calls[0]).toHaveLength(5)
  })

  it('splits a request by partition and joins the outcomes in request order', async () => {
    const { clock, storage, produce } = setUp()
    storage.refusals.set(partitionKey(six.id, 2), {
      ok: false,
      code: 'not-enough-replicas',
      detail: 'one is missing',
      committed: 'no',
    })
    const records = [3, 2, 3, 0].map((partition) => textRecord('x', { partition }))
    const outcome = await clock.run(produce(six, records))
    expect(outcome.parts.map((part) => part.partition)).toEqual([3, 2, 0])
    expect([...outcome.partOf!]).toEqual([0, 1, 0, 2])
    expect(outcome.parts.map((part) => part.result.ok)).toEqual([true, false, true])
  })

  it('sends keys where Kafka would, and spreads the rest by batch', async () => {
    const { clock, storage, produce } = setUp()
    const key = Buffer.from('customer-7')
    const keyed = await clock.run(produce(six, [textRecord('x', { key })]))
    expect(keyed.parts[0]!.partition).toBe((murmur2(key) & 0x7fffffff) % 6)
    const seen: number[] = []
    for (let turn = 0; turn < 12; turn++) {
      const pair = Promise.all([produce(six, [textRecord('a')]), produce(six, [textRecord('b')])])
      const partitions = (await clock.run(pair)).map((outcome) => outcome.parts[0]!.partition)
      expect(partitions[0]).toBe(partitions[1])
      seen.push(partitions[0]!)
    }
    expect([...new Set(seen)].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5])
    expect(storage.calls).toHaveLength(13)
  })

  it('lingers only as long as the topic asks, and not at all for a full batch', async () => {
    const { clock, storage, produce } = setUp()
    const patient = topicImage('patient', 1, { lingerMs: 5, batchBytes: 1000 })
    const outcomes = [produce(patient, [textRecord('a')])]
    await clock.runFor(4)
    outcomes.push(produce(patient, [textRecord('b')]))
    expect(storage.calls).toHaveLength(0)
    await clock.runFor(1)
    expect(valuesIn(storage.calls[0]!.map((request) => request.batch))).toHaveLength(2)
    outcomes.push(produce(patient, [textRecord('c'.repeat(990))]))
    await clock.runFor(0)
    expect(storage.calls).toHaveLength(2)
    expect(await Promise.all(outcomes)).toHaveLength(3)
  })

  it('refuses the whole request at the bounds, and takes more when room returns', async () => {
    const { clock, storage, produce } = setUp({ pendingBytes: 2000 })
    storage.hold()
    const first = produce(one, [textRecord('x'.repeat(1500))])
    await expect(produce(six, [textRecord('y'.repeat(1500))])).rejects.toMatchObject({
      code: 'overloaded',
    })
    await clock.runFor(1)
    storage.release()
    await clock.run(first)
    storage.release()
    expect(offsetsOf(await clock.run(produce(one, [textRecord('y'.repeat(1500))])))).toEqual([1])
  })

  it('says that the outcome is unknown after the deadline, and no for what was never sent', async () => {
    const { clock, storage, produce, batcher } = setUp()
    storage.hold()
    const sent = produce(one, [textRecord('a')])
    await clock.runFor(10)
    const unsent = produce(one, [textRecord('b')])
    await clock.runFor(32_000)
    expect((await sent).parts[0]!.result).toMatchObject({
      code: 'outcome-unknown',
      committed: 'unknown',
    })
    expect((await unsent).parts[0]!.result).toMatchObject({ code: 'overloaded', committed: 'no' })
    expect(batcher.pendingEntries).toBe(1)
    storage.release()
    await clock.run(batcher.idle())
    expect([batcher.pendingEntries, batcher.pendingBytes]).toEqual([0, 0])
  })

  it('checks all records before it writes any', async () => {
    const { clock, storage, produce } = setUp()
    const soon = clock.nowMs() + 3_600_000
    await expect(
      produce(one, [
        textRecord('a', { timestampMs: soon }),
        textRecord('b', { timestampMs: soon + 1 }),
        textRecord('c', { headers: [{ name: '__mine', value: null }] }),
      ]),
    ).rejects.toMatchObject({
      code: 'invalid-record',
      options: { errors: [{ pointer: '1/timestamp' }, { pointer: '2/headers' }] },
    })
    await expect(produce(one, [textRecord('a', { partition: 1 })])).rejects.toMatchObject({
      code: 'partition-not-found',
    })
    await clock.runUntilIdle()
    expect(storage.calls).toEqual([])
  })

  it('bounds a record by what the client sent', async () => {
    const { clock, produce } = setUp()
    const small = topicImage('small', 1, { maxRecordBytes: 100 })
    expect(await clock.run(produce(small, [textRecord('x'.repeat(100))]))).toBeDefined()
    const error = await produce(small, [textRecord('x'.repeat(101))]).catch((e: unknown) => e)
    expect(error).toMatchObject({ code: 'record-too-large' })
    expect((error as ServiceError).options.members).toEqual({ limit: 100 })
  })

  it.each(['compact', 'both'] as const)(
    'takes no record without a key where the last of each key is kept: cleanup %s',
    async (cleanup) => {
      const { clock, storage, produce } = setUp()
      const compacted = topicImage('compacted', 1, { cleanup })
      const keyed = textRecord('a', { key: Buffer.from('k') })
      await expect(produce(compacted, [keyed, textRecord('b')])).rejects.toMatchObject({
        code: 'key-required',
        options: { errors: [{ pointer: '1/key' }] },
      })
      await clock.runUntilIdle()
      expect(storage.calls).toEqual([])
      const empty = textRecord('b', { key: Buffer.alloc(0) })
      expect(await clock.run(produce(compacted, [keyed, empty]))).toBeDefined()
    },
  )

  it('refuses a condition on one partition for records of another', async () => {
    const { produce } = setUp()
    const expectedTail = { partition: 3, offset: 0 }
    await expect(
      produce(six, [textRecord('a', { partition: 2 })], { expectedTail }),
    ).rejects.toMatchObject({ code: 'invalid-request' })
  })
})
