import { describe, expect, test } from 'vitest'
import type { AssignableMember, AssignableTopic } from '../../src/core/assignable.ts'
import { assignPartitions } from '../../src/core/group-assignment.ts'
import type { Assignor, MemberId } from '../../src/core/group-settings.ts'
import type { TopicId } from '../../src/core/ids.ts'
import { PartitionMap } from '../../src/core/partition-map.ts'
import { SeededRandom } from '../../src/env/seeded-random.ts'

function topic(id: string, partitions: number, racks: string[][] = []): AssignableTopic {
  return { topicId: id as TopicId, partitions, racksOf: (p) => racks[p] ?? [] }
}

interface MemberSpec {
  readonly topics: readonly AssignableTopic[]
  readonly rack?: string
}

/** A group over some rounds: what a member got stays with it. */
class Rounds {
  readonly #assignor: Assignor
  readonly #has = new Map<string, PartitionMap<true>>()

  constructor(assignor: Assignor) {
    this.#assignor = assignor
  }

  /** Partitions by member, as `topic/partition`. */
  run(members: Record<string, MemberSpec>): Map<string, string[]> {
    const assignable = Object.entries(members).map(([name, { topics, rack = '' }]) => ({
      memberId: name as MemberId,
      name,
      rack,
      topics,
      assigned: this.#has.get(name) ?? new PartitionMap<true>(),
    })) satisfies AssignableMember[]
    const target = assignPartitions(this.#assignor, assignable)
    const got = new Map(Object.keys(members).map((name) => [name, [] as string[]]))
    this.#has.clear()
    for (const [topicId, partition, memberId] of target.entries()) {
      got.get(memberId)?.push(`${topicId}/${partition}`)
      const has = this.#has.get(memberId) ?? new PartitionMap<true>()
      has.set(topicId, partition, true)
      this.#has.set(memberId, has)
    }
    for (const places of got.values()) places.sort()
    return got
  }
}

const sizes = (got: Map<string, string[]>) => [...got.values()].map(({ length }) => length)

function moved(before: Map<string, string[]>, after: Map<string, string[]>): number {
  let count = 0
  for (const [name, places] of after) {
    const had = new Set(before.get(name))
    count += places.filter((place) => !had.has(place)).length
  }
  return count
}

describe('sticky', () => {
  test('spreads all partitions evenly and moves no more than balance needs', () => {
    const rounds = new Rounds('sticky')
    const topics = [topic('a', 7), topic('b', 5)]
    const one = rounds.run({ m1: { topics } })
    expect(sizes(one)).toEqual([12])
    const three = rounds.run({ m1: { topics }, m2: { topics }, m3: { topics } })
    expect(sizes(three)).toEqual([4, 4, 4])
    expect(moved(one, three)).toBe(8)
    const five = rounds.run({
      m1: { topics },
      m2: { topics },
      m3: { topics },
      m4: { topics },
      m5: { topics },
    })
    expect(sizes(five).sort()).toEqual([2, 2, 2, 3, 3])
    expect(moved(three, five)).toBe(4)
    const four = rounds.run({ m1: { topics }, m2: { topics }, m4: { topics }, m5: { topics } })
    expect(sizes(four)).toEqual([3, 3, 3, 3])
    expect(moved(five, four)).toBe(five.get('m3')?.length)
  })

  test('changes nothing when nothing changes', () => {
    const rounds = new Rounds('sticky')
    const topics = [topic('a', 13)]
    const members = { m1: { topics }, m2: { topics }, m3: { topics } }
    expect(moved(rounds.run(members), rounds.run(members))).toBe(0)
  })

  test('gives partitions to those that subscribe to them only, and balances over topics', () => {
    const rounds = new Rounds('sticky')
    const [a, b] = [topic('a', 4), topic('b', 4)]
    const got = rounds.run({ m1: { topics: [a] }, m2: { topics: [a, b] } })
    expect(got.get('m1')).toEqual(['a/0', 'a/1', 'a/2', 'a/3'])
    expect(got.get('m2')).toEqual(['b/0', 'b/1', 'b/2', 'b/3'])
  })

  test('prefers members in the rack of a replica while that costs no balance', () => {
    const racks = [['x'], ['x'], ['y'], ['y'], ['z'], ['z']]
    const topics = [topic('a', 6, racks)]
    const got = new Rounds('sticky').run({
      m1: { topics, rack: 'z' },
      m2: { topics, rack: 'y' },
      m3: { topics, rack: 'x' },
    })
    expect(Object.fromEntries(got)).toEqual({
      m1: ['a/4', 'a/5'],
      m2: ['a/2', 'a/3'],
      m3: ['a/0', 'a/1'],
    })
  })

  test('follows replicas to other racks, and moves nothing that gains nothing by it', () => {
    const racks = [['x'], ['x'], ['x'], ['y'], ['y'], ['y'], ['x', 'y']]
    const topics = [topic('a', 7, racks)]
    const members = { m1: { topics, rack: 'x' }, m2: { topics, rack: 'y' } }
    const rounds = new Rounds('sticky')
    const before = rounds.run(members)
    expect(before.get('m2')).toEqual(['a/3', 'a/4', 'a/5'])
    racks[0] = ['y']
    racks[5] = ['x']
    const exchanged = rounds.run(members)
    expect(exchanged.get('m2')).toEqual(['a/0', 'a/3', 'a/4'])
    expect(moved(before, exchanged)).toBe(2)
    racks[1] = ['y']
    const given = rounds.run(members)
    expect(given.get('m2')).toEqual(['a/0', 'a/1', 'a/3', 'a/4'])
    racks[2] = ['z']
    expect(rounds.run(members)).toEqual(given)
  })

  test.each([1, 2, 3, 4, 5, 6, 7, 8])(
    'moves for racks what gains, and not again, seed %i',
    (seed) => {
      const random = new SeededRandom(seed)
      const pick = (n: number) => random.uint32() % n
      const names = ['x', 'y', 'z']
      const rack = () => names[pick(3)] as string
      const racks = Array.from({ length: 20 }, () => [rack(), rack()])
      const topics = [topic('a', 20, racks)]
      const members: Record<string, MemberSpec> = {}
      for (let m = 0; m < 7; m++) {
        members[`m${m}`] = pick(4) === 0 ? { topics } : { topics, rack: rack() }
      }
      const near = (got: Map<string, string[]>) => {
        const isNear = (name: string, place: string) =>
          racks[Number(place.slice(2))]?.includes(members[name]?.rack ?? '')
        return [...got].flatMap(([name, own]) => own.filter((place) => isNear(name, place))).length
      }
      const rounds = new Rounds('sticky')
      let got = rounds.run(members)
      for (let change = 0; change < 30; change++) {
        racks[pick(20)] = [rack(), rack()]
        const nearBefore = near(got)
        const next = rounds.run(members)
        check(next, members, true)
        expect(moved(got, next)).toBeLessThanOrEqual(2 * (near(next) - nearBefore))
        expect(moved(next, rounds.run(members))).toBe(0)
        got = next
      }
    },
  )

  test.each([1, 2, 3, 4, 5, 6, 7, 8])('holds its promises at random, seed %i', (seed) => {
    const random = new SeededRandom(seed)
    const pick = (n: number) => random.uint32() % n
    const rounds = new Rounds('sticky')
    const all = [topic('a', 5), topic('b', 9), topic('c', 1), topic('d', 16)]
    const subsets = [all, all.slice(0, 2), all.slice(1), [all[3] as AssignableTopic]]
    for (let round = 0; round < 40; round++) {
      const members: Record<string, MemberSpec> = {}
      const isUniform = pick(2) === 0
      for (let m = 0; m < 9; m++) {
        const topics = subsets[isUniform ? 0 : pick(subsets.length)] as AssignableTopic[]
        if (pick(3) > 0) members[`m${m}`] = { topics, rack: pick(2) === 0 ? 'x' : 'y' }
      }
      check(rounds.run(members), members, isUniform)
    }
  })
})

/** Everything that somebody wants has one member, who wants it; no move of one partition would help. */
function check(
  got: Map<string, string[]>,
  members: Record<string, MemberSpec>,
  isUniform: boolean,
): void {
  const wanted = new Set<string>()
  for (const { topics } of Object.values(members)) {
    for (const { topicId, partitions } of topics) {
      for (let p = 0; p < partitions; p++) wanted.add(`${topicId}/${p}`)
    }
  }
  const places = [...got.values()].flat()
  expect(places.toSorted()).toEqual([...wanted].sort())
  for (const [name, own] of got) {
    const subscribed = new Set(members[name]?.topics.map(({ topicId }) => topicId))
    expect(own.filter((place) => !subscribed.has(place.split('/')[0] as TopicId))).toEqual([])
  }
  const loads = sizes(got)
  if (isUniform && loads.length > 0) {
    expect(Math.max(...loads) - Math.min(...loads)).toBeLessThanOrEqual(1)
  }
}

describe('range', () => {
  test('gives neighbours to each member, and those of one number to the same', () => {
    const topics = [topic('a', 5), topic('b', 5)]
    const got = new Rounds('range').run({ m2: { topics }, m1: { topics } })
    expect(got.get('m1')).toEqual(['a/0', 'a/1', 'a/2', 'b/0', 'b/1', 'b/2'])
    expect(got.get('m2')).toEqual(['a/3', 'a/4', 'b/3', 'b/4'])
  })
})

test('a thousand members and ten thousand partitions take no quadratic work', () => {
  let looks = 0
  const counted: AssignableTopic = {
    topicId: 'a' as TopicId,
    partitions: 10_000,
    racksOf: () => {
      looks++
      return ['x']
    },
  }
  const topics = [counted]
  const members = Object.fromEntries(
    Array.from({ length: 1_000 }, (_, m) => [`m${m}`, { topics, rack: m % 2 === 0 ? 'x' : 'y' }]),
  )
  const rounds = new Rounds('sticky')
  expect(new Set(sizes(rounds.run(members)))).toEqual(new Set([10]))
  expect(looks).toBeLessThan(200_000)
})
