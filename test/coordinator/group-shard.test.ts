import { describe, expect, test } from 'vitest'
import type { GroupId, MemberId } from '../../src/core/group-settings.ts'
import type { TopicName } from '../../src/core/ids.ts'
import { LIMITS } from '../../src/core/limits.ts'
import type { NodeImage } from '../../src/metadata/metadata-image.ts'
import type { JoinGroup, MemberView } from '../../src/wire/groups.ts'
import { topicImage } from '../front/topics.ts'
import { ShardWorld } from './shard-world.ts'

const groupId = 'g' as GroupId
const id = (text: string) => text as MemberId
const A = topicImage('a', 4)
const DAY_MS = 24 * 3_600_000

function joining(memberId: string, options: Partial<JoinGroup> = {}): JoinGroup {
  return {
    groupId,
    memberId: id(memberId),
    subscription: { topics: ['a' as TopicName] },
    from: 'earliest',
    sessionTimeoutMs: 10_000,
    rebalanceTimeoutMs: 20_000,
    ...options,
  }
}

const numbers = (places: readonly { partition: number }[]) => places.map((p) => p.partition)

/** A world in which members read: whatever is unresolved gets a start. */
class Readers {
  readonly world = new ShardWorld([A])

  join(memberId: string, options: Partial<JoinGroup> = {}): MemberView {
    this.world.done('join', joining(memberId, options))
    return this.resolve(memberId)
  }

  resolve(memberId: string): MemberView {
    const { unresolved } = this.view(memberId)
    const starts = unresolved.map(({ topicId, partition }) => {
      return { topicId, partition, offset: 7, leaderEpoch: -1 }
    })
    this.world.done('startAt', { groupId, starts })
    return this.view(memberId)
  }

  view(memberId: string): MemberView {
    const { members } = this.world.describe(groupId)
    const memberEpoch = members.find((member) => member.memberId === memberId)?.memberEpoch ?? 0
    return this.world.done('view', { groupId, memberId: id(memberId), memberEpoch })
  }

  commit(memberId: string, memberEpoch: number, partition: number, options = {}) {
    const offsets = [{ topicId: A.id, partition, offset: 20, leaderEpoch: 1, ...options }]
    return this.world.call('commit', { groupId, memberId: id(memberId), memberEpoch, offsets })
  }
}

