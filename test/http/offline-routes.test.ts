import { expect, test } from 'vitest'
import { OfflinePartitions } from '../../src/front/offline-partitions.ts'
import { offlineRoutes } from '../../src/http/public/offline-routes.ts'
import type { PartitionImage } from '../../src/metadata/metadata-image.ts'
import type { ReplicaLog } from '../../src/wire/internal.ts'
import { FakeMetadata, topicImage } from '../front/topics.ts'
import { testApp } from './test-app.ts'

/** By node, of every partition of the topic. */
type Logs = Readonly<Record<number, Partial<ReplicaLog>>>

const log = (fields: Partial<ReplicaLog>): ReplicaLog => {
  return {
    leads: false,
    lastEpoch: 7,
    logStartOffset: 0,
    logEndOffset: 0,
    damaged: false,
    ...fields,
  }
}

async function answerFor(states: readonly Partial<PartitionImage>[], logs: Logs) {
  const base = topicImage('t', states.length)
  const partitions = base.partitions.map((state, p) => {
    return { ...state, replicas: [1, 2, 3], isr: [2], ...states[p] }
  })
  const metadata = new FakeMetadata([])
  const up = [1, 2, 4].map((id) => {
    return [id, { id, url: '', rack: '', incarnation: 1, draining: false }] as const
  })
  metadata.set([{ ...base, partitions }], new Map(up))
  const calls: number[] = []
  const offline = new OfflinePartitions({
    metadata,
    replicaLogs: async (node, places) => {
      calls.push(node)
      const own = logs[node]
      return own === undefined ? [] : places.map(() => log(own))
    },
  })
  const app = testApp()
  offlineRoutes(app, { offline })
  await app.ready()
  const answer = await app.inject('/v1/offline-partitions')
  await app.close()
  return { calls, status: answer.statusCode, body: answer.json() }
}

test('what each replica of a partition without a leader holds, the most first', async () => {
  const { status, body } = await answerFor([{ leader: -1, elr: [3] }], {
    1: { lastEpoch: 6, logEndOffset: 900 },
    2: { lastEpoch: 7, logEndOffset: 40, logStartOffset: 10 },
  })
  expect(status).toBe(200)
  expect(body).toEqual({
    count: 1,
    partitions: [
      {
        topic: 't',
        partition: 0,
        leader: -1,
        leaderEpoch: 7,
        isr: [2],
        elr: [3],
        replicas: [
          { node: 2, state: 'up', lastEpoch: 7, logStartOffset: 10, logEndOffset: 40 },
          { node: 1, state: 'up', lastEpoch: 6, logStartOffset: 0, logEndOffset: 900 },
          { node: 3, state: 'gone' },
        ],
      },
    ],
  })
})

test('a leader that is gone, or does not act as one, counts as none; a damaged log comes last', async () => {
  const states = [{ leader: 3 }, { leader: 1 }, { leader: 2 }]
  const { body } = await answerFor(states, {
    1: { logEndOffset: 50, damaged: true },
    2: { leads: true, logEndOffset: 20 },
  })
  const { count, partitions } = body as { count: number; partitions: Record<string, unknown>[] }
  expect(count).toBe(2)
  expect(partitions.map(({ partition }) => partition)).toEqual([0, 1])
  expect(partitions[0]?.['replicas']).toMatchObject([
    { node: 2, logEndOffset: 20 },
    { node: 1, logEndOffset: 50, damaged: true },
    { node: 3, state: 'gone' },
  ])
})

test('all is well: nothing, and only leaders were asked', async () => {
  const { body, calls } = await answerFor([{ leader: 2 }, { leader: 2 }], { 2: { leads: true } })
  expect(body).toEqual({ count: 0, partitions: [] })
  expect(calls).toEqual([2])
})

test('of very many the first are described, and all are counted', async () => {
  const states = Array.from({ length: 150 }, () => ({ leader: -1 }))
  const { body, calls } = await answerFor(states, { 1: {}, 2: {} })
  expect(body).toMatchObject({ count: 150 })
  expect((body as { partitions: unknown[] }).partitions).toHaveLength(100)
  expect(calls.toSorted()).toEqual([1, 2, 3])
})
