/** Topics: ensure, describe, list, change, delete. */
import { describe, expect, it } from 'vitest'
import { RawConnection } from '../support/raw-connection.ts'
import type { Api } from './api.ts'

/** The settings that PROTOCOL.md lists, with their defaults for a single node or a larger cluster. */
const DEFAULTS = {
  cleanup: 'delete',
  retentionMs: 604_800_000,
  retentionBytes: -1,
  segmentBytes: 268_435_456,
  segmentMs: 604_800_000,
  minCleanableDirtyRatio: 0.5,
  minCompactionLagMs: 0,
  maxCompactionLagMs: -1,
  deleteRetentionMs: 86_400_000,
  maxRecordBytes: 1_048_576,
  timestamps: 'create',
  flush: 'commit',
  lingerMs: 0,
  batchBytes: 262_144,
}

interface Topic {
  readonly name: string
  readonly topicId: string
  readonly [setting: string]: unknown
}

interface TopicPage {
  readonly topics: readonly Topic[]
  readonly next?: string | null
}

export function describeTopics(api: Api): void {
  describe('topics', () => {
    describeEnsure(api)
    describeNames(api)
    describeList(api)
    describeChange(api)
    describeDelete(api)
  })
}

function describeEnsure(api: Api): void {
  const put = (name: string, body: unknown) => api.callJson('PUT', `/v1/topics/${name}`, body)

  it('creates with 201 and a Location, and answers 200 with the same document when repeated', async () => {
    const name = api.freshName('ensure')
    const created = await put(name, { partitions: 3, retentionMs: 3_600_000 })
    expect(created.status, created.text).toBe(201)
    expect(created.header('location')).toMatch(new RegExp(`/v1/topics/${name}$`))
    const repeated = await put(name, { partitions: 3, retentionMs: 3_600_000 })
    expect([repeated.status, repeated.json()]).toEqual([200, created.json()])
    const described = await api.call('GET', `/v1/topics/${name}`)
    expect([described.status, described.json()]).toEqual([200, created.json()])
  })

  it('has six partitions and the documented defaults when nothing is said', async () => {
    const name = api.freshName('defaults')
    const topic = (await put(name, {})).json<Topic>()
    expect(topic).toMatchObject({ name, ...DEFAULTS })
    expect(topic.topicId).toMatch(/^[0-9a-f]{32}$/)
    await api.produce(name, [{ partition: 5, value: 0 }])
    const seventh = await api.publish(name, 'x', { query: '?partition=6' })
    api.expectProblem(seventh, 'partition-not-found')
  })

  it('can be made without a body', async () => {
    const name = api.freshName('bodyless')
    const answer = await api.call('PUT', `/v1/topics/${name}`)
    expect(answer.status, answer.text).toBe(201)
  })

  it('answers 409 and names each setting that differs, and only those that the request names', async () => {
    const name = api.freshName('differs')
    await put(name, { partitions: 2, retentionMs: 1_000_000, lingerMs: 3 })
    const answer = await put(name, { partitions: 3, retentionMs: 2_000_000, lingerMs: 3 })
    const { errors = [] } = api.expectProblem(answer, 'topic-differs')
    expect(errors.map(({ pointer }) => pointer).toSorted()).toEqual(['/partitions', '/retentionMs'])
    expect((await put(name, { partitions: 2 })).status).toBe(200)
    expect((await put(name, {})).status).toBe(200)
  })

  it('is made once by many who ask at the same time', async () => {
    const name = api.freshName('race')
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => put(name, { partitions: 2 })),
    )
    const statuses = answers.map(({ status }) => status)
    expect(statuses.toSorted()).toEqual([...Array.from({ length: 19 }, () => 200), 201])
    expect(new Set(answers.map((answer) => answer.json<Topic>().topicId)).size).toBe(1)
  })

  it('takes the shorthand `profile` for linger and batch size', async () => {
    const name = api.freshName('profile')
    const topic = (await put(name, { profile: 'throughput' })).json<Topic>()
    expect(topic).toMatchObject({ lingerMs: 5, batchBytes: 1_048_576 })
  })

  it.each([
    ['an unknown setting', { retention: 5 }, '/retention'],
    ['no partitions', { partitions: 0 }, '/partitions'],
    ['too many partitions', { partitions: 10_001 }, '/partitions'],
    ['a number as text', { partitions: '3' }, '/partitions'],
    ['half a partition', { partitions: 1.5 }, '/partitions'],
    ['a wrong word', { timestamps: 'server' }, '/timestamps'],
    ['a wrong flush', { flush: 'never' }, '/flush'],
    ['a negative time', { retentionMs: -2 }, '/retentionMs'],
    ['more copies than nodes', { replicationFactor: 100 }, '/replicationFactor'],
  ])('refuses %s and makes nothing', async (_, body, pointer) => {
    const name = api.freshName('invalid')
    const answer = await put(name, body)
    const { errors = [] } = api.expectProblem(answer, 'invalid-request')
    expect(errors.map((error) => error.pointer)).toContain(pointer)
    expect((await api.call('GET', `/v1/topics/${name}`)).status).toBe(404)
  })

  it('refuses a body that is not JSON', async () => {
    const path = `/v1/topics/${api.freshName('not-json')}`
    const headers = { 'content-type': 'application/json' }
    const answer = await api.call('PUT', path, { headers, body: '{partitions:1}' })
    api.expectProblem(answer, 'malformed-request')
    const text = await api.call('PUT', path, {
      headers: { 'content-type': 'text/plain' },
      body: '{}',
    })
    api.expectProblem(text, 'unsupported-media-type')
  })
}

