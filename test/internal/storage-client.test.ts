/** Typed calls to a storage node: each append settles once, with the truth. */
import { beforeEach, describe, expect, test } from 'vitest'
import type { TopicId } from '../../src/core/ids.ts'
import { encodeBatch } from '../../src/core/record-batch.ts'
import { TransportError } from '../../src/env/transport.ts'
import { registerOperatorEndpoints } from '../../src/internal/operator-endpoints.ts'
import { registerReplicaEndpoint } from '../../src/internal/replica-endpoint.ts'
import type { AppendCalls } from '../../src/internal/storage-client.ts'
import { StorageClient } from '../../src/internal/storage-client.ts'
import { registerStorageEndpoints } from '../../src/internal/storage-endpoints.ts'
import { ServiceError } from '../../src/lib/service-error.ts'
import { encodeAppendFrame } from '../../src/wire/append-frames.ts'
import type { Appended, AppendRequest, FetchResult, Refusal } from '../../src/wire/internal.ts'
import type { ReplicaFetchReply, ReplicaFetchRequest } from '../../src/wire/replica-fetch.ts'
import { SimClock } from '../sim/sim-clock.ts'
import { DirectCluster } from './direct-cluster.ts'
import { ScriptedStorage } from './scripted-storage.ts'

const TOPIC = '00112233445566778899aabbccddeeff' as TopicId
const RECORD = { key: null, value: Buffer.from('v'), headers: [], timestampMs: 5 }
const BATCH = Uint8Array.from(encodeBatch([{ ...RECORD, media: 2 }]))
const DAMAGED: Refusal = {
  ok: false,
  code: 'partition-damaged',
  detail: 'It is.',
  committed: 'no',
  members: { at: 3 },
}

let clock: SimClock
let cluster: DirectCluster
let storage: ScriptedStorage
let client: StorageClient
let caller: AbortController

beforeEach(() => {
  clock = new SimClock()
  cluster = new DirectCluster({ clock })
  storage = new ScriptedStorage()
  registerStorageEndpoints(cluster.service, storage, clock)
  client = new StorageClient(cluster.client, cluster.target)
  caller = new AbortController()
})

const soon = () => ({ deadlineMs: clock.monotonicMs() + 1000, signal: caller.signal })
const request = (partition: number): AppendRequest => ({
  topicId: TOPIC,
  partition,
  leaderEpoch: 4,
  acks: -1,
  batch: Uint8Array.from(BATCH),
})
const appendedAt = (baseOffset: number): Appended => ({ ok: true, baseOffset, appendTimeMs: -1 })

function append(count: number): AppendCalls {
  return client.append(
    Array.from({ length: count }, (_, partition) => request(partition)),
    soon(),
  )
}

const allOf = ({ results }: AppendCalls) => Promise.all(results)

test('a node is asked what it holds, and to hand back what it leads', async () => {
  const log = { leads: false, lastEpoch: 3, logStartOffset: 5, logEndOffset: 9, damaged: true }
  registerOperatorEndpoints(cluster.service, {
    handBack: async ({ partition }) => partition === 1,
    replicaLogs: (asked) => asked.map(({ partition }) => (partition === 1 ? log : undefined)),
  })
  const places = [2, 1].map((partition) => ({ topicId: TOPIC, partition }))
  expect(await client.replicaLogs(places, soon())).toEqual([undefined, log])
  expect(await client.handBack(TOPIC, 1, soon())).toBe(true)
  expect(await client.handBack(TOPIC, 2, soon())).toBe(false)
})

