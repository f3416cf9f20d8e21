/** What members get: by reading, by polling, by streams; at least once, and at most once. */
import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { EventStream } from '../support/event-stream.ts'
import type { SseEvent } from '../support/sse-parser.ts'
import type { Api } from './api.ts'
import { becomes, GroupApi, inOrder, namesOf, numbers } from './group-api.ts'
import type { MemberTold, WireRecord } from './shapes.ts'

export function describeGroupDelivery(api: Api): void {
  describe('delivery to members', () => {
    describeReads(api)
    describePolls(api)
    describeStreams(api)
  })
}

const values = (events: readonly SseEvent[]): number[] =>
  inOrder(
    events
      .filter(({ event }) => event === 'message')
      .map(({ data }) => (JSON.parse(data) as WireRecord).value),
  )

const sum = (offsets: readonly number[]): number =>
  offsets.reduce((total, offset) => total + offset, 0)

function describeReads(api: Api): void {
  it('a read changes nothing: the same cursor gives the same records', async () => {
    const topic = await api.makeTopic('safe', { partitions: 3 })
    await api.produceNumbers(topic, 30)
    const group = new GroupApi(api, 'safe')
    const member = await group.join([topic])
    const before = await group.offsets()
    const seen: unknown[] = []
    for (;;) {
      const page = await member.read('&limit=4')
      expect(await member.read('&limit=4')).toEqual(page)
      if (page.records.length === 0) break
      seen.push(...page.records.map(({ value }) => value))
      member.cursor = page.cursor
    }
    expect(inOrder(seen)).toEqual(numbers(30))
    expect(await group.offsets()).toEqual(before)
  })

  it('several topics are read as one', async () => {
    const orders = await api.makeTopic('orders', { partitions: 2 })
    const bills = await api.makeTopic('bills', { partitions: 1 })
    await api.produceNumbers(orders, 10)
    await api.produce(
      bills,
      numbers(10).map((value) => ({ value: value + 10 })),
    )
    const group = new GroupApi(api, 'topics')
    const member = await group.join([orders, bills])
    expect(inOrder(await member.drain({ limit: 3 }))).toEqual(numbers(20))
  })

  it('waits for a record', async () => {
    const topic = await api.makeTopic('wait', { partitions: 2 })
    const group = new GroupApi(api, 'wait')
    const member = await group.join([topic])
    const waiting = member.read('&wait=55')
    await api.produce(topic, [{ partition: 1, value: 7 }])
    expect((await waiting).records).toMatchObject([{ value: 7 }])
  })

  it('410 where records were removed, with a cursor to go on with', async () => {
    const topic = await api.makeTopic('trimmed-group')
    await api.produceNumbers(topic, 10)
    const group = new GroupApi(api, 'trimmed')
    const member = await group.join([topic])
    await api.call('DELETE', `/v1/topics/${topic}/partitions/0/records?before=6`)
    const path = `${member.path}/records?memberEpoch=${member.told.memberEpoch}`
    const { earliest } = api.expectProblem(await group.call('GET', path), 'cursor-expired')
    member.cursor = earliest
    expect(inOrder(await member.drain())).toEqual([6, 7, 8, 9])
  })

  it('refuses a cursor that it did not give', async () => {
    const topic = await api.makeTopic('bad-cursor')
    const group = new GroupApi(api, 'bad-cursor')
    const member = await group.join([topic])
    for (const cursor of ['broken', '', (await api.read(topic)).cursor]) {
      const path = `${member.path}/records?memberEpoch=${member.told.memberEpoch}&cursor=${cursor}`
      api.expectProblem(await group.call('GET', path), 'bad-cursor')
    }
  })
}

