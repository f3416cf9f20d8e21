import { describe, expect, test } from 'vitest'
import { ServiceError } from '../../src/lib/service-error.ts'
import { decodeCursor } from '../../src/wire/cursor.ts'
import type { Page } from './group-app.ts'
import { bills, orders, setUp, sorted, values } from './group-app.ts'

describe('joining', () => {
  test('gives a new member 201 and its place, a repeated one 200', async () => {
    await using curlew = setUp()
    const body = { memberId: 'a', topics: ['orders'] }
    const first = await curlew.call('POST', '/g/members', body)
    expect(first.statusCode).toBe(201)
    expect(first.headers['location']).toBe('/v1/groups/g/members/a')
    expect(first.json()).toEqual({
      memberId: 'a',
      memberEpoch: 1,
      assigned: [{ topic: 'orders', partitions: [0, 1, 2, 3] }],
      revoking: [],
      heartbeatIntervalMs: 5_000,
      sessionTimeoutMs: 45_000,
      rebalanceTimeoutMs: 60_000,
    })
    const again = await curlew.call('POST', '/g/members', body)
    expect(again.statusCode).toBe(200)
    expect(again.headers['location']).toBeUndefined()
  })

  test('commits the start of each partition before it tells of it', async () => {
    await using curlew = setUp()
    curlew.put(orders, 1, 'old')
    await curlew.join('a', { topics: ['orders'], from: 'latest' })
    const { offsets } = (await curlew.call('GET', '/g/offsets')).json<{
      offsets: { partition: number; offset: number }[]
    }>()
    expect(offsets.map(({ partition, offset }) => [partition, offset])).toEqual([
      [0, 0],
      [1, 1],
      [2, 0],
      [3, 0],
    ])
  })

  test.each([
    [{}, '/memberId'],
    [{ memberId: 'a b', topics: ['orders'] }, '/memberId'],
    [{ memberId: 'a' }, '/topics'],
    [{ memberId: 'a', topics: [] }, '/topics'],
    [{ memberId: 'a', topics: ['orders'], pattern: 'o*' }, '/topics'],
    [{ memberId: 'a', topics: ['__offsets'] }, '/topics/0'],
    [{ memberId: 'a', topics: ['..'] }, '/topics/0'],
    [{ memberId: 'a', topics: ['orders'], from: 'last:3' }, '/from'],
    [{ memberId: 'a', topics: ['orders'], sessionTimeoutMs: 5 }, '/sessionTimeoutMs'],
    [{ memberId: 'a', topics: ['orders'], topcis: [] }, '/topcis'],
  ])('refuses %j at %s', async (body, pointer) => {
    await using curlew = setUp()
    const answer = await curlew.call('POST', '/g/members', body)
    expect(answer.statusCode, answer.body).toBe(422)
    const { code, errors } = answer.json<{ code: string; errors: { pointer: string }[] }>()
    expect(code).toBe('invalid-request')
    expect(errors.map((error) => error.pointer)).toContain(pointer)
  })

  test.each(['__g', '..', 'a b', 'x'.repeat(250)])('knows no group %s', async (group) => {
    await using curlew = setUp()
    const path = `/${encodeURIComponent(group)}/members`
    const answer = await curlew.call('POST', path, { memberId: 'a', topics: ['orders'] })
    expect([400, 404]).toContain(answer.statusCode)
  })
})