describe('append', () => {
  test('brings the requests as they were', async () => {
    append(2)
    const { requests } = await storage.appends.next()
    expect(
      requests.map(({ batch, ...rest }) => ({ ...rest, batch: Uint8Array.from(batch) })),
    ).toEqual([request(0), request(1)])
  })

  test('settles each request as its result comes, in any order', async () => {
    const { results } = append(3)
    const { settle, admitted } = await storage.appends.next()
    admitted()
    settle[2]?.(appendedAt(40))
    expect(await results[2]).toEqual(appendedAt(40))
    settle[0]?.(DAMAGED)
    expect(await results[0]).toEqual(DAMAGED)
    settle[1]?.(appendedAt(8))
    expect(await results[1]).toEqual(appendedAt(8))
  })

  test('tells when the node has admitted all, before any is durable', async () => {
    const { admitted, results } = append(2)
    const order: string[] = []
    const watched = admitted.then(() => order.push('admitted at the caller'))
    const script = await storage.appends.next()
    await clock.runFor(10)
    order.push('admitted at the node')
    script.admitted()
    await clock.run(watched)
    for (const settle of script.settle) settle(appendedAt(1))
    await Promise.all(results)
    expect(order).toEqual(['admitted at the node', 'admitted at the caller'])
  })

  test('waits a little for the first result, that the head of the answer may leave with it', async () => {
    const { admitted, results } = append(2)
    const script = await storage.appends.next()
    script.admitted()
    const startMs = clock.monotonicMs()
    script.settle[1]?.(appendedAt(1))
    await Promise.all([admitted, results[1]])
    expect(clock.monotonicMs()).toBe(startMs)
    script.settle[0]?.(appendedAt(1))
    await results[0]
  })

  test('of nothing ends at once', async () => {
    const { admitted, results } = append(0)
    await admitted
    expect(results).toEqual([])
    await expect.poll(() => cluster.service.underWay).toBe(0)
  })

  test('that was not sent is a definite no', async () => {
    cluster.failure = new TransportError('connection refused', false)
    const calls = append(2)
    await calls.admitted
    for (const result of await allOf(calls)) {
      expect(result).toMatchObject({ ok: false, code: 'partition-unavailable', committed: 'no' })
    }
  })

  test('that was sent and not answered may have been done', async () => {
    cluster.failure = new TransportError('connection reset', true)
    for (const result of await allOf(append(2))) {
      expect(result).toMatchObject({ ok: false, code: 'outcome-unknown', committed: 'unknown' })
    }
  })

  test('that a node refuses as a whole is refused for each request', async () => {
    cluster.service.drain()
    expect(await allOf(append(1))).toMatchObject([{ code: 'draining', committed: 'no' }])
    const other = new StorageClient(cluster.client, { ...cluster.target, incarnation: 99 })
    const { results } = other.append([request(0)], soon())
    expect(await results[0]).toMatchObject({ code: 'draining' })
  })

  test('that another incarnation is meant for is a definite no', async () => {
    const other = new StorageClient(cluster.client, { ...cluster.target, incarnation: 99 })
    const { results } = other.append([request(0)], soon())
    expect(await results[0]).toMatchObject({ code: 'partition-unavailable', committed: 'no' })
  })

  test('keeps the results that came before the connection broke', async () => {
    const broke = Promise.withResolvers<void>()
    cluster.onAnswer = async function* (body) {
      for await (const chunk of body) {
        yield chunk
        await broke.promise
        throw new TransportError('connection reset', true)
      }
    }
    const { results } = append(2)
    const { settle, admitted } = await storage.appends.next()
    admitted()
    settle[0]?.(appendedAt(3))
    expect(await results[0]).toEqual(appendedAt(3))
    broke.resolve()
    expect(await results[1]).toMatchObject({ code: 'outcome-unknown', committed: 'unknown' })
  })

  test.each([
    ['ends too early', []],
    ['has a result twice', [0, 0]],
    ['has a result of no request', [0, 2]],
  ])('whose answer %s leaves the rest open', async (_, indexes) => {
    cluster.onAnswer = async function* () {
      for (const index of indexes) yield encodeAppendFrame({ index, result: appendedAt(6) })
    }
    const { results } = append(2)
    const { settle, admitted } = await storage.appends.next()
    admitted()
    settle[0]?.(appendedAt(6))
    expect(await results[1]).toMatchObject({ code: 'outcome-unknown' })
    const first = indexes.length === 0 ? { code: 'outcome-unknown' } : appendedAt(6)
    expect(await results[0]).toMatchObject(first)
  })

  test('that is given up leaves open what was not settled, and the node learns of it', async () => {
    const { results } = append(2)
    const { settle, signal, admitted } = await storage.appends.next()
    admitted()
    settle[0]?.(appendedAt(3))
    await results[0]
    caller.abort()
    expect(await results[1]).toMatchObject({ code: 'outcome-unknown' })
    expect(signal.aborted).toBe(true)
  })

  test('ends at its deadline', async () => {
    const { results } = append(1)
    const { admitted } = await storage.appends.next()
    admitted()
    expect(await clock.run(results[0] as Promise<Refusal>)).toMatchObject({
      code: 'outcome-unknown',
    })
    expect(clock.monotonicMs()).toBe(1000)
  })
})