describe('members', () => {
  test('a partition goes to another member when the first has said that it stopped', () => {
    const readers = new Readers()
    const one = readers.join('m1')
    expect(numbers(one.assigned)).toEqual([0, 1, 2, 3])
    expect(numbers(readers.join('m2').assigned)).toEqual([])
    const { revoking, assigned, memberEpoch } = readers.view('m1')
    expect([numbers(assigned), numbers(revoking)]).toEqual([
      [0, 1],
      [2, 3],
    ])
    readers.world.done('heartbeat', { groupId, memberId: id('m1'), memberEpoch, owned: assigned })
    expect(numbers(readers.view('m2').assigned)).toEqual([2, 3])
    expect(readers.world.describe(groupId).state).toBe('stable')
  })

  test('partitions follow their replicas to other racks, and stay while a node is down', () => {
    const readers = new Readers()
    const { world } = readers
    const nodes = (racks: readonly string[]) => {
      const all = racks.map((rack, i): [number, NodeImage] => {
        return [i + 1, { id: i + 1, url: '', rack, incarnation: 1, draining: false }]
      })
      return new Map(all.filter(([, { rack }]) => rack !== ''))
    }
    const partitions = A.partitions.map((state, p) => ({ ...state, replicas: [p + 1] }))
    const look = () => ['m1', 'm2'].map((member) => numbers(readers.view(member).assigned))
    const seen = (racks: readonly string[]) => {
      world.metadata.set([{ ...A, partitions }], nodes(racks))
      world.follow()
      return look()
    }
    const release = (member: string) => {
      const { memberEpoch, assigned } = readers.view(member)
      world.done('heartbeat', { groupId, memberId: id(member), memberEpoch, owned: assigned })
    }
    world.metadata.set([{ ...A, partitions }], nodes(['x', 'x', 'y', 'y']))
    readers.join('m1', { rack: 'x' })
    readers.join('m2', { rack: 'y' })
    release('m1')
    expect(look()).toEqual([
      [0, 1],
      [2, 3],
    ])
    const records = world.log.length
    seen(['x', '', 'y', 'y'])
    seen(['x', 'x', 'y', 'y'])
    expect(world.log).toHaveLength(records)
    expect(seen(['x', 'y', 'x', 'y'])).toEqual([[0], [3]])
    expect(numbers(readers.view('m1').revoking)).toEqual([1])
    release('m1')
    release('m2')
    expect(look()).toEqual([
      [0, 2],
      [1, 3],
    ])
  })

  test('a join can be repeated, and may change what the member wants', () => {
    const readers = new Readers()
    readers.join('m1')
    const records = readers.world.log.length
    expect(readers.world.done('join', joining('m1'))).toMatchObject({ created: false })
    expect(readers.world.log).toHaveLength(records)
    const subscription = { pattern: 'b*' }
    const other = readers.world.done('join', joining('m1', { subscription }))
    expect([other.created, numbers(other.assigned), numbers(other.revoking)]).toEqual([
      false,
      [],
      [0, 1, 2, 3],
    ])
  })

  test('epochs of another time, and of the future, are fenced', () => {
    const readers = new Readers()
    const { memberEpoch } = readers.join('m1')
    readers.world.advance(10_001)
    const again = readers.join('m1')
    expect(again.memberEpoch).toBeGreaterThan(memberEpoch)
    for (const epoch of [memberEpoch, again.memberEpoch + 1]) {
      const command = { groupId, memberId: id('m1'), memberEpoch: epoch }
      expect(readers.world.call('heartbeat', command)).toMatchObject({ code: 'member-fenced' })
      expect(readers.commit('m1', epoch, 0)).toMatchObject({ code: 'member-fenced' })
    }
  })

  test('who is silent for a session is out, who is heard is not', () => {
    const readers = new Readers()
    const { memberEpoch } = readers.join('m1')
    readers.join('m2')
    for (let round = 0; round < 3; round++) {
      readers.world.advance(6_000)
      readers.world.done('view', { groupId, memberId: id('m1'), memberEpoch, renew: true })
    }
    expect(readers.world.describe(groupId).members.map(({ memberId }) => memberId)).toEqual(['m1'])
    const command = { groupId, memberId: id('m2'), memberEpoch: 99 }
    expect(readers.world.call('heartbeat', command)).toMatchObject({ code: 'member-not-found' })
  })

  test('who does not give up in time is fenced, and out when its session ends', () => {
    const readers = new Readers()
    const { memberEpoch } = readers.join('m1')
    readers.join('m2')
    const beats = { groupId, memberId: id('m1'), memberEpoch }
    for (let ms = 0; ms < 18_000; ms += 6_000) {
      readers.world.advance(6_000)
      readers.world.call('heartbeat', beats)
      readers.world.call('view', { ...beats, memberId: id('m2'), memberEpoch: 99 })
    }
    readers.world.advance(3_000)
    expect(readers.world.call('heartbeat', beats)).toMatchObject({ code: 'member-fenced' })
    readers.world.advance(8_000)
    expect(readers.world.call('heartbeat', beats)).toMatchObject({ code: 'member-not-found' })
  })

  test('an instance that comes back has what it had, and nobody else takes its place', () => {
    const readers = new Readers()
    const instanceId = id('i1')
    readers.join('m1', { instanceId })
    readers.join('m2')
    const { assigned, memberEpoch } = readers.view('m1')
    readers.world.done('heartbeat', { groupId, memberId: id('m1'), memberEpoch, owned: assigned })
    const before = readers.view('m2')
    const taken = readers.world.call('join', joining('m3', { instanceId }))
    expect(taken).toMatchObject({ code: 'instance-in-use' })
    readers.world.done('leave', { groupId, memberId: id('m1'), keepInstance: true })
    const back = readers.join('m3', { instanceId })
    expect(numbers(back.assigned)).toEqual(numbers(assigned))
    expect(readers.view('m2')).toEqual(before)
    expect(readers.commit('m1', memberEpoch, 0)).toMatchObject({ code: 'member-fenced' })
  })

  test('a late leave does not put out who joined again', () => {
    const readers = new Readers()
    const { memberEpoch } = readers.join('m1')
    const leave = { groupId, memberId: id('m1'), memberEpoch }
    readers.world.done('leave', leave)
    readers.join('m1')
    readers.world.done('leave', leave)
    expect(readers.world.describe(groupId).members).toHaveLength(1)
  })

  test('who is gone before the turn is over is not told that it is in', () => {
    const { world } = new Readers()
    const joined = world.begin('join', joining('m1'))
    world.done('leave', { groupId, memberId: id('m1') })
    expect(joined()).toMatchObject({ code: 'member-not-found' })
  })

  test('members of one group share an assignor', () => {
    const readers = new Readers()
    readers.join('m1', { assignor: 'range' })
    const other = readers.world.call('join', joining('m2', { assignor: 'sticky' }))
    expect(other).toMatchObject({ code: 'group-differs' })
    const changed = readers.world.done('change', { groupId, settings: { assignor: 'sticky' } })
    expect(changed.assignor).toBe('sticky')
    expect(readers.join('m2', { assignor: 'sticky' }).memberEpoch).toBeGreaterThan(0)
  })
})

