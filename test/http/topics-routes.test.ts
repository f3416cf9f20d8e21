import { Ajv } from 'ajv'
import addFormats from 'ajv-formats'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { defaultTopicConfig } from '../../src/core/topic.ts'
import { TopicAdmin } from '../../src/front/topic-admin.ts'
import type { App } from '../../src/http/app.ts'
import { topicsRoutes } from '../../src/http/public/topics-routes.ts'
import type { PartitionOffsets, PartitionPlace } from '../../src/wire/internal.ts'
import { makeFollowedStore } from '../metadata/temp-store.ts'
import { testApp } from './test-app.ts'

describe('topics routes', () => {
  let base: Awaited<ReturnType<typeof makeFollowedStore>>
  let app: App
  let damaged: number | undefined
  let asked: string[]

  beforeEach(async () => {
    base = await makeFollowedStore()
    damaged = undefined
    asked = []
    app = testApp()
    const topics = new TopicAdmin({ ...base, view: base.follower }, { autoCreateTopics: true })
    topicsRoutes(app, { topics, storage: { offsetsOf } })
    await app.ready()
  })
  afterEach(async () => {
    await app.close()
    await base.close()
  })

  /** Each partition's numbers differ, so that none can stand for another. */
  async function offsetsOf(places: readonly PartitionPlace[]) {
    return places.map(({ topicId, partition }): PartitionOffsets | undefined => {
      asked.push(topicId)
      if (partition === damaged) return undefined
      return {
        logStartOffset: partition,
        highWatermark: partition + 10,
        logEndOffset: partition + 20,
        sizeBytes: partition + 1000,
        leaderEpoch: 0,
      }
    })
  }

  async function call(method: 'GET' | 'PUT' | 'PATCH' | 'DELETE', path: string, payload?: object) {
    const answer = await app.inject({
      method,
      url: path,
      ...(payload === undefined ? {} : { payload }),
    })
    const body = answer.body === '' ? undefined : answer.json()
    return { status: answer.statusCode, headers: answer.headers, body }
  }

  function expectFits(schema: string, body: unknown): void {
    const ajv = new Ajv({ strict: true, allErrors: true })
    addFormats.default(ajv)
    for (const known of Object.values(app.getSchemas())) ajv.addSchema(known as object)
    const validate = ajv.getSchema(`${schema}#`)!
    validate(body)
    expect(validate.errors).toBeNull()
  }

  test('creates a topic, with defaults and without a body', async () => {
    const { status, headers, body } = await call('PUT', '/v1/topics/orders')
    expect(status).toBe(201)
    expect(headers['location']).toBe('/v1/topics/orders')
    expectFits('Topic', body)
    expect(body).toEqual({
      name: 'orders',
      topicId: asked[0],
      partitionCount: 6,
      ...defaultTopicConfig(1),
      createdAt: '2026-01-01T00:00:00.000Z',
      partitions: [0, 1, 2, 3, 4, 5].map((partition) => ({
        partition,
        leader: 0,
        leaderEpoch: 0,
        replicas: [0],
        isr: [0],
        elr: [],
        earliest: partition,
        tail: partition + 10,
        sizeBytes: partition + 1000,
      })),
    })
  })

  test('the same again is 200 with the same document, others are 409', async () => {
    const created = await call('PUT', '/v1/topics/orders', { partitions: 2, profile: 'throughput' })
    const again = await call('PUT', '/v1/topics/orders', { partitions: 2, lingerMs: 5 })
    expect([again.status, again.body]).toEqual([200, created.body])
    expect(again.headers['location']).toBeUndefined()
    const other = await call('PUT', '/v1/topics/orders', { partitions: 3 })
    expect(other.status).toBe(409)
    expect(other.body).toMatchObject({
      code: 'topic-differs',
      committed: 'no',
      errors: [{ pointer: '/partitions', detail: 'is 2, not 3' }],
    })
  })

  test.each([
    [{ partition: 3 }, '/partition'],
    [{ partitions: '3' }, '/partitions'],
    [{ partitions: 10_001 }, '/partitions'],
    [{ retentionMs: 0 }, '/retentionMs'],
    [{ retentionBytes: -2 }, '/retentionBytes'],
    [{ segmentBytes: 100 }, '/segmentBytes'],
    [{ profile: 'fast' }, '/profile'],
    [{ minInsyncReplicas: 2 }, '/minInsyncReplicas'],
  ])('%o is refused, and nothing is made', async (payload, pointer) => {
    const { status, body } = await call('PUT', '/v1/topics/orders', payload)
    expect(status).toBe(422)
    expect(body.errors[0].pointer).toBe(pointer)
    expect((await call('GET', '/v1/topics/orders')).status).toBe(404)
  })

  test('says in words what a name must be, and that no age is 0', async () => {
    const name = await call('PUT', '/v1/topics/a%20b', {})
    expect(name.body.detail).toMatch(/^path parameter topic must be 1 to 249 of/)
    const age = await call('PUT', '/v1/topics/orders', { retentionMs: 0 })
    expect(age.body.detail).toBe('/retentionMs has a value that is not allowed')
  })

  test('a body of null names no settings, and is refused', async () => {
    const headers = { 'content-type': 'application/json' }
    const request = { method: 'PUT', url: '/v1/topics/orders', headers, payload: 'null' } as const
    const answer = await app.inject(request)
    expect(answer.json()).toMatchObject({ code: 'invalid-request', status: 422 })
  })

  test.each(['%20', 'a%2Fb', 'x'.repeat(250), '__internal'])(
    'the name %.20s is refused',
    async (name) => {
      const { status, body } = await call('PUT', `/v1/topics/${name}`, {})
      expect([status, body.code]).toEqual([400, 'invalid-parameter'])
    },
  )

  test('describes a topic; a partition that cannot be asked hides no other', async () => {
    await call('PUT', '/v1/topics/orders', { partitions: 2 })
    damaged = 1
    const { status, body } = await call('GET', '/v1/topics/orders')
    expect(status).toBe(200)
    expectFits('Topic', body)
    expect(body.partitions[0]).toMatchObject({ earliest: 0, tail: 10, sizeBytes: 1000 })
    expect(body.partitions[1]).toEqual({
      partition: 1,
      leader: 0,
      leaderEpoch: 0,
      replicas: [0],
      isr: [0],
      elr: [],
    })
  })

  test('lists by pages, with a link to the next', async () => {
    for (const name of ['b', 'c', 'a']) await call('PUT', `/v1/topics/${name}`, { partitions: 2 })
    asked = []
    const first = await call('GET', '/v1/topics?limit=2')
    expectFits('TopicList', first.body)
    expect(first.body.topics.map((topic: { name: string }) => topic.name)).toEqual(['a', 'b'])
    expect(first.body.topics[0]).toMatchObject({ partitionCount: 2, flush: 'commit' })
    expect(first.body.next).toBe('b')
    expect(first.headers['link']).toBe('</v1/topics?limit=2&after=b>; rel="next"')
    const second = await call('GET', '/v1/topics?limit=2&after=b')
    expectFits('TopicList', second.body)
    expect(second.body.topics.map((topic: { name: string }) => topic.name)).toEqual(['c'])
    expect([second.body.next, second.headers['link']]).toEqual([undefined, undefined])
    expect(asked).toEqual([])
  })

  test.each([
    ['limit=0', 'invalid-parameter'],
    ['limit=1001', 'invalid-parameter'],
    ['offset=2', 'unknown-parameter'],
  ])('a list with %s is refused', async (query, code) => {
    const { status, body } = await call('GET', `/v1/topics?${query}`)
    expect([status, body.code]).toEqual([400, code])
  })

  test('changes settings, and only those that may be changed', async () => {
    await call('PUT', '/v1/topics/orders', { partitions: 2 })
    const changed = await call('PATCH', '/v1/topics/orders', { retentionMs: -1, partitions: 2 })
    expect(changed.status).toBe(200)
    expectFits('Topic', changed.body)
    expect(changed.body.retentionMs).toBe(-1)
    expect((await call('GET', '/v1/topics/orders')).body).toEqual(changed.body)
    const grown = await call('PATCH', '/v1/topics/orders', { partitions: 3, lingerMs: 1 })
    expect(grown.status).toBe(422)
    expect(grown.body.errors).toEqual([
      { pointer: '/partitions', detail: 'is 2, not 3, and cannot be changed' },
    ])
    expect((await call('PATCH', '/v1/topics/orders', {})).status).toBe(422)
    expect((await call('PATCH', '/v1/topics/other', { lingerMs: 1 })).body.code).toBe(
      'topic-not-found',
    )
  })

  test('deletes with 202 and no body; a topic made again has another id', async () => {
    const first = await call('PUT', '/v1/topics/orders')
    const removed = await call('DELETE', '/v1/topics/orders')
    expect([removed.status, removed.body]).toEqual([202, undefined])
    expect((await call('GET', '/v1/topics/orders')).body.code).toBe('topic-not-found')
    expect((await call('DELETE', '/v1/topics/orders')).body.code).toBe('topic-not-found')
    const second = await call('PUT', '/v1/topics/orders')
    expect(second.status).toBe(201)
    expect(second.body.topicId).not.toBe(first.body.topicId)
  })
})