describe('fetch', () => {
  const fetchOf = { positions: [{ topicId: TOPIC, partition: 3, offset: 9, lastEpoch: -1 }] }
  const fetchRequest = { ...fetchOf, maxBytes: 1000, waitMs: 500, isolation: 'committed' as const }

  test('brings the batches of all partitions, and refusals', async () => {
    const results: FetchResult[] = [
      {
        ok: true,
        topicId: TOPIC,
        partition: 3,
        batches: [BATCH, BATCH],
        nextOffset: 11,
        highWatermark: 20,
        logStartOffset: 2,
      },
      { ...DAMAGED, topicId: TOPIC, partition: 4 },
    ]
    const fetched = client.fetch(fetchRequest, soon())
    const script = await storage.fetches.next()
    expect(script.request).toEqual({ ...fetchRequest, fromFollower: false })
    script.answer(results)
    const plain = (await fetched).map((it) =>
      it.ok ? { ...it, batches: it.batches.map((batch) => Uint8Array.from(batch)) } : it,
    )
    expect(plain).toEqual(results)
  })

  test('that is given up stops waiting at the node', async () => {
    const fetched = client.fetch(fetchRequest, soon())
    const { signal, fail } = await storage.fetches.next()
    signal.addEventListener('abort', () => fail(signal.reason))
    caller.abort()
    await expect(fetched).rejects.toMatchObject({
      code: 'partition-unavailable',
      cause: { reason: 'aborted' },
    })
    expect(signal.aborted).toBe(true)
  })

  test('whose answer cannot be read is no answer', async () => {
    cluster.onAnswer = async function* (body) {
      for await (const chunk of body) yield Buffer.alloc(chunk.length, 0xff)
    }
    const fetched = client.fetch(fetchRequest, soon())
    ;(await storage.fetches.next()).answer([])
    await expect(fetched).rejects.toMatchObject({
      code: 'partition-unavailable',
      cause: { reason: 'broken', definitelyNotDone: false },
    })
  })
})

describe('small calls', () => {
  test('carry their arguments and answers', async () => {
    storage.offsetsAnswer = {
      logStartOffset: 1,
      highWatermark: 5,
      logEndOffset: 7,
      sizeBytes: 900,
      leaderEpoch: 3,
    }
    storage.resolveAnswer = { offset: 6, lastEpoch: -1 }
    storage.deleteAnswer = { logStartOffset: 4 }
    expect(await client.offsets(TOPIC, 1, soon())).toEqual(storage.offsetsAnswer)
    const places = [0, 1].map((partition) => ({ topicId: TOPIC, partition }))
    expect(await client.offsetsOf(places, soon())).toEqual([
      { ...storage.offsetsAnswer, logStartOffset: 0 },
      undefined,
    ])
    expect(await client.resolveOffset(TOPIC, 2, { timeMs: 77 }, soon())).toEqual({
      offset: 6,
      lastEpoch: -1,
    })
    expect(await client.deleteRecords(TOPIC, 3, 4, soon())).toEqual({ logStartOffset: 4 })
    expect(storage.calls).toEqual([[TOPIC, 1], places, [TOPIC, 2, { timeMs: 77 }], [TOPIC, 3, 4]])
  })

  test('fail as the node says', async () => {
    const members = { tail: 12 }
    storage.deleteAnswer = new ServiceError('offset-out-of-range', 'Ends at 12.', { members })
    const call = client.deleteRecords(TOPIC, 0, 99, soon())
    const expected = { code: 'offset-out-of-range', message: 'Ends at 12.', committed: 'no' }
    await expect(call).rejects.toMatchObject({ ...expected, options: { members } })
  })

  test('tell a deletion that may have happened from one that has not', async () => {
    storage.deleteAnswer = { logStartOffset: 4 }
    cluster.failure = new TransportError('connection reset', true)
    await expect(client.deleteRecords(TOPIC, 0, 4, soon())).rejects.toMatchObject({
      code: 'outcome-unknown',
      committed: 'unknown',
    })
    cluster.failure = new TransportError('connection refused', false)
    await expect(client.deleteRecords(TOPIC, 0, 4, soon())).rejects.toMatchObject({
      code: 'partition-unavailable',
      committed: 'no',
    })
  })
})

describe('replica fetch', () => {
  const fetchRequest: ReplicaFetchRequest = {
    followerId: 1,
    incarnation: 5,
    sessionId: 0,
    sessionStep: 0,
    positions: [],
    forget: [{ topicId: TOPIC, partition: 1 }],
    maxBytes: 100,
    waitMs: 10,
  }

  test('reaches the leader of its session', async () => {
    const answers: ReplicaFetchReply[] = [
      'session-unknown',
      { sessionId: 9, sessionStep: 1, parts: [] },
    ]
    const asked: ReplicaFetchRequest[] = []
    registerReplicaEndpoint(cluster.service, async (it) => {
      asked.push(it)
      return answers.shift() ?? 'session-unknown'
    })
    expect(await client.replicaFetch(fetchRequest, soon())).toBe('session-unknown')
    expect(await client.replicaFetch(fetchRequest, soon())).toMatchObject({ sessionId: 9 })
    expect(asked).toEqual([fetchRequest, fetchRequest])
  })

  test('for somebody else is refused', async () => {
    registerReplicaEndpoint(cluster.service, async () => 'session-unknown')
    for (const lie of [{ followerId: 3 }, { incarnation: 6 }]) {
      await expect(client.replicaFetch({ ...fetchRequest, ...lie }, soon())).rejects.toMatchObject({
        cause: { refusal: 'malformed-call' },
      })
    }
  })
})