describe('where a group begins', () => {
  test('latest is for what was there when the group subscribed, all else is read from its start', () => {
    const readers = new Readers()
    const joined = readers.world.done('join', joining('m1', { from: 'latest' }))
    expect(joined.unresolved.map(({ at }) => at)).toEqual(['latest', 'latest', 'latest', 'latest'])
    readers.resolve('m1')
    readers.world.topics([topicImage('a', 6)])
    const grown = readers.view('m1').unresolved
    expect(grown.map(({ partition, at }) => [partition, at])).toEqual([
      [4, 'earliest'],
      [5, 'earliest'],
    ])
  })

  test('a topic that is made after the subscription is read from its start', () => {
    const readers = new Readers()
    const subscription = { pattern: '*' }
    readers.join('m1', { from: 'latest', subscription })
    readers.world.topics([A, topicImage('new', 1)])
    readers.world.done('join', joining('m2', { from: 'latest', subscription }))
    const views = [readers.view('m1'), readers.view('m2')].flatMap((view) => view.unresolved)
    expect(views.map(({ topic, at }) => [topic, at])).toEqual([['new', 'earliest']])
  })

  test('the first start counts, and only for partitions that somebody has', () => {
    const readers = new Readers()
    readers.join('m1')
    const starts = [0, 9].map((partition) => ({
      topicId: A.id,
      partition,
      offset: 99,
      leaderEpoch: -1,
    }))
    readers.world.done('startAt', { groupId, starts })
    const offsets = readers.world.done('offsets', { groupId })
    expect(offsets.map(({ partition, offset }) => [partition, offset])).toEqual([
      [0, 7],
      [1, 7],
      [2, 7],
      [3, 7],
    ])
  })
})

