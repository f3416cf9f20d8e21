/** Members of groups: joining, sharing partitions, giving them up, leaving, being put out. */
import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { within } from '../support/eventually.ts'
import type { Api } from './api.ts'
import { becomes, GroupApi, inOrder, namesOf, numbers } from './group-api.ts'
import type { MemberTold } from './shapes.ts'

export function describeGroups(api: Api): void {
  describe('groups', () => {
    describeJoining(api)
    describeSharing(api)
    describeSessions(api)
    describeAdministration(api)
  })
}

function describeJoining(api: Api): void {
  it('201 with its place for a new member, 200 for the same again', async () => {
    const topic = await api.makeTopic('join', { partitions: 3 })
    const group = new GroupApi(api, 'join')
    const body = { memberId: randomUUID(), topics: [topic] }
    const first = await group.send('POST', '/members', body)
    expect(first.status, first.text).toBe(201)
    expect(first.header('location')).toBe(`/v1/groups/${group.name}/members/${body.memberId}`)
    expect(first.json<MemberTold>()).toMatchObject({
      memberId: body.memberId,
      assigned: [{ topic, partitions: [0, 1, 2] }],
      revoking: [],
      sessionTimeoutMs: 45_000,
    })
    const again = await group.send('POST', '/members', body)
    expect(again.status, again.text).toBe(200)
    expect(again.json<MemberTold>()).toMatchObject({ assigned: [{ topic, partitions: [0, 1, 2] }] })
  })

  it('reads topics that match a pattern, and those that come later', async () => {
    const topic = await api.makeTopic('pattern', { partitions: 1 })
    const group = new GroupApi(api, 'pattern')
    const member = await group.join([], { topics: undefined, pattern: `${topic}*` })
    expect(member.owned).toEqual([`${topic}/0`])
    const later = `${topic}-later`
    const made = await api.callJson('PUT', `/v1/topics/${later}`, { partitions: 1 })
    expect(made.status, made.text).toBe(201)
    await becomes('it reads the later one, too', async () => {
      await member.heartbeat({ owned: member.told.assigned })
      return member.owned.length === 2
    })
    await api.produceNumbers(later, 3)
    expect(inOrder(await member.drain())).toEqual(numbers(3))
    await api.call('DELETE', `/v1/topics/${later}`)
  })

  it('reads topics that do not exist yet, from their beginning', async () => {
    const topic = api.freshName('unborn')
    const group = new GroupApi(api, 'unborn')
    const member = await group.join([topic], { from: 'latest' })
    expect(member.owned).toEqual([])
    const made = await api.callJson('PUT', `/v1/topics/${topic}`, { partitions: 2 })
    expect(made.status, made.text).toBe(201)
    await api.produceNumbers(topic, 10)
    const seen: unknown[] = []
    await becomes('all records', async () => {
      seen.push(...(await member.drain()))
      return seen.length >= 10
    })
    expect(inOrder(seen)).toEqual(numbers(10))
  })

  it.each(['earliest', 'latest'])('begins at %s where nothing is committed', async (from) => {
    const topic = await api.makeTopic('from', { partitions: 2 })
    await api.produceNumbers(topic, 10)
    const group = new GroupApi(api, 'from')
    const member = await group.join([topic], { from })
    await api.produce(topic, [{ value: 10 }])
    expect(inOrder(await member.drain())).toEqual(from === 'latest' ? [10] : numbers(11))
  })

  it('refuses what is no request of a member, and points at it', async () => {
    const group = new GroupApi(api, 'faults')
    const memberId = randomUUID()
    for (const [body, pointer] of [
      [{ topics: ['a'] }, '/memberId'],
      [{ memberId }, '/topics'],
      [{ memberId, topics: ['__offsets'] }, '/topics/0'],
      [{ memberId, topics: ['a'], sessionTimeoutMs: 1 }, '/sessionTimeoutMs'],
      [{ memberId, topic: 'a' }, '/topic'],
      [{ memberId, pattern: '(a+)+$' }, '/pattern'],
    ] as const) {
      const problem = api.expectProblem(
        await group.send('POST', '/members', body),
        'invalid-request',
      )
      expect(problem.errors?.map((error) => error.pointer)).toContain(pointer)
    }
    api.expectProblem(await group.call('GET'), 'group-not-found')
  })
}

