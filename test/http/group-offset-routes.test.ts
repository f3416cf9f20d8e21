import { describe, expect, test } from 'vitest'
import { encodeBatch } from '../../src/core/record-batch.ts'
import { textRecord } from '../front/topics.ts'
import { orders, setUp } from './group-app.ts'

describe('offsets', () => {
  const commit = (curlew: ReturnType<typeof setUp>, body: object) =>
    curlew.call('POST', '/g/offsets', body)
  const place = { topic: 'orders', partition: 0, offset: 0 }

  test('have a note of a bounded size, set by whoever', async () => {
    await using curlew = setUp()
    const longest = [{ ...place, metadata: 'é'.repeat(2_048) }]
    expect((await commit(curlew, { offsets: longest })).statusCode).toBe(200)
    const offsets = [place, { ...place, metadata: 'é'.repeat(2_049) }]
    for (const method of ['POST', 'PUT'] as const) {
      const refused = await curlew.call(method, '/g/offsets', { offsets })
      expect(refused.json()).toMatchObject({
        code: 'invalid-request',
        errors: [{ pointer: '/offsets/1/metadata' }],
      })
    }
    const kept = await curlew.call('GET', '/g/offsets')
    expect(kept.json()).toMatchObject({ offsets: longest })
  })

  test('are committed by the cursor of a member alone', async () => {
    await using curlew = setUp()
    curlew.put(orders, 1, 'a', 'b')
    const { memberEpoch } = await curlew.join('m')
    const { cursor } = await curlew.read('m', `memberEpoch=${memberEpoch}`)
    const answer = await commit(curlew, { cursor })
    expect(answer.statusCode).toBe(200)
    expect(answer.json()).toMatchObject({
      offsets: [{}, { topic: 'orders', partition: 1, offset: 2 }, {}, {}],
    })
    const other = await commit(curlew, { memberId: 'other', memberEpoch, cursor })
    expect(other.json()).toMatchObject({ code: 'bad-cursor' })
  })

  test('have an outcome each', async () => {
    await using curlew = setUp()
    curlew.put(orders, 0, 'a', 'b')
    await curlew.storage.deleteRecords(orders.id, 0, 1)
    const offset = (topic: string, partition: number, at: number) => ({
      topic,
      partition,
      offset: at,
    })
    const answer = await commit(curlew, {
      offsets: [
        offset('orders', 0, 2),
        offset('orders', 0, 3),
        offset('orders', 0, 0),
        offset('orders', 9, 0),
        offset('nothing', 0, 0),
      ],
    })
    expect(answer.statusCode).toBe(207)
    expect(answer.json()).toMatchObject({
      offsets: [
        { topic: 'orders', partition: 0, offset: 2 },
        { error: { code: 'invalid-offset', tail: 2 } },
        { error: { code: 'invalid-offset', earliest: 1 } },
        { error: { code: 'partition-not-found' } },
        { topic: 'nothing', error: { code: 'topic-not-found' } },
      ],
    })
    const single = await commit(curlew, { offsets: [offset('orders', 0, 3)] })
    expect(single.statusCode).toBe(422)
    expect(single.json()).toMatchObject({ code: 'invalid-offset', tail: 2 })
  })

  test('of a group with members are committed by members only', async () => {
    await using curlew = setUp()
    await curlew.join('m')
    const offsets = [{ topic: 'orders', partition: 0, offset: 0 }]
    expect((await commit(curlew, { offsets })).json()).toMatchObject({ code: 'group-not-empty' })
    expect((await commit(curlew, { memberId: 'm', memberEpoch: 9, offsets })).json()).toMatchObject(
      {
        code: 'member-fenced',
        action: 'rejoin',
      },
    )
    expect((await commit(curlew, { memberId: 'm', memberEpoch: 1, offsets })).statusCode).toBe(200)
    const reset = await curlew.call('PUT', '/g/offsets', { to: 'latest' })
    expect(reset.statusCode).toBe(409)
    expect(reset.json()).toMatchObject({ code: 'group-not-empty' })
  })

  test.each([
    [{}, '/cursor'],
    [{ cursor: 'x', offsets: [{ topic: 'orders', partition: 0, offset: 0 }] }, '/cursor'],
    [{ memberId: 'm', offsets: [{ topic: 'orders', partition: 0, offset: 0 }] }, '/memberEpoch'],
    [{ memberEpoch: 1, offsets: [{ topic: 'orders', partition: 0, offset: 0 }] }, '/memberId'],
    [{ offsets: [{ topic: 'orders', partition: 0, offset: -1 }] }, '/offsets/0/offset'],
    [{ memberId: 'a b', memberEpoch: 1, offsets: [place] }, '/memberId'],
    [{ offsets: [{ ...place, metadata: '\ud800' }] }, '/offsets/0/metadata'],
  ])('refuse %j at %s', async (body, pointer) => {
    await using curlew = setUp()
    const answer = await commit(curlew, body)
    expect(answer.statusCode).toBe(422)
    const { errors } = answer.json<{ errors: { pointer: string }[] }>()
    expect(errors.map((error) => error.pointer)).toContain(pointer)
  })

  test.each([
    [{ to: 'earliest' }, [0, 0, 0, 0]],
    [{ to: 'latest' }, [3, 3, 3, 3]],
    [{ to: 'last:1' }, [2, 2, 2, 2]],
    [{ to: 'time:1970-01-01T00:00:02Z', topics: ['orders'] }, [1, 1, 1, 1]],
    [{ to: 'offset:1' }, [1, 1, 1, 1]],
    [
      { offsets: [{ topic: 'orders', partition: 2, offset: 3, metadata: 'by hand' }] },
      [1, 1, 3, 1],
    ],
  ])('are set by %j to %j', async (body, wanted) => {
    await using curlew = setUp()
    for (let p = 0; p < 4; p++) {
      const records = [1, 2, 3].map((s) => textRecord('x', { timestampMs: s * 1000 }))
      curlew.storage.appendBatch(orders.id, p, encodeBatch(records))
    }
    const start = [0, 1, 2, 3].map((partition) => ({ topic: 'orders', partition, offset: 1 }))
    await commit(curlew, { offsets: start })
    const answer = await curlew.call('PUT', '/g/offsets', body)
    expect(answer.statusCode, answer.body).toBe(200)
    const { offsets } = (await curlew.call('GET', '/g/offsets')).json<{
      offsets: { offset: number }[]
    }>()
    expect(offsets.map(({ offset }) => offset)).toEqual(wanted)
  })

  test('are behind by records and seconds', async () => {
    await using curlew = setUp()
    const nowMs = curlew.clock.nowMs()
    const records = [60, 30, 10].map((s) => textRecord('x', { timestampMs: nowMs - s * 1000 }))
    curlew.storage.appendBatch(orders.id, 0, encodeBatch(records))
    curlew.put(orders, 1, 'a')
    await commit(curlew, {
      offsets: [
        { topic: 'orders', partition: 0, offset: 1 },
        { topic: 'orders', partition: 1, offset: 1 },
      ],
    })
    expect((await curlew.call('GET', '/g/lag')).json()).toEqual({
      group: 'g',
      records: 2,
      seconds: 30,
      partitions: [
        { topic: 'orders', partition: 0, offset: 1, tail: 3, records: 2, seconds: 30 },
        { topic: 'orders', partition: 1, offset: 1, tail: 1, records: 0, seconds: 0 },
      ],
    })
  })
})