function describePolls(api: Api): void {
  it('commits what was processed: a member that dies before that has its records read again', async () => {
    const topic = await api.makeTopic('poll', { partitions: 2 })
    await api.produceNumbers(topic, 30)
    const group = new GroupApi(api, 'poll')
    const member = await group.join([topic])
    const first = await member.poll({ limit: 10 })
    const second = await member.poll({ limit: 10 })
    const done = first.records.map(({ value }) => value)
    const lost = second.records.map(({ value }) => value)
    // It dies here: the second page was never committed.
    await member.leave()
    const next = await group.join([topic])
    await group.settle([next], 2)
    const rest = await next.drain()
    expect(inOrder([...done, ...rest])).toEqual(numbers(30))
    for (const value of lost) expect(rest).toContain(value)
  })

  it('commits before it delivers: of two polls at once each record is in one', async () => {
    const topic = await api.makeTopic('before', { partitions: 3 })
    await api.produceNumbers(topic, 60)
    const group = new GroupApi(api, 'before')
    const member = await group.join([topic])
    const body = { memberEpoch: member.told.memberEpoch, commit: 'before', limit: 9 }
    const seen: unknown[] = []
    await becomes('all are delivered', async () => {
      const answers = await Promise.all(
        [1, 2, 3].map(() => group.send('POST', `${member.path}/poll`, body)),
      )
      for (const answer of answers) {
        expect(answer.status, answer.text).toBe(200)
        seen.push(...answer.json<{ records: WireRecord[] }>().records.map(({ value }) => value))
      }
      return seen.length >= 60
    })
    expect(inOrder(seen)).toEqual(numbers(60))
    expect(sum(Object.values(await group.offsets()))).toBe(60)
  })

  it('a client that leaves before the answer has lost nothing that it did not commit', async () => {
    const topic = await api.makeTopic('gone', { partitions: 2 })
    const group = new GroupApi(api, 'gone')
    const member = await group.join([topic])
    const gone = new AbortController()
    const waiting = api.call('POST', `/v1/groups/${group.name}${member.path}/poll`, {
      body: JSON.stringify({ memberEpoch: member.told.memberEpoch, wait: 55 }),
      headers: { 'content-type': 'application/json' },
      signal: gone.signal,
    })
    const left = expect(waiting).rejects.toThrow()
    await member.heartbeat()
    gone.abort()
    await left
    await api.produceNumbers(topic, 4)
    expect(inOrder(await member.drain())).toEqual(numbers(4))
  })
}

/** Takes events up to the assignment that has so many partitions. */
async function assigned(stream: EventStream, partitions: number): Promise<MemberTold> {
  for (;;) {
    const event = await stream.next()
    if (event === undefined) throw new Error('the stream has ended')
    if (event.event !== 'assignment') continue
    const told = JSON.parse(event.data) as MemberTold
    if (namesOf(told.assigned).length === partitions) return told
  }
}