function describeSharing(api: Api): void {
  it('gives each record to one of three members, and all to each of two groups', async () => {
    const topic = await api.makeTopic('share', { partitions: 6 })
    const one = new GroupApi(api, 'share-one')
    const two = new GroupApi(api, 'share-two')
    const members = [await one.join([topic]), await one.join([topic]), await one.join([topic])]
    const alone = await two.join([topic])
    await one.settle(members, 6)
    expect(members.map(({ owned }) => owned.length)).toEqual([2, 2, 2])
    await api.produce(
      topic,
      numbers(60).map((value) => ({ partition: value % 6, value })),
    )
    const shares = await Promise.all(members.map((member) => member.drain({ limit: 7 })))
    expect(shares.map(({ length }) => length)).toEqual([20, 20, 20])
    expect(inOrder(shares.flat())).toEqual(numbers(60))
    expect(inOrder(await alone.drain())).toEqual(numbers(60))
  })

  it('moves partitions to a new member only once their owner has let go', async () => {
    const topic = await api.makeTopic('move', { partitions: 4 })
    await api.produce(
      topic,
      numbers(4).map((value) => ({ partition: value, value })),
    )
    const group = new GroupApi(api, 'move')
    const old = await group.join([topic])
    const all = old.told.assigned
    await old.poll({ owned: all })
    const young = await group.join([topic])
    expect(young.owned).toEqual([])
    await becomes('the owner is asked to let go', async () => {
      await old.poll({ owned: all })
      return old.told.revoking.length > 0
    })
    await young.heartbeat()
    expect(young.owned).toEqual([])
    // What it is to give up may be committed, and is no longer read.
    const after = await old.poll()
    expect(after.uncommitted).toBeUndefined()
    await group.settle([old, young], 4)
    expect(await young.drain()).toEqual([])
    expect(Object.values(await group.offsets())).toEqual([1, 1, 1, 1])
  })

  it('tells a member that waits what it is to give up, and reads the rest on', async () => {
    const topic = await api.makeTopic('stay', { partitions: 4 })
    const group = new GroupApi(api, 'stay')
    const stays = await group.join([topic])
    const waiting = stays.poll({ wait: 55, owned: stays.told.assigned })
    const comes = await group.join([topic])
    const { revoking } = await within('it hears of the change', 15_000, waiting)
    expect(namesOf(revoking)).toHaveLength(2)
    const kept = stays.owned
    await api.produce(
      topic,
      numbers(8).map((value) => ({ partition: value % 4, value })),
    )
    const { records } = await stays.poll({ owned: [...stays.told.assigned, ...revoking] })
    expect(new Set(records.map(({ partition }) => `${topic}/${partition}`))).toEqual(new Set(kept))
    await group.settle([stays, comes], 4)
    expect(stays.owned).toEqual(kept)
  })

  it('hands on what was not committed when a member leaves', async () => {
    const topic = await api.makeTopic('leave', { partitions: 2 })
    await api.produceNumbers(topic, 20)
    const group = new GroupApi(api, 'leave')
    const first = await group.join([topic])
    const { records } = await first.read()
    expect(records).toHaveLength(20)
    await first.leave()
    await first.leave()
    const second = await group.join([topic])
    await group.settle([second], 2)
    expect(inOrder(await second.drain())).toEqual(inOrder(records.map(({ value }) => value)))
  })
}

function describeSessions(api: Api): void {
  it('puts out a member that is silent, who then has to join again', async () => {
    const topic = await api.makeTopic('silent', { partitions: 2 })
    const group = new GroupApi(api, 'silent')
    const silent = await group.join([topic], { sessionTimeoutMs: 1_000 })
    const other = await group.join([topic])
    await group.settle([silent, other], 2)
    await becomes('the other one has all', async () => {
      await other.heartbeat()
      return other.owned.length === 2
    })
    const path = `${silent.path}/records?memberEpoch=${silent.told.memberEpoch}`
    const answer = await group.call('GET', path)
    expect([404, 409]).toContain(answer.status)
    expect(answer.json<{ action: string }>().action).toBe('rejoin')
    const offsets = [{ topic, partition: 0, offset: 0 }]
    const { memberEpoch } = silent.told
    const late = await group.send('POST', '/offsets', { memberId: silent.id, memberEpoch, offsets })
    expect(late.status).toBeGreaterThanOrEqual(400)
    expect(late.json<{ action: string }>().action).toBe('rejoin')
    const back = await group.join([topic], { memberId: silent.id })
    await group.settle([back, other], 2)
  })

  it('refuses an epoch that the member does not have', async () => {
    const topic = await api.makeTopic('epoch')
    const group = new GroupApi(api, 'epoch')
    const member = await group.join([topic])
    const memberEpoch = member.told.memberEpoch + 7
    for (const answer of [
      await group.call('GET', `${member.path}/records?memberEpoch=${memberEpoch}`),
      await group.send('POST', `${member.path}/heartbeat`, { memberEpoch }),
      await group.send('POST', `${member.path}/poll`, { memberEpoch }),
      await group.call('GET', `${member.path}/stream?memberEpoch=${memberEpoch}`),
    ]) {
      expect(api.expectProblem(answer, 'member-fenced').action).toBe('rejoin')
    }
    const stranger = `/members/${randomUUID()}/records?memberEpoch=1`
    const missing = api.expectProblem(await group.call('GET', stranger), 'member-not-found')
    expect(missing.action).toBe('rejoin')
  })

  it('keeps the partitions of a static member that comes back', async () => {
    const topic = await api.makeTopic('static', { partitions: 2 })
    const group = new GroupApi(api, 'static')
    const first = await group.join([topic], { instanceId: 'one' })
    const other = await group.join([topic])
    await group.settle([first, other], 2)
    const { owned } = first
    const taken = await group.send('POST', '/members', {
      memberId: randomUUID(),
      instanceId: 'one',
      topics: [topic],
    })
    api.expectProblem(taken, 'instance-in-use')
    await first.leave('?keep=true')
    await other.heartbeat()
    expect(other.owned).toHaveLength(1)
    const again = await group.join([topic], { instanceId: 'one' })
    await group.settle([again, other], 2)
    expect(again.owned).toEqual(owned)
  })
}

