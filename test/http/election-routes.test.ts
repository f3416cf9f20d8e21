import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { nullLogger } from '../../src/env/logger.ts'
import { PartitionElections } from '../../src/front/partition-elections.ts'
import type { App } from '../../src/http/app.ts'
import { electionRoutes } from '../../src/http/public/election-routes.ts'
import { ServiceError } from '../../src/lib/service-error.ts'
import { nodeKey, partitionMetadataKey } from '../../src/metadata/metadata-keys.ts'
import { encodePartition } from '../../src/metadata/metadata-records.ts'
import { makeFollowedStore } from '../metadata/temp-store.ts'
import { NEVER, name, topicId, topicPut } from '../metadata/topic-fixtures.ts'
import { ledByFirst } from '../replication/control-world.ts'
import { testApp } from './test-app.ts'

const ID = topicId(1)
const PATH = '/v1/topics/t/partitions/0/election'

describe('election routes', () => {
  let base: Awaited<ReturnType<typeof makeFollowedStore>>
  let app: App
  let logged: object[]

  beforeEach(async () => {
    base = await makeFollowedStore()
    logged = []
    const logger = { ...nullLogger, warn: (fields: object) => void logged.push(fields) }
    const elections = new PartitionElections({ ...base, view: base.follower, logger })
    const topic = (text: string) => {
      const found = base.follower.image.topics.get(name(text))
      if (found === undefined) throw new ServiceError('topic-not-found', `no ${text}`)
      return found
    }
    app = testApp()
    electionRoutes(app, { front: { topic }, elections })
    await app.ready()
    const state = { ...ledByFirst([1, 2]), leader: -1, isr: [1] }
    const { revision } = await base.store.transact({
      compare: [],
      put: [
        { key: partitionMetadataKey(ID, 0), value: encodePartition(state) },
        { key: nodeKey(2), value: '{"url":"","rack":""}' },
        topicPut('t', ID, 1),
      ],
    })
    await base.follower.waitForVersion(revision, NEVER)
  })
  afterEach(async () => {
    await app.close()
    await base.close()
  })

  async function elect(payload?: object, url = PATH) {
    const headers = { 'request-id': 'by-hand' }
    const body = payload === undefined ? {} : { payload }
    const answer = await app.inject({ method: 'POST', url, headers, ...body })
    return { status: answer.statusCode, body: answer.json() }
  }

  test('elects a replica that may lack records, and logs who asked', async () => {
    const { status, body } = await elect({ node: 2, acceptDataLoss: true })
    expect(status).toBe(200)
    expect(body).toEqual({
      topic: 't',
      partition: 0,
      leader: 2,
      leaderEpoch: 1,
      isr: [2],
      elr: [],
      unclean: { at: '2026-01-01T00:00:00.000Z', leaderEpoch: 1 },
    })
    expect(logged).toMatchObject([{ requestId: 'by-hand', topic: 't', partition: 0, node: 2 }])
  })

  test.each([
    [{ node: 2 }, '/acceptDataLoss'],
    [{ node: 2, acceptDataLoss: false }, '/acceptDataLoss'],
    [{ acceptDataLoss: true }, '/node'],
    [{ node: 7, acceptDataLoss: true }, '/node'],
    [{ node: 2, acceptDataLoss: true, force: true }, '/force'],
  ])('%o is refused', async (payload, pointer) => {
    const { status, body } = await elect(payload)
    expect([status, body.code, body.errors[0].pointer]).toEqual([422, 'invalid-request', pointer])
    expect(logged).toEqual([])
  })

  test('says why the preferred leader cannot lead, with a body and without', async () => {
    for (const payload of [undefined, {}]) {
      const { status, body } = await elect(payload)
      expect([status, body.code]).toEqual([409, 'election-refused'])
      expect(body.detail).toContain('node 1, the preferred leader, is not up')
    }
  })

  test('what is not there is 404', async () => {
    expect((await elect({}, '/v1/topics/t/partitions/1/election')).body.code).toBe(
      'partition-not-found',
    )
    expect((await elect({}, '/v1/topics/u/partitions/0/election')).body.code).toBe(
      'topic-not-found',
    )
  })
})
