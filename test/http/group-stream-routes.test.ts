import { afterEach, describe, expect, test } from 'vitest'
import { ServiceError } from '../../src/lib/service-error.ts'
import { decodeCursor } from '../../src/wire/cursor.ts'
import { EventStream } from '../support/event-stream.ts'
import type { SseEvent } from '../support/sse-parser.ts'
import type { Told } from './group-app.ts'
import { bills, orders, setUp, sorted, values as valuesOf } from './group-app.ts'
import { listen } from './test-app.ts'

const open: EventStream[] = []

afterEach(async () => {
  for (const stream of open.splice(0)) await stream.close()
})

async function serve() {
  const curlew = setUp()
  const url = `http://localhost:${await listen(curlew.app)}`
  const follow = async (path: string, lastEventId = '') => {
    const headers = lastEventId === '' ? {} : { 'last-event-id': lastEventId }
    const stream = await EventStream.open(url, `/v1/groups/g${path}`, { headers })
    open.push(stream)
    return stream
  }
  const dispose = async () => {
    for (const stream of open.splice(0)) await stream.close()
    curlew.groups.drain()
    curlew.app.server.closeAllConnections()
    await curlew.app.close()
  }
  const offsets = async () => {
    const answer = await curlew.call('GET', '/g/offsets')
    return answer
      .json<{ offsets: { offset: number; partition: number }[] }>()
      .offsets.map(({ offset }) => offset)
  }
  return { ...curlew, follow, offsets, [Symbol.asyncDispose]: dispose }
}

const told = (event: SseEvent | undefined): Told => {
  expect(event?.event).toBe('assignment')
  return JSON.parse(event?.data ?? '') as Told
}
const reason = (event: SseEvent | undefined): unknown => {
  expect(event?.event).toBe('end')
  return (JSON.parse(event?.data ?? '') as { reason: string }).reason
}
const values = (events: readonly SseEvent[]): string[] =>
  sorted(events.map(({ data }) => (JSON.parse(data) as { value: string }).value))
const partitionsOf = ({ assigned }: Told): number[] =>
  assigned.flatMap(({ partitions }) => partitions)