describe('reading as a member', () => {
  test('goes over all topics and partitions, and commits nothing', async () => {
    await using curlew = setUp()
    curlew.put(orders, 0, 'a', 'b')
    curlew.put(orders, 3, 'c')
    curlew.put(bills, 1, 'd')
    const { memberEpoch } = await curlew.join('m', { topics: ['orders', 'bills'] })
    const before = curlew.service.renewals('g', 'm')
    const page = await curlew.read('m', `memberEpoch=${memberEpoch}`)
    expect(values(page)).toEqual(['a', 'b', 'c', 'd'])
    expect(page.records.find(({ value }) => value === 'd')).toMatchObject({ topic: 'bills' })
    expect(page.memberEpoch).toBe(memberEpoch)
    const again = await curlew.read('m', `memberEpoch=${memberEpoch}`)
    expect(again).toEqual(page)
    const next = await curlew.read('m', `memberEpoch=${memberEpoch}&cursor=${page.cursor}`)
    expect(next.records).toEqual([])
    expect(curlew.service.commits).toEqual([])
    expect(curlew.service.renewals('g', 'm')).toBe(before)
  })

  test('gives the same cursor the same records, however the limit cuts them', async () => {
    await using curlew = setUp()
    for (let i = 0; i < 40; i++) curlew.put(orders, i % 4, `${i}`)
    const { memberEpoch } = await curlew.join('m')
    const seen: string[] = []
    let query = `memberEpoch=${memberEpoch}&limit=3`
    for (;;) {
      const page = await curlew.read('m', query)
      expect(await curlew.read('m', query)).toEqual(page)
      if (page.records.length === 0) break
      seen.push(...values(page))
      query = `memberEpoch=${memberEpoch}&limit=3&cursor=${page.cursor}`
    }
    expect(seen.toSorted((a, b) => Number(a) - Number(b))).toEqual(
      Array.from({ length: 40 }, (_, i) => `${i}`),
    )
  })

  test('starves no partition with small limits', async () => {
    await using curlew = setUp()
    for (let i = 0; i < 400; i++) curlew.put(orders, i % 4, `${i}`)
    const { memberEpoch } = await curlew.join('m')
    const seen = new Set<number>()
    let query = `memberEpoch=${memberEpoch}&limit=1`
    for (let i = 0; i < 60; i++) {
      const page = await curlew.read('m', query)
      for (const { partition } of page.records) seen.add(partition)
      query = `memberEpoch=${memberEpoch}&limit=1&cursor=${page.cursor}`
    }
    expect(seen).toEqual(new Set([0, 1, 2, 3]))
  })

  test('takes no position of an earlier ownership for one of the present', async () => {
    await using curlew = setUp()
    for (let p = 0; p < 4; p++) curlew.put(orders, p, `${p}`)
    const { memberEpoch } = await curlew.join('a')
    const { cursor } = await curlew.read('a', `memberEpoch=${memberEpoch}`)
    // Partitions 1 and 3 go to another member and come back.
    await curlew.join('b')
    const told = await curlew.poll('a', { memberEpoch })
    expect(told.assigned).toEqual([{ topic: 'orders', partitions: [0, 2] }])
    await curlew.call('DELETE', '/g/members/b')
    const back = await curlew.poll('a', { memberEpoch: told.memberEpoch, cursor })
    expect(back.assigned).toEqual([{ topic: 'orders', partitions: [0, 1, 2, 3] }])
    expect(values(back)).toEqual(['1', '3'])
    // Nor does a commit, although the member owns them all by now.
    const { memberEpoch: now } = back
    const late = await curlew.call('POST', '/g/offsets', {
      memberId: 'a',
      memberEpoch: now,
      cursor,
    })
    expect(late.statusCode).toBe(207)
    expect(late.json()).toMatchObject({
      offsets: [
        { offset: 1 },
        { error: { code: 'partition-not-owned' } },
        { offset: 1 },
        { partition: 3, error: {} },
      ],
    })
  })

  test('waits for a record, and for a change of what the member owns', async () => {
    await using curlew = setUp()
    const { memberEpoch } = await curlew.join('a')
    const reading = curlew.read('a', `memberEpoch=${memberEpoch}&wait=30`)
    await expect.poll(() => curlew.storage.waiting).toBe(1)
    curlew.put(orders, 2, 'late')
    const { cursor, ...page } = await reading
    expect(page.records).toMatchObject([{ value: 'late' }])
    const query = `memberEpoch=${memberEpoch}&wait=30&cursor=${cursor}`
    const waiting = curlew.read('a', query)
    await expect.poll(() => curlew.storage.waiting).toBe(1)
    await curlew.join('b')
    expect(await waiting).toMatchObject({
      records: [],
      assigned: [{ topic: 'orders', partitions: [0, 2] }],
      revoking: [{ topic: 'orders', partitions: [1, 3] }],
    })
    expect(curlew.storage.waiting).toBe(0)
  })

  test('answers when the time is up, and when the node shuts down', async () => {
    await using curlew = setUp()
    const { memberEpoch } = await curlew.join('a')
    for (const end of [() => curlew.clock.advance(5_000), () => curlew.groups.drain()]) {
      const reading = curlew.read('a', `memberEpoch=${memberEpoch}&wait=5`)
      await expect.poll(() => curlew.storage.waiting).toBe(1)
      end()
      expect((await reading).records).toEqual([])
      expect(curlew.storage.waiting).toBe(0)
    }
  })

  test('says with a cursor where to go on when records were removed', async () => {
    await using curlew = setUp()
    curlew.put(orders, 0, 'a', 'b', 'c')
    const { memberEpoch } = await curlew.join('m')
    await curlew.storage.deleteRecords(orders.id, 0, 3)
    curlew.put(orders, 0, 'd')
    const answer = await curlew.call('GET', `/g/members/m/records?memberEpoch=${memberEpoch}`)
    expect(answer.statusCode).toBe(410)
    const { earliest } = answer.json<{ earliest: string }>()
    const page = await curlew.read('m', `memberEpoch=${memberEpoch}&cursor=${earliest}`)
    expect(values(page)).toEqual(['d'])
  })

  test.each([
    ['memberEpoch=7', 409, 'member-fenced', 'rejoin'],
    ['memberEpoch=1&cursor=broken', 400, 'bad-cursor', undefined],
    ['memberEpoch=1&crusor=x', 400, 'unknown-parameter', undefined],
    ['', 400, 'invalid-parameter', undefined],
  ])('refuses %s with %d %s', async (query, status, code, action) => {
    await using curlew = setUp()
    await curlew.join('m')
    const answer = await curlew.call('GET', `/g/members/m/records?${query}`)
    expect(answer.statusCode).toBe(status)
    expect(answer.json()).toMatchObject({ code })
    expect(answer.json<{ action?: string }>().action).toBe(action)
  })

  test('sends a member of a group that is gone to join again', async () => {
    await using curlew = setUp()
    for (const path of [
      '/gone/members/m/records?memberEpoch=1',
      '/g/members/x/records?memberEpoch=1',
    ]) {
      await curlew.join('m')
      const answer = await curlew.call('GET', path)
      expect(answer.statusCode).toBe(404)
      expect(answer.json()).toMatchObject({ code: 'member-not-found', action: 'rejoin' })
    }
  })

  test('refuses the cursor of a plain read', async () => {
    await using curlew = setUp()
    await curlew.join('m')
    const read = await curlew.app.inject({
      url: '/v1/topics/orders/records',
      headers: { host: 'localhost' },
    })
    const { cursor } = read.json<{ cursor: string }>()
    const answer = await curlew.call('GET', `/g/members/m/records?memberEpoch=1&cursor=${cursor}`)
    expect(answer.json()).toMatchObject({ code: 'bad-cursor' })
  })
})

