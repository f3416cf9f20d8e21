/** Appends that happen only at a known tail. */
import { describe, expect, it } from 'vitest'
import type { Answer } from '../support/http-client.ts'
import type { Api } from './api.ts'

const ifMatch = (cursor: string): Record<string, string> => ({ 'if-match': `"${cursor}"` })

export function describeConditions(api: Api): void {
  describe('If-Match', () => {
    describeTail(api)
    describeForms(api)
  })
}

function describeTail(api: Api): void {
  it('appends only at the tail, and else names the current one', async () => {
    const topic = await api.makeTopic('tail')
    await api.publish(topic, '0')
    const { cursor } = await api.read(topic)
    const first = await api.publish(topic, '1', { headers: ifMatch(cursor) })
    expect(first.status, first.text).toBe(201)
    const second = await api.publish(topic, '2', { headers: ifMatch(cursor) })
    const { tail = '', partition, offset } = api.expectProblem(second, 'precondition-failed')
    expect({ partition, offset }).toEqual({ partition: 0, offset: 2 })
    const third = await api.publish(topic, '3', { headers: ifMatch(tail) })
    expect(third.status, third.text).toBe(201)
    expect((await api.read(topic)).records.map(({ value }) => value)).toEqual([0, 1, 3])
  })

  it('gives the next tail as ETag, on publish and on produce, so that appends can be chained', async () => {
    const topic = await api.makeTopic('chain')
    let etag = `"${(await api.read(topic)).cursor}"`
    for (let i = 0; i < 3; i++) {
      const published: Answer = await api.publish(topic, `${i}`, { headers: { 'if-match': etag } })
      expect(published.status, published.text).toBe(201)
      const records = [{ value: 'a' }, { value: 'b' }]
      const path = `/v1/topics/${topic}/records`
      const produced: Answer = await api.callJson(
        'POST',
        path,
        { records },
        {
          'if-match': published.header('etag') ?? '',
        },
      )
      expect(produced.status, produced.text).toBe(200)
      etag = produced.header('etag') ?? ''
    }
    expect((await api.readAll(topic)).length).toBe(9)
  })

  it('lets exactly one of many writers win', async () => {
    const topic = await api.makeTopic('race')
    const { cursor } = await api.read(topic)
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        api.publish(topic, `${i}`, { headers: ifMatch(cursor) }),
      ),
    )
    const statuses = answers.map(({ status }) => status).toSorted()
    expect(statuses).toEqual([201, ...Array.from({ length: 19 }, () => 412)])
    expect((await api.readAll(topic)).length).toBe(1)
  })

  it('takes a cursor of several partitions for the one that each record names', async () => {
    const topic = await api.makeTopic('several', { partitions: 3 })
    const { cursor } = await api.read(topic)
    const headers = ifMatch(cursor)
    expect((await api.publish(topic, 'a', { query: '?partition=1', headers })).status).toBe(201)
    const again = await api.publish(topic, 'b', { query: '?partition=1', headers })
    api.expectProblem(again, 'precondition-failed')
    expect((await api.publish(topic, 'c', { query: '?partition=2', headers })).status).toBe(201)
  })
}

function describeForms(api: Api): void {
  it('refuses a damaged cursor, and one of another topic', async () => {
    const topic = await api.makeTopic('bad')
    const other = await api.makeTopic('other')
    const { cursor } = await api.read(other)
    for (const headers of [ifMatch('nonsense'), ifMatch(cursor)]) {
      api.expectProblem(await api.publish(topic, 'v', { headers }), 'bad-cursor')
    }
    await api.expectEmpty(topic)
  })

  it('refuses every other form of the header, and acks=0', async () => {
    const topic = await api.makeTopic('forms', { partitions: 2 })
    const { cursor } = await api.read(topic, '?partition=0')
    for (const value of ['*', cursor, `W/"${cursor}"`, `"${cursor}", "${cursor}"`]) {
      const answer = await api.publish(topic, 'v', { headers: { 'if-match': value } })
      expect(api.expectProblem(answer, 'invalid-parameter').errors?.[0]?.pointer).toMatch(
        /if-match/i,
      )
    }
    const headers = ifMatch(cursor)
    const unanswered = await api.publish(topic, 'v', { query: '?acks=0', headers })
    api.expectProblem(unanswered, 'invalid-parameter')
    await api.expectEmpty(topic)
  })

  it("refuses records of other partitions than the cursor's", async () => {
    const topic = await api.makeTopic('elsewhere', { partitions: 2 })
    const { cursor } = await api.read(topic, '?partition=0')
    const headers = ifMatch(cursor)
    const answer = await api.publish(topic, 'v', { query: '?partition=1', headers })
    expect([400, 422], answer.text).toContain(answer.status)
    await api.expectEmpty(topic)
  })

  it('is refused on an upload', async () => {
    const topic = await api.makeTopic('upload')
    const { cursor } = await api.read(topic)
    const answer = await api.call('POST', `/v1/topics/${topic}/records?stream=true`, {
      headers: { ...ifMatch(cursor), 'content-type': 'application/x-ndjson' },
      body: '{"value":1}\n',
    })
    api.expectProblem(answer, 'unsupported-header')
    await api.expectEmpty(topic)
  })
}