describe('groups', () => {
  test('are listed in pages, described, changed and deleted', async () => {
    await using curlew = setUp()
    for (const group of ['c', 'a', 'b']) {
      await curlew.call('POST', `/${group}/members`, { memberId: 'm', topics: ['orders'] })
    }
    const page = await curlew.call('GET', '?limit=2')
    expect(page.json()).toEqual({
      groups: [
        { group: 'a', state: 'stable', memberCount: 1 },
        { group: 'b', state: 'stable', memberCount: 1 },
      ],
      next: 'b',
    })
    expect(page.headers['link']).toBe('</v1/groups?limit=2&after=b>; rel="next"')
    expect((await curlew.call('GET', '?limit=2&after=b')).json()).toMatchObject({
      groups: [{ group: 'c' }],
    })
    expect((await curlew.call('GET', '/a')).json()).toMatchObject({
      group: 'a',
      assignor: 'sticky',
      members: [
        {
          memberId: 'm',
          topics: ['orders'],
          assigned: [{ topic: 'orders', partitions: [0, 1, 2, 3] }],
        },
      ],
    })
    const changed = await curlew.call('PATCH', '/a', { offsetsRetentionMs: 60_000 })
    expect(changed.json()).toMatchObject({ offsetsRetentionMs: 60_000 })
    expect((await curlew.call('PATCH', '/a', {})).statusCode).toBe(422)
    expect((await curlew.call('DELETE', '/a')).json()).toMatchObject({ code: 'group-not-empty' })
    expect((await curlew.call('DELETE', '/a/members/m')).statusCode).toBe(204)
    expect((await curlew.call('DELETE', '/a')).statusCode).toBe(204)
    expect((await curlew.call('GET', '/a')).json()).toMatchObject({ code: 'group-not-found' })
  })
})