function describeStreams(api: Api): void {
  it('joins, follows, and goes on with its `Last-Event-ID` as the same member', async () => {
    const topic = await api.makeTopic('stream-group', { partitions: 3 })
    await api.produceNumbers(topic, 30)
    const group = new GroupApi(api, 'stream')
    const path = `/stream?topics=${topic}`
    const seen: number[] = []
    let lastEventId = ''
    const members = new Set<string>()
    for (let round = 0; round < 3; round++) {
      const stream = await group.stream(path, lastEventId)
      expect(stream.headers['content-type']).toMatch(/^text\/event-stream/)
      members.add((await assigned(stream, 3)).memberId)
      const events = await stream.take(10)
      seen.push(...values(events))
      lastEventId = events.at(-1)?.id ?? ''
      await stream.close()
    }
    expect(inOrder(seen)).toEqual(numbers(30))
    expect(members.size).toBe(1)
    const { groupEpoch } = (await group.call('GET')).json<{ groupEpoch: number }>()
    const stream = await group.stream(path, lastEventId)
    // What was received before is committed by coming back.
    expect(sum(Object.values(await group.offsets()))).toBe(30)
    expect((await group.call('GET')).json<{ groupEpoch: number }>().groupEpoch).toBe(groupEpoch)
    await stream.close()
  })

  it('shares the partitions between streams, each record in one of them', async () => {
    const topic = await api.makeTopic('stream-share', { partitions: 4 })
    const group = new GroupApi(api, 'stream-share')
    const path = `/stream?topics=${topic}`
    const one = await group.stream(path)
    await assigned(one, 4)
    const two = await group.stream(path)
    await Promise.all([assigned(one, 2), assigned(two, 2)])
    await api.produce(
      topic,
      numbers(40).map((value) => ({ partition: value % 4, value })),
    )
    const shares = await Promise.all([one.take(20), two.take(20)])
    expect(inOrder(shares.flatMap(values))).toEqual(numbers(40))
    await one.close()
    await two.close()
  })

  it('sends its reader to commit what it loses, so that nothing is repeated', async () => {
    const topic = await api.makeTopic('stream-move', { partitions: 2 })
    await api.produce(
      topic,
      numbers(10).map((value) => ({ partition: value % 2, value })),
    )
    const group = new GroupApi(api, 'stream-move')
    const path = `/stream?topics=${topic}`
    const first = await group.stream(path)
    await assigned(first, 2)
    const seen = values(await first.take(10))
    const second = await group.stream(path)
    const [end] = (await first.rest()).slice(-1)
    expect(end).toMatchObject({ event: 'end', data: '{"reason":"rebalance"}' })
    const again = await group.stream(path, first.lastEventId)
    await Promise.all([assigned(again, 1), assigned(second, 1)])
    await api.produce(
      topic,
      numbers(10).map((value) => ({ partition: value % 2, value: value + 10 })),
    )
    const rest = await Promise.all([again.take(5), second.take(5)])
    expect(inOrder([...seen, ...rest.flatMap(values)])).toEqual(numbers(20))
    await again.close()
    await second.close()
  })

  it('commits before it sends, when that is asked for', async () => {
    const topic = await api.makeTopic('stream-before', { partitions: 2 })
    await api.produceNumbers(topic, 10)
    const group = new GroupApi(api, 'stream-before')
    const stream = await group.stream(`/stream?topics=${topic}&commit=before`)
    await assigned(stream, 2)
    expect(values(await stream.take(10))).toEqual(numbers(10))
    expect(sum(Object.values(await group.offsets()))).toBe(10)
    await stream.close()
  })

  it('serves a member that has joined, who commits by itself', async () => {
    const topic = await api.makeTopic('stream-member', { partitions: 2 })
    await api.produceNumbers(topic, 10)
    const group = new GroupApi(api, 'stream-member')
    const member = await group.join([topic])
    const stream = await group.stream(
      `${member.path}/stream?memberEpoch=${member.told.memberEpoch}`,
    )
    await assigned(stream, 2)
    const events = await stream.take(10)
    expect(values(events)).toEqual(numbers(10))
    expect(Object.values(await group.offsets())).toEqual([0, 0])
    await group.commit({ cursor: stream.lastEventId })
    expect(sum(Object.values(await group.offsets()))).toBe(10)
    await stream.close()
  })

  it('tells of records that were removed unread, and goes on', async () => {
    const topic = await api.makeTopic('stream-gap')
    await api.produceNumbers(topic, 10)
    const group = new GroupApi(api, 'stream-gap')
    await group.commit({ offsets: [{ topic, partition: 0, offset: 2 }] })
    await api.call('DELETE', `/v1/topics/${topic}/partitions/0/records?before=6`)
    const stream = await group.stream(`/stream?topics=${topic}`)
    await assigned(stream, 1)
    const [gap, ...rest] = await stream.take(5)
    expect(gap?.event).toBe('gap')
    expect(JSON.parse(gap?.data ?? '')).toEqual({ topic, partition: 0, offset: 2, earliest: 6 })
    expect(values(rest)).toEqual([6, 7, 8, 9])
    await stream.close()
  })

  it.each([
    ['/stream', 'invalid-parameter'],
    ['/stream?topics=a&commit=after', 'invalid-parameter'],
    ['/stream?topics=a&form=latest', 'unknown-parameter'],
    ['/stream?topics=__offsets', 'invalid-request'],
    [`/members/${randomUUID()}/stream?memberEpoch=1`, 'member-not-found'],
  ])('refuses %s with %s before the stream begins', async (path, code) => {
    api.expectProblem(await new GroupApi(api, 'refused').call('GET', path), code)
  })
}
