/** Offsets of groups: committed by cursor and by number, refused, set anew; and the lag. */
import { describe, expect, it } from 'vitest'
import type { Api } from './api.ts'
import { GroupApi, inOrder, numbers } from './group-api.ts'
import type { OffsetReceipts } from './shapes.ts'

export function describeGroupOffsets(api: Api): void {
  describe('offsets of groups', () => {
    describeCommits(api)
    describeResets(api)
    describeLag(api)
  })
}

function describeCommits(api: Api): void {
  it('are committed by a cursor, and are where the next member begins', async () => {
    const topic = await api.makeTopic('cursor', { partitions: 2 })
    await api.produceNumbers(topic, 20)
    const group = new GroupApi(api, 'cursor')
    const member = await group.join([topic])
    const start = await member.read('&limit=3')
    const page = await member.read('&limit=12')
    await group.commit({ cursor: page.cursor })
    const committed = await group.offsets()
    await group.commit({ cursor: start.cursor })
    expect(await group.offsets()).toEqual(committed)
    await group.commit({
      cursor: page.cursor,
      memberId: member.id,
      memberEpoch: member.told.memberEpoch,
    })
    await member.leave()
    const next = await group.join([topic])
    await group.settle([next], 2)
    const rest = await next.drain()
    expect(inOrder([...page.records.map(({ value }) => value), ...rest])).toEqual(numbers(20))
  })

  it('have an outcome each, with a note that is given back', async () => {
    const topic = await api.makeTopic('outcomes', { partitions: 2 })
    await api.produce(
      topic,
      numbers(5).map((value) => ({ partition: 0, value })),
    )
    await api.call('DELETE', `/v1/topics/${topic}/partitions/0/records?before=2`)
    const group = new GroupApi(api, 'outcomes')
    const offset = (partition: number, at: number) => ({ topic, partition, offset: at })
    const answer = await group.send('POST', '/offsets', {
      offsets: [
        { ...offset(0, 4), metadata: 'übrig' },
        offset(1, 1),
        offset(0, 1),
        offset(2, 0),
        { ...offset(0, 0), topic: 'conformance-no-such-topic' },
      ],
    })
    expect(answer.status, answer.text).toBe(207)
    expect(answer.json<OffsetReceipts>().offsets).toMatchObject([
      offset(0, 4),
      { ...place(topic, 1), error: { code: 'invalid-offset', tail: 0 } },
      { ...place(topic, 0), error: { code: 'invalid-offset', earliest: 2 } },
      { ...place(topic, 2), error: { code: 'partition-not-found' } },
      { error: { code: 'topic-not-found' } },
    ])
    const { offsets } = (await group.call('GET', '/offsets')).json<{ offsets: object[] }>()
    expect(offsets).toMatchObject([{ ...offset(0, 4), metadata: 'übrig' }])
    api.expectProblem(
      await group.send('POST', '/offsets', { offsets: [offset(1, 1)] }),
      'invalid-offset',
    )
    api.expectProblem(await group.send('POST', '/offsets', { cursor: 'broken' }), 'bad-cursor')
    api.expectProblem(await group.send('POST', '/offsets', {}), 'invalid-request')
  })

  it('are those of the owner: nobody else can commit a partition, nor its owner of before', async () => {
    const topic = await api.makeTopic('owner', { partitions: 2 })
    await api.produceNumbers(topic, 10)
    const group = new GroupApi(api, 'owner')
    const old = await group.join([topic])
    const { cursor } = await old.read()
    const young = await group.join([topic])
    await group.settle([old, young], 2)
    const late = await group.send('POST', '/offsets', { cursor })
    expect(late.status, late.text).toBe(207)
    const refused = late.json<OffsetReceipts>().offsets.filter(({ error }) => error !== undefined)
    expect(refused.map(({ partition }) => `${topic}/${partition}`)).toEqual(young.owned)
    expect(refused[0]?.error).toMatchObject({ code: 'partition-not-owned', committed: 'no' })
    const offsets = [{ topic, partition: 0, offset: 0 }]
    api.expectProblem(await group.send('POST', '/offsets', { offsets }), 'group-not-empty')
  })

  it('survive the deletion of a topic under its name no more than its records do', async () => {
    const topic = await api.makeTopic('recreated-group', { partitions: 1 })
    await api.produceNumbers(topic, 5)
    const group = new GroupApi(api, 'recreated')
    const member = await group.join([topic])
    expect(await member.drain()).toHaveLength(5)
    expect((await api.call('DELETE', `/v1/topics/${topic}`)).status).toBe(202)
    await expect
      .poll(
        async () => (await api.callJson('PUT', `/v1/topics/${topic}`, { partitions: 1 })).status,
        { timeout: 20_000 },
      )
      .toBe(201)
    await api.produceNumbers(topic, 3)
    const seen: unknown[] = []
    await expect
      .poll(async () => seen.push(...(await member.drain())) && seen.length, { timeout: 20_000 })
      .toBe(3)
  })
}