describe('the stream of a group', () => {
  test('makes a member, says what it has, and sends that, over all topics', async () => {
    await using curlew = await serve()
    curlew.put(orders, 0, 'a', 'b')
    curlew.put(bills, 1, 'c')
    const stream = await curlew.follow('/stream?topics=orders,bills')
    expect(stream.headers['content-type']).toBe('text/event-stream')
    const [first] = await stream.take(1)
    const { memberId, memberEpoch, assigned } = told(first)
    expect(assigned).toEqual([
      { topic: 'bills', partitions: [0, 1] },
      { topic: 'orders', partitions: [0, 1, 2, 3] },
    ])
    expect(decodeCursor(first?.id ?? '')?.member).toEqual({ memberId, memberEpoch })
    expect(values(await stream.take(3))).toEqual(['a', 'b', 'c'])
    curlew.put(orders, 3, 'd')
    curlew.put(bills, 0, 'e')
    const later = await stream.take(2)
    expect(values(later)).toEqual(['d', 'e'])
    const positions = decodeCursor(later[1]?.id ?? '')?.topics.flatMap((topic) =>
      topic.positions.map(({ offset }) => offset),
    )
    expect(sorted(positions?.map(String) ?? [])).toEqual(['0', '0', '1', '1', '1', '2'])
  })

  test('goes on as the same member after a reconnect, and commits what was received', async () => {
    await using curlew = await serve()
    curlew.put(orders, 0, 'a', 'b', 'c')
    const stream = await curlew.follow('/stream?topics=orders')
    const { memberId } = told((await stream.take(1))[0])
    const [, second] = await stream.take(2)
    await stream.close()
    expect(await curlew.offsets()).toEqual([0, 0, 0, 0])
    const again = await curlew.follow('/stream?topics=orders', second?.id)
    expect(await curlew.offsets()).toEqual([2, 0, 0, 0])
    const [assignment, third] = await again.take(2)
    expect(told(assignment).memberId).toBe(memberId)
    expect(values([third as SseEvent])).toEqual(['c'])
    const group = (await curlew.call('GET', '/g')).json<{ groupEpoch: number; members: object[] }>()
    expect(group).toMatchObject({ groupEpoch: 1, members: [{ memberId }] })
  })

  test('joins again, at what is committed, when its member is gone', async () => {
    await using curlew = await serve()
    curlew.put(orders, 0, 'a', 'b')
    const stream = await curlew.follow('/stream?topics=orders')
    const { memberId } = told((await stream.take(1))[0])
    const [, last] = await stream.take(2)
    await stream.close()
    await curlew.call('DELETE', `/g/members/${memberId}`)
    const again = await curlew.follow('/stream?topics=orders', last?.id)
    expect(told((await again.take(1))[0]).memberId).toBe(memberId)
    expect(values(await again.take(2))).toEqual(['a', 'b'])
  })

  test('lives for a minute, somewhat more or less, and is no sign of life', async () => {
    await using curlew = await serve()
    const stream = await curlew.follow('/stream?topics=orders&member=m')
    await stream.take(1)
    expect(curlew.service.renewals('g', 'm')).toBe(1)
    curlew.clock.advance(48_000 - 1)
    curlew.put(orders, 0, 'a')
    await stream.take(1)
    curlew.clock.advance(24_001)
    expect(reason((await stream.take(1))[0])).toBe('renew')
    expect(await stream.next()).toBeUndefined()
    expect(curlew.service.renewals('g', 'm')).toBe(1)
    await expect.poll(() => curlew.groups.streams.streams).toBe(0)
  })

  test('gives up partitions of which nothing is under way, and goes on with the others', async () => {
    await using curlew = await serve()
    const stream = await curlew.follow('/stream?topics=orders')
    expect(partitionsOf(told((await stream.take(1))[0]))).toEqual([0, 1, 2, 3])
    const other = await curlew.follow('/stream?topics=orders')
    expect(partitionsOf(told((await stream.take(1))[0]))).toEqual([0, 2])
    await expect.poll(async () => partitionsOf(told(await other.next()))).toEqual([1, 3])
    for (let p = 0; p < 4; p++) curlew.put(orders, p, `${p}`)
    expect(values(await stream.take(2))).toEqual(['0', '2'])
    expect(values(await other.take(2))).toEqual(['1', '3'])
  })

  test('sends its reader to commit what it loses, who then misses and repeats nothing', async () => {
    await using curlew = await serve()
    for (let p = 0; p < 4; p++) curlew.put(orders, p, `${p}`)
    const stream = await curlew.follow('/stream?topics=orders')
    await stream.take(5)
    const other = await curlew.follow('/stream?topics=orders')
    expect(reason((await stream.take(1))[0])).toBe('rebalance')
    expect(stream.retryMs).toBe(100)
    const again = await curlew.follow('/stream?topics=orders', stream.lastEventId)
    expect(partitionsOf(told((await again.take(1))[0]))).toEqual([0, 2])
    await expect.poll(async () => partitionsOf(told(await other.next()))).toEqual([1, 3])
    for (let p = 0; p < 4; p++) curlew.put(orders, p, `${p + 4}`)
    expect(values(await again.take(2))).toEqual(['4', '6'])
    expect(values(await other.take(2))).toEqual(['5', '7'])
  })

  test('tells a reader whose member was put out, and ends', async () => {
    await using curlew = await serve()
    const stream = await curlew.follow('/stream?topics=orders&member=m')
    await stream.take(1)
    await curlew.call('DELETE', '/g/members/m')
    // Another member comes: the coordinator has something to say.
    await curlew.join('n')
    const [error, end] = await stream.take(2)
    expect(error?.event).toBe('error')
    expect(JSON.parse(error?.data ?? '')).toMatchObject({
      code: 'member-not-found',
      action: 'rejoin',
    })
    expect(reason(end)).toBe('fenced')
  })

  test('tells of records that were removed, in the words of its own cursor', async () => {
    await using curlew = await serve()
    curlew.put(orders, 0, 'a', 'b', 'c')
    await curlew.join('m')
    await curlew.storage.deleteRecords(orders.id, 0, 3)
    curlew.put(orders, 0, 'd')
    const stream = await curlew.follow('/stream?topics=orders&member=m')
    const [, gap, record] = await stream.take(3)
    expect(gap?.event).toBe('gap')
    expect(JSON.parse(gap?.data ?? '')).toEqual({
      topic: 'orders',
      partition: 0,
      offset: 0,
      earliest: 3,
    })
    expect(decodeCursor(gap?.id ?? '')?.member?.memberId).toBe('m')
    expect(values([record as SseEvent])).toEqual(['d'])
  })

  test('lets a browser come back when the coordinator cannot serve', async () => {
    await using curlew = await serve()
    curlew.service.before = (call) =>
      call === 'join'
        ? Promise.reject(new ServiceError('coordinator-loading', 'not yet'))
        : undefined
    const stream = await curlew.follow('/stream?topics=orders')
    expect(stream.status).toBe(200)
    const [error, end] = await stream.take(2)
    expect(JSON.parse(error?.data ?? '')).toMatchObject({ code: 'coordinator-loading' })
    expect(reason(end)).toBe('error')
    expect(stream.lastEventId).toBe('')
  })

  test('ends when the node shuts down', async () => {
    await using curlew = await serve()
    const stream = await curlew.follow('/stream?topics=orders')
    await stream.take(1)
    curlew.groups.drain()
    expect(reason((await stream.take(1))[0])).toBe('draining')
  })

  test.each([
    ['/stream', 'invalid-parameter'],
    ['/stream?topics=', 'invalid-parameter'],
    ['/stream?topics=a,,b', 'invalid-parameter'],
    ['/stream?topics=__offsets', 'invalid-request'],
    ['/stream?topics=orders&commit=after', 'invalid-parameter'],
    ['/members/m/stream?memberEpoch=1', 'member-not-found'],
    ['/members/m/stream?memberEpoch=1&cursor=x', 'bad-cursor'],
  ])('refuses %s with %s before it begins', async (path, code) => {
    await using curlew = setUp()
    const answer = await curlew.call('GET', `/g${path}`)
    expect(answer.statusCode).toBeGreaterThanOrEqual(400)
    expect(answer.json()).toMatchObject({ code })
  })
})