function describeNames(api: Api): void {
  it.each(['.', '..', '%2e', '%2E%2e'])('refuses the name %s, sent as it is', async (name) => {
    const { hostname, port, host } = new URL(api.baseUrl)
    const connection = await RawConnection.open(Number(port || 80), hostname)
    connection.write(
      `PUT /v1/topics/${name} HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`,
    )
    expect([400, 404]).toContain(await connection.status())
    connection.destroy()
  })

  it.each(['a b', 'ä', 'a/b', 'a%00b', 'x'.repeat(250), 'a\nb'])(
    'refuses the name %.20j',
    async (name) => {
      const answer = await api.callJson('PUT', `/v1/topics/${encodeURIComponent(name)}`, {})
      expect([400, 404], answer.text).toContain(answer.status)
    },
  )

  it('takes names of 249 characters and of every allowed one', async () => {
    const long = api.freshName('long').padEnd(249, 'x')
    const odd = `${api.freshName('odd')}_.-Az09`
    for (const name of [long, odd]) {
      expect((await api.callJson('PUT', `/v1/topics/${name}`, { partitions: 1 })).status).toBe(201)
      await api.publish(name, 'x')
      expect((await api.read(name)).records[0]?.topic).toBe(name)
      expect((await api.call('DELETE', `/v1/topics/${name}`)).status).toBe(202)
    }
  })

  it('keeps names that start with two underscores for itself', async () => {
    const answer = await api.callJson('PUT', '/v1/topics/__mine', {})
    expect(answer.status, answer.text).toBe(400)
    const published = await api.publish('__mine', 'x')
    expect([400, 404], published.text).toContain(published.status)
  })

  it('tells names apart that differ in case only', async () => {
    const lower = await api.makeTopic('case')
    const upper = lower.toUpperCase()
    expect((await api.callJson('PUT', `/v1/topics/${upper}`, { partitions: 1 })).status).toBe(201)
    await api.publish(upper, 'x')
    await api.expectEmpty(lower)
    await api.call('DELETE', `/v1/topics/${upper}`)
  })
}

function describeList(api: Api): void {
  it('lists by pages in the order of names; `next` and Link lead on', async () => {
    const names: string[] = []
    for (let i = 0; i < 5; i++) names.push(await api.makeTopic(`page-${i}`))
    const seen: string[] = []
    let path: string | undefined = '/v1/topics?limit=2'
    while (path !== undefined) {
      const answer = await api.call('GET', path)
      expect(answer.status, answer.text).toBe(200)
      const page = answer.json<TopicPage>()
      expect(page.topics.length).toBeLessThanOrEqual(2)
      seen.push(...page.topics.map(({ name }) => name))
      const link = /<([^>]+)>;\s*rel="?next"?/.exec(answer.header('link') ?? '')?.[1]
      expect(link === undefined).toBe(page.next === undefined || page.next === null)
      const target: URL | undefined = link === undefined ? undefined : new URL(link, api.baseUrl)
      path = target && target.pathname + target.search
    }
    expect(seen).toEqual(seen.toSorted((a, b) => (a < b ? -1 : 1)))
    expect(seen).toEqual(expect.arrayContaining(names))
    expect(new Set(seen).size).toBe(seen.length)
  })

  it('after= starts behind a name, whether there is such a topic or not', async () => {
    const name = await api.makeTopic('after')
    const before = name.slice(0, -1)
    const { topics } = (
      await api.call('GET', `/v1/topics?limit=1&after=${before}`)
    ).json<TopicPage>()
    expect(topics[0]?.name).toBe(name)
    const { topics: later } = (await api.call('GET', `/v1/topics?after=${name}`)).json<TopicPage>()
    expect(later.map((topic) => topic.name)).not.toContain(name)
  })

  it.each(['?limit=0', '?limit=x', '?limit=-1'])('refuses %s', async (query) => {
    api.expectProblem(await api.call('GET', `/v1/topics${query}`), 'invalid-parameter')
  })

  it('refuses an unknown parameter', async () => {
    api.expectProblem(await api.call('GET', '/v1/topics?offset=3'), 'unknown-parameter')
  })
}