describe('offsets', () => {
  test('are committed by who owns the partition', () => {
    const readers = new Readers()
    const { memberEpoch } = readers.join('m1')
    expect(readers.commit('m1', memberEpoch, 1)).toMatchObject([{ ok: true, partition: 1 }])
    expect(readers.commit('m1', memberEpoch, 8)).toMatchObject([{ code: 'partition-not-owned' }])
    const moved = readers.commit('m1', memberEpoch, 1, { expectedOffset: 7 })
    expect(moved).toMatchObject([{ code: 'offset-moved' }])
    const same = readers.commit('m1', memberEpoch, 1, { expectedOffset: 20, metadata: 'ä' })
    expect(same).toMatchObject([{ ok: true }])
    readers.world.failOver(true)
    expect(readers.world.done('offsets', { groupId })[1]).toEqual({
      topicId: A.id,
      topic: 'a',
      partition: 1,
      offset: 20,
      leaderEpoch: 1,
      metadata: 'ä',
      committedAtMs: readers.world.nowMs,
    })
  })

  test('are not taken back by a commit that comes late, unless its records are of a later epoch', () => {
    const readers = new Readers()
    const { memberEpoch } = readers.join('m1')
    const commit = (offset: number, leaderEpoch: number, onlyForward: boolean) => {
      const offsets = [{ topicId: A.id, partition: 1, offset, leaderEpoch }]
      const command = { groupId, memberId: id('m1'), memberEpoch, onlyForward, offsets }
      expect(readers.world.call('commit', command)).toMatchObject([{ ok: true, partition: 1 }])
      const [, of] = readers.world.done('offsets', { groupId })
      return [of?.offset, of?.leaderEpoch]
    }
    expect(commit(20, 3, true)).toEqual([20, 3])
    expect(commit(15, 3, true)).toEqual([20, 3])
    expect(commit(15, -1, true)).toEqual([20, 3])
    expect(commit(10, 4, true)).toEqual([10, 4])
    expect(commit(21, 3, true)).toEqual([10, 4])
    expect(commit(11, -1, true)).toEqual([11, -1])
    expect(commit(10, 4, true)).toEqual([11, -1])
    // Whoever names a number means it.
    expect(commit(2, -1, false)).toEqual([2, -1])
  })

  test('are set by others only while nobody reads', () => {
    const world = new ShardWorld([A])
    const offsets = [{ topicId: A.id, partition: 0, offset: 5, leaderEpoch: 0 }]
    const far = [{ topicId: A.id, partition: 4, offset: 5, leaderEpoch: 0 }]
    expect(world.done('commit', { groupId, offsets })).toMatchObject([{ ok: true }])
    const outcome = world.done('reset', { groupId, offsets: far })
    expect(outcome).toMatchObject([{ code: 'partition-not-found' }])
    world.done('join', joining('m1'))
    expect(world.call('reset', { groupId, offsets })).toMatchObject({ code: 'group-not-empty' })
    expect(world.call('remove', { groupId })).toMatchObject({ code: 'group-not-empty' })
    world.done('leave', { groupId, memberId: id('m1') })
    world.done('remove', { groupId })
    expect(world.call('describe', { groupId })).toMatchObject({ code: 'group-not-found' })
  })

  test('are kept as long as somebody subscribes, and for a time after', () => {
    const readers = new Readers()
    readers.join('m1', { sessionTimeoutMs: 100 * DAY_MS })
    readers.world.advance(20 * DAY_MS)
    expect(readers.world.done('offsets', { groupId })).toHaveLength(4)
    readers.world.done('leave', { groupId, memberId: id('m1') })
    readers.world.advance(6.9 * DAY_MS)
    expect(readers.world.done('offsets', { groupId })).toHaveLength(4)
    readers.world.advance(0.2 * DAY_MS)
    expect(readers.world.call('offsets', { groupId })).toMatchObject({ code: 'group-not-found' })
    readers.world.failOver(true)
    expect(readers.world.call('offsets', { groupId })).toMatchObject({ code: 'group-not-found' })
  })

  test('of a topic that was deleted are forgotten, those of one that is unknown are not', () => {
    const readers = new Readers()
    readers.join('m1')
    readers.world.topics([])
    expect(readers.world.done('offsets', { groupId })).toHaveLength(4)
    const { image } = readers.world.metadata
    readers.world.metadata.image = { ...image, removedTopics: new Map([[A.id, 1]]) }
    readers.world.follow()
    expect(readers.world.done('offsets', { groupId })).toEqual([])
  })
})

test('groups are listed by name, page by page', () => {
  const world = new ShardWorld([A])
  for (const name of ['c', 'a', 'd', 'b']) {
    world.done('join', { ...joining('m1'), groupId: name as GroupId })
  }
  const first = world.done('list', { after: '', limit: 3 })
  expect(first.groups.map((group) => group.groupId)).toEqual(['a', 'b', 'c'])
  expect(first.more).toBe(true)
  const rest = world.done('list', { after: 'c', limit: 3 })
  expect(rest).toEqual({ groups: [{ groupId: 'd', state: 'stable', members: 1 }], more: false })
})

test('whoever could not hear members for a while gives them time to speak', () => {
  const readers = new Readers()
  const { memberEpoch } = readers.join('m1')
  readers.world.nowMs += 60_000
  readers.world.follow()
  const command = { groupId, memberId: id('m1'), memberEpoch }
  expect(readers.world.done('heartbeat', command).memberEpoch).toBe(memberEpoch)
})

test('a group has a thousand members and no more, each with its share', () => {
  const world = new ShardWorld([topicImage('a', 4_000)])
  for (let m = 0; m < LIMITS.membersPerGroup; m++) world.done('join', joining(`m${m}`))
  const full = world.call('join', joining('late'))
  expect(full).toMatchObject({ code: 'group-full', members: { limit: 1_000 } })
  for (let round = 0; round < 4; round++) {
    world.advance(2_000)
    for (const { memberId, memberEpoch, assigned } of world.describe(groupId).members) {
      world.done('heartbeat', { groupId, memberId, memberEpoch, owned: assigned })
    }
  }
  const { members, state } = world.describe(groupId)
  expect(new Set(members.map(({ assigned }) => assigned.length))).toEqual(new Set([4]))
  expect(state).toBe('stable')
})