describe('the stream of a member', () => {
  test('renews the session by connecting, and goes on from the id of an earlier one', async () => {
    await using curlew = await serve()
    curlew.put(orders, 1, 'a', 'b')
    const { memberEpoch } = await curlew.join('m')
    const path = `/members/m/stream?memberEpoch=${memberEpoch}`
    const stream = await curlew.follow(path)
    expect(curlew.service.renewals('g', 'm')).toBe(2)
    const [, first] = await stream.take(2)
    await stream.close()
    const again = await curlew.follow(path, first?.id)
    const [, second] = await again.take(2)
    expect(values([first as SseEvent, second as SseEvent])).toEqual(['a', 'b'])
    expect(await curlew.offsets()).toEqual([0, 0, 0, 0])
  })

  test('gives a reader that commits by itself time to do so', async () => {
    await using curlew = await serve()
    for (let p = 0; p < 4; p++) curlew.put(orders, p, `${p}`)
    const { memberEpoch } = await curlew.join('m')
    const stream = await curlew.follow(`/members/m/stream?memberEpoch=${memberEpoch}`)
    const events = await stream.take(5)
    await curlew.join('n')
    const { revoking, assigned } = told((await stream.take(1))[0])
    expect({ revoking, assigned }).toEqual({
      revoking: [{ topic: 'orders', partitions: [1, 3] }],
      assigned: [{ topic: 'orders', partitions: [0, 2] }],
    })
    // What moves is not sent any more, what stays is.
    for (let p = 0; p < 4; p++) curlew.put(orders, p, `${p + 4}`)
    expect(values(await stream.take(2))).toEqual(['4', '6'])
    const commit = await curlew.call('POST', '/g/offsets', { cursor: events.at(-1)?.id })
    expect(commit.statusCode, commit.body).toBe(200)
    curlew.clock.advance(1_000)
    const after = told((await stream.take(1))[0])
    expect(after.revoking).toEqual([])
    const other = await curlew.poll('n', { memberEpoch: after.memberEpoch })
    expect(valuesOf(other)).toEqual(['5', '7'])
  })

  test('does not wait for ever', async () => {
    await using curlew = await serve()
    for (let p = 0; p < 4; p++) curlew.put(orders, p, `${p}`)
    const { memberEpoch } = await curlew.join('m')
    const stream = await curlew.follow(`/members/m/stream?memberEpoch=${memberEpoch}`)
    await stream.take(5)
    await curlew.join('n')
    expect(told((await stream.take(1))[0]).revoking).not.toEqual([])
    const given = stream.take(1)
    const look = setInterval(() => curlew.clock.advance(500), 1)
    const startMs = curlew.clock.nowMs()
    expect(told((await given)[0]).revoking).toEqual([])
    clearInterval(look)
    expect(curlew.clock.nowMs() - startMs).toBeGreaterThanOrEqual(10_000)
  })

  test('goes on as soon as the member says that it has let go', async () => {
    await using curlew = await serve()
    for (let p = 0; p < 4; p++) curlew.put(orders, p, `${p}`)
    const { memberEpoch } = await curlew.join('m')
    const stream = await curlew.follow(`/members/m/stream?memberEpoch=${memberEpoch}`)
    await stream.take(5)
    await curlew.join('n')
    const { assigned } = told((await stream.take(1))[0])
    const beat = await curlew.call('POST', '/g/members/m/heartbeat', {
      memberEpoch,
      owned: assigned,
    })
    expect(beat.statusCode, beat.body).toBe(200)
    expect(told((await stream.take(1))[0]).revoking).toEqual([])
  })

  test('commits before it sends, when that is asked for', async () => {
    await using curlew = await serve()
    curlew.put(orders, 0, 'a', 'b')
    const stream = await curlew.follow('/stream?topics=orders&commit=before&member=m')
    await stream.take(3)
    expect(await curlew.offsets()).toEqual([2, 0, 0, 0])
    // A second connection of the same member: each record goes to one of both.
    const twin = await curlew.follow('/stream?topics=orders&commit=before&member=m')
    await twin.take(1)
    for (let i = 0; i < 20; i++) curlew.put(orders, i % 4, `${i}`)
    await expect.poll(curlew.offsets).toEqual([7, 5, 5, 5])
    curlew.groups.drain()
    const rest = [...(await stream.rest()), ...(await twin.rest())]
    const records = rest.filter(({ event }) => event === 'message')
    expect(values(records)).toEqual(sorted(Array.from({ length: 20 }, (_, i) => `${i}`)))
  })

  test('outlives a topic that is deleted', async () => {
    await using curlew = await serve()
    const stream = await curlew.follow('/stream?topics=orders,bills&member=m')
    await stream.take(1)
    curlew.metadata.set([bills])
    curlew.put(bills, 0, 'a')
    expect(values(await stream.take(1))).toEqual(['a'])
  })
})