describe('polling', () => {
  test('commits what was processed, reads on, and is a sign of life', async () => {
    await using curlew = setUp()
    for (let i = 0; i < 8; i++) curlew.put(orders, i % 4, `${i}`)
    let { memberEpoch } = await curlew.join('m')
    let commit: string | undefined
    const seen: string[] = []
    for (let round = 0; round < 20; round++) {
      const page: Page = await curlew.poll('m', {
        memberEpoch,
        limit: 3,
        ...(commit !== undefined && { cursor: commit, commit }),
      })
      seen.push(...values(page))
      commit = page.cursor
      memberEpoch = page.memberEpoch
      if (page.records.length === 0) break
    }
    expect(sorted(seen)).toEqual(['0', '1', '2', '3', '4', '5', '6', '7'])
    expect(curlew.service.renewals('g', 'm')).toBeGreaterThan(3)
    const { offsets } = (await curlew.call('GET', '/g/offsets')).json<{
      offsets: { offset: number }[]
    }>()
    expect(offsets.map(({ offset }) => offset)).toEqual([2, 2, 2, 2])
  })

  test('gives up what it is to give up, once it is committed', async () => {
    await using curlew = setUp()
    for (let p = 0; p < 4; p++) curlew.put(orders, p, `${p}`)
    const { memberEpoch } = await curlew.join('a')
    const first = await curlew.poll('a', { memberEpoch })
    await curlew.join('b')
    const { cursor } = first
    const second = await curlew.poll('a', { memberEpoch, cursor, commit: cursor })
    expect(second).toMatchObject({
      assigned: [{ topic: 'orders', partitions: [0, 2] }],
      revoking: [],
    })
    const other = await curlew.poll('b', { memberEpoch: 2 })
    expect(other.assigned).toEqual([{ topic: 'orders', partitions: [1, 3] }])
    expect(other.records).toEqual([])
  })

  test('keeps what `owned` names, and its place in the cursor, until it lets go', async () => {
    await using curlew = setUp()
    for (let p = 0; p < 4; p++) curlew.put(orders, p, `${p}`)
    const { memberEpoch } = await curlew.join('a')
    const owned = [{ topic: 'orders', partitions: [0, 1, 2, 3] }]
    const { cursor } = await curlew.poll('a', { memberEpoch, owned })
    await curlew.join('b')
    const second = await curlew.poll('a', { memberEpoch, owned, cursor })
    expect(second.revoking).toEqual([{ topic: 'orders', partitions: [1, 3] }])
    expect(decodeCursor(second.cursor)?.topics[0]?.positions).toMatchObject([
      { partition: 0, offset: 1 },
      { partition: 1, offset: 1 },
      { partition: 2, offset: 1 },
      { partition: 3, offset: 1 },
    ])
    const third = await curlew.poll('a', {
      memberEpoch: second.memberEpoch,
      commit: second.cursor,
      cursor: second.cursor,
    })
    expect(third.uncommitted).toBeUndefined()
    expect((await curlew.poll('b', { memberEpoch: 2 })).records).toEqual([])
  })

  test('says what of the commit belongs to others by now', async () => {
    await using curlew = setUp()
    for (let p = 0; p < 4; p++) curlew.put(orders, p, `${p}`)
    const { memberEpoch } = await curlew.join('a')
    const { cursor } = await curlew.poll('a', { memberEpoch })
    await curlew.join('b')
    const told = await curlew.poll('a', { memberEpoch, cursor })
    const late = await curlew.poll('a', { memberEpoch: told.memberEpoch, cursor, commit: cursor })
    expect(late.uncommitted).toMatchObject([
      { topic: 'orders', partition: 1, error: { code: 'partition-not-owned' } },
      { topic: 'orders', partition: 3, error: { code: 'partition-not-owned' } },
    ])
    expect(values(await curlew.poll('b', { memberEpoch: 2 }))).toEqual(['1', '3'])
  })

  test('commits before it delivers, and delivers to one of two at once', async () => {
    await using curlew = setUp()
    for (let i = 0; i < 12; i++) curlew.put(orders, i % 4, `${i}`)
    const { memberEpoch } = await curlew.join('m')
    const body = { memberEpoch, commit: 'before', limit: 5 }
    // Both have read the same records when the first of them commits.
    let pending: (() => void)[] = []
    curlew.service.before = (call) => {
      if (call !== 'commit') return undefined
      const { promise, resolve } = Promise.withResolvers<void>()
      pending.push(resolve)
      if (pending.length === 2) for (const go of pending) go()
      return promise
    }
    const seen: string[] = []
    for (const delivered of [5, 5, 2]) {
      pending = []
      const pages = await Promise.all([curlew.poll('m', body), curlew.poll('m', body)])
      const [one = 0, two = 0] = pages
        .map(({ records }) => records.length)
        .toSorted((x, y) => x - y)
      expect([one, two]).toEqual([0, delivered])
      seen.push(...pages.flatMap(values))
    }
    expect(seen.toSorted((x, y) => Number(x) - Number(y))).toEqual(
      Array.from({ length: 12 }, (_, i) => `${i}`),
    )
  })

  test('delivers nothing of which it does not know whether it is committed', async () => {
    await using curlew = setUp()
    curlew.put(orders, 0, 'a')
    const { memberEpoch } = await curlew.join('m')
    curlew.service.before = (call) => {
      if (call !== 'commit') return undefined
      return Promise.reject(new ServiceError('outcome-unknown', 'no answer'))
    }
    const answer = await curlew.call('POST', '/g/members/m/poll', { memberEpoch, commit: 'before' })
    expect(answer.statusCode).toBe(504)
    expect(answer.json()).toMatchObject({ code: 'outcome-unknown', committed: 'unknown' })
  })
})