function describeChange(api: Api): void {
  const patch = (name: string, body: unknown) => api.callJson('PATCH', `/v1/topics/${name}`, body)

  it('changes the settings that it names and leaves the others', async () => {
    const name = await api.makeTopic('change', { retentionMs: 1_000_000, lingerMs: 2 })
    const answer = await patch(name, { retentionMs: -1 })
    expect(answer.status, answer.text).toBe(200)
    expect(answer.json()).toMatchObject({ retentionMs: -1, lingerMs: 2 })
    expect((await api.call('GET', `/v1/topics/${name}`)).json()).toEqual(answer.json())
  })

  it.each([
    ['partitions', 2],
    ['partitions', 4],
    ['flush', 'os'],
  ])('refuses another value of %s, which is fixed', async (setting, value) => {
    const name = await api.makeTopic('fixed', { partitions: 3 })
    const answer = await patch(name, { [setting]: value, lingerMs: 9 })
    const { errors = [] } = api.expectProblem(answer, 'invalid-request')
    expect(errors.map(({ pointer }) => pointer)).toEqual([`/${setting}`])
    expect((await api.call('GET', `/v1/topics/${name}`)).json<Topic>()).toMatchObject({
      lingerMs: 0,
    })
    expect((await patch(name, { partitions: 3, flush: 'commit' })).status).toBe(200)
  })

  it('refuses what it does not know, and a topic that is not there', async () => {
    const name = await api.makeTopic('patch-invalid')
    api.expectProblem(await patch(name, { nme: 'x' }), 'invalid-request')
    api.expectProblem(await patch(name, { retentionMs: 'x' }), 'invalid-request')
    api.expectProblem(await patch(api.freshName('missing'), { lingerMs: 1 }), 'topic-not-found')
  })

  it('applies a change of maxRecordBytes to the next record', async () => {
    const name = await api.makeTopic('smaller')
    expect((await patch(name, { maxRecordBytes: 2_000 })).status).toBe(200)
    api.expectProblem(await api.publish(name, 'x'.repeat(2_001)), 'record-too-large')
  })
}

function describeDelete(api: Api): void {
  it('answers 202; then the topic and its records are gone, and the name is free again', async () => {
    const name = await api.makeTopic('delete')
    const { topicId } = (await api.call('GET', `/v1/topics/${name}`)).json<Topic>()
    await api.produceNumbers(name, 3)
    const answer = await api.call('DELETE', `/v1/topics/${name}`)
    expect([answer.status, answer.text]).toEqual([202, ''])
    await expect
      .poll(async () => (await api.call('GET', `/v1/topics/${name}`)).status, { timeout: 20_000 })
      .toBe(404)
    await expect
      .poll(
        async () => (await api.callJson('PUT', `/v1/topics/${name}`, { partitions: 1 })).status,
        {
          timeout: 20_000,
        },
      )
      .toBe(201)
    expect((await api.call('GET', `/v1/topics/${name}`)).json<Topic>().topicId).not.toBe(topicId)
    await api.expectEmpty(name)
    expect((await api.produce(name, [{ value: 1 }])).records[0]?.offset).toBe(0)
  })

  it('answers 404 for a topic that is not there', async () => {
    const path = `/v1/topics/${api.freshName('missing')}`
    api.expectProblem(await api.call('DELETE', path), 'topic-not-found')
  })
}