function describeAdministration(api: Api): void {
  it('describes a group, changes it, and deletes it once it is empty', async () => {
    const topic = await api.makeTopic('describe', { partitions: 2 })
    const group = new GroupApi(api, 'describe')
    const member = await group.join([topic])
    expect((await group.call('GET')).json()).toMatchObject({
      group: group.name,
      state: 'stable',
      assignor: 'sticky',
      from: 'earliest',
      members: [
        { memberId: member.id, topics: [topic], assigned: [{ topic, partitions: [0, 1] }] },
      ],
    })
    const changed = await group.send('PATCH', '', { offsetsRetentionMs: 3_600_000 })
    expect(changed.status, changed.text).toBe(200)
    expect(changed.json()).toMatchObject({ offsetsRetentionMs: 3_600_000 })
    api.expectProblem(await group.send('PATCH', '', { retention: 1 }), 'invalid-request')
    api.expectProblem(await group.call('DELETE'), 'group-not-empty')
    await member.leave()
    expect((await group.call('GET')).json()).toMatchObject({ state: 'empty', members: [] })
    expect((await group.call('DELETE')).status).toBe(204)
    api.expectProblem(await group.call('GET'), 'group-not-found')
    api.expectProblem(await group.call('GET', '/offsets'), 'group-not-found')
    api.expectProblem(await group.call('GET', '/lag'), 'group-not-found')
  })

  it('lists groups by name, in pages', async () => {
    const topic = await api.makeTopic('list')
    const made = ['l-a', 'l-b', 'l-c'].map((label) => new GroupApi(api, label))
    for (const group of made) await group.join([topic])
    const seen: string[] = []
    for (let path = '/v1/groups?limit=2'; path !== ''; ) {
      const answer = await api.call('GET', path)
      expect(answer.status, answer.text).toBe(200)
      const { groups, next } = answer.json<{ groups: { group: string }[]; next?: string }>()
      expect(groups.length).toBeLessThanOrEqual(2)
      seen.push(...groups.map(({ group }) => group))
      path = next === undefined ? '' : `/v1/groups?limit=2&after=${encodeURIComponent(next)}`
      if (next !== undefined) expect(answer.header('link')).toContain('rel="next"')
    }
    expect(seen).toEqual(seen.toSorted((a, b) => (a < b ? -1 : 1)))
    for (const { name } of made) expect(seen).toContain(name)
  })

  it('hides the topic that it keeps its state in', async () => {
    const { topics } = (await api.call('GET', '/v1/topics?limit=1000')).json<{
      topics: { name: string }[]
    }>()
    expect(topics.filter(({ name }) => name.startsWith('__'))).toEqual([])
    for (const [method, path] of [
      ['GET', '/v1/topics/__offsets'],
      ['GET', '/v1/topics/__offsets/records'],
      ['GET', '/v1/topics/__offsets/stream'],
      ['POST', '/v1/topics/__offsets/publish'],
      ['DELETE', '/v1/topics/__offsets'],
    ] as const) {
      const answer = await api.call(method, path, method === 'POST' ? { body: 'x' } : {})
      expect(answer.status, `${method} ${path}`).toBeGreaterThanOrEqual(400)
      expect(answer.status).toBeLessThan(500)
    }
  })
}