const place = (topic: string, partition: number) => ({ topic, partition })

function describeResets(api: Api): void {
  it('are set to a place while the group has no members', async () => {
    const topic = await api.makeTopic('reset', { partitions: 2 })
    await api.produce(
      topic,
      numbers(8).map((value) => ({ partition: value % 2, value })),
    )
    const group = new GroupApi(api, 'reset')
    const member = await group.join([topic])
    expect(await member.drain()).toHaveLength(8)
    api.expectProblem(await group.send('PUT', '/offsets', { to: 'earliest' }), 'group-not-empty')
    await member.leave()
    const at = async (body: object): Promise<number[]> => {
      const answer = await group.send('PUT', '/offsets', { ...body })
      expect(answer.status, answer.text).toBe(200)
      return Object.values(await group.offsets())
    }
    expect(await at({ to: 'earliest' })).toEqual([0, 0])
    expect(await at({ to: 'latest', topics: [topic] })).toEqual([4, 4])
    expect(await at({ to: 'last:1' })).toEqual([3, 3])
    expect(await at({ to: 'time:2000-01-01T00:00:00Z' })).toEqual([0, 0])
    expect(await at({ to: 'offset:2' })).toEqual([2, 2])
    expect(await at({ offsets: [{ topic, partition: 1, offset: 3 }] })).toEqual([2, 3])
    const next = await group.join([topic])
    await group.settle([next], 2)
    expect(inOrder(await next.drain())).toEqual([4, 6, 7])
    api.expectProblem(await group.send('PUT', '/offsets', { to: 'yesterday' }), 'invalid-request')
  })
}

function describeLag(api: Api): void {
  it('is told in records and in seconds', async () => {
    const topic = await api.makeTopic('lag', { partitions: 2 })
    const timestamp = new Date(Date.now() - 60_000).toISOString()
    await api.produce(
      topic,
      numbers(6).map((value) => ({ partition: value % 2, value, timestamp })),
    )
    const group = new GroupApi(api, 'lag')
    await group.commit({
      offsets: [
        { ...place(topic, 0), offset: 1 },
        { ...place(topic, 1), offset: 3 },
      ],
    })
    const answer = await group.call('GET', '/lag')
    expect(answer.status, answer.text).toBe(200)
    const lag = answer.json<{ seconds: number; partitions: { seconds: number }[] }>()
    expect(lag).toMatchObject({
      group: group.name,
      records: 2,
      partitions: [
        { ...place(topic, 0), offset: 1, tail: 3, records: 2 },
        { ...place(topic, 1), offset: 3, tail: 3, records: 0, seconds: 0 },
      ],
    })
    expect(lag.seconds).toBeGreaterThanOrEqual(59)
    expect(lag.seconds).toBe(lag.partitions[0]?.seconds)
  })
}
