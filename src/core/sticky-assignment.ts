/**
 * The `sticky` assignor: every member keeps what it has; what nobody has goes to those with the
 * least, in the rack of a replica if that costs no balance; then those with the most give to those
 * with the least until no two members that could swap differ by more than one partition, and what is
 * read from another rack goes where it is nearby, if that costs no balance.
 */
import type {
  AssignableMember,
  AssignableTopic,
  AssignablePlace as Place,
  TargetAssignment,
} from './assignable.ts'
import { subscribersByTopic } from './assignable.ts'
import { LoadHeap } from './load-heap.ts'
import { PartitionMap } from './partition-map.ts'
import { RackExchange } from './rack-exchange.ts'

/** Topics with the same subscribers: each partition of them may go to each of these members. */
interface Pool {
  readonly members: readonly number[]
  readonly topics: AssignableTopic[]
}

/** Pools influence each other through members of several; a few rounds settle what matters. */
const ROUNDS_MAX = 8
const NOBODY: readonly Place[] = []

export class StickyAssignment {
  readonly #members: readonly AssignableMember[]
  readonly #loads: Int32Array
  readonly #hasRacks: boolean
  readonly #target: TargetAssignment = new PartitionMap()

  /** The members must be in an order that does not change from time to time. */
  constructor(members: readonly AssignableMember[]) {
    this.#members = members
    this.#loads = new Int32Array(members.length)
    this.#hasRacks = members.some(({ rack }) => rack !== '')
  }

  run(): TargetAssignment {
    const pools = poolsOf(this.#members)
    const held: Held[] = pools.map((pool) => new Map(pool.members.map((member) => [member, []])))
    const free = pools.map((pool, i) => this.#keep(pool, held[i] as Held))
    for (const [i, pool] of pools.entries()) {
      this.#place(pool, free[i] as Place[], held[i] as Held)
    }
    for (let round = 0; round < ROUNDS_MAX; round++) {
      let moved = false
      for (const [i, pool] of pools.entries()) {
        if (this.#balance(pool, held[i] as Held)) moved = true
        if (this.#hasRacks && this.#bringNear(pool, held[i] as Held)) moved = true
      }
      if (!moved || pools.length === 1) break
    }
    for (const places of held) {
      for (const [member, own] of places) {
        const { memberId } = this.#members[member] as AssignableMember
        for (const { topic, partition } of own) this.#target.set(topic.topicId, partition, memberId)
      }
    }
    return this.#target
  }

  /** Gives each member what it has, and returns what nobody has. */
  #keep(pool: Pool, held: Held): Place[] {
    const free: Place[] = []
    for (const topic of pool.topics) {
      const owners = new Int32Array(topic.partitions).fill(-1)
      for (const member of pool.members) {
        const { assigned } = this.#members[member] as AssignableMember
        for (const partition of assigned.ofTopic(topic.topicId).keys()) {
          if (partition < topic.partitions) owners[partition] = member
        }
      }
      for (const [partition, member] of owners.entries()) {
        const place = { topic, partition }
        if (member === -1) free.push(place)
        else this.#give(place, member, held)
      }
    }
    return free
  }

  #place(pool: Pool, free: readonly Place[], held: Held): void {
    const far = this.#hasRacks ? this.#placeNear(pool, free, held) : free
    const heap = this.#heap(pool.members, 'least')
    for (const place of far) {
      const member = heap.peek()
      this.#give(place, member, held)
      heap.push(member)
    }
  }

  /** Places what finds a member in the rack of a replica that has not its share yet; returns the rest. */
  #placeNear(pool: Pool, free: readonly Place[], held: Held): Place[] {
    let total = free.length
    for (const member of pool.members) total += this.#loads[member] as number
    const share = Math.ceil(total / pool.members.length)
    const heaps = new Map<string, LoadHeap>()
    for (const member of pool.members) {
      const { rack } = this.#members[member] as AssignableMember
      const heap = heaps.get(rack) ?? new LoadHeap(this.#loads, 'least')
      heaps.set(rack, heap)
      heap.push(member)
    }
    const far: Place[] = []
    for (const place of free) {
      const near = place.topic
        .racksOf(place.partition)
        .map((rack) => (rack === '' ? -1 : (heaps.get(rack)?.peek() ?? -1)))
        .filter((member) => member !== -1 && this.#load(member) < share)
        .sort((a, b) => this.#load(a) - this.#load(b) || a - b)
      const [member] = near
      if (member === undefined) far.push(place)
      else {
        this.#give(place, member, held)
        heaps.get((this.#members[member] as AssignableMember).rack)?.push(member)
      }
    }
    return far
  }

  /** Whether anything had to be moved. */
  #balance(pool: Pool, held: Held): boolean {
    const most = this.#heap(pool.members, 'most')
    const least = this.#heap(pool.members, 'least')
    let moved = false
    for (;;) {
      const from = this.#giver(most, held)
      const to = least.peek()
      if (from === -1 || this.#load(from) - this.#load(to) < 2) return moved
      const place = this.#takeOut(held.get(from) ?? [], from, to)
      this.#loads[from] = this.#load(from) - 1
      this.#give(place, to, held)
      for (const member of [from, to]) {
        most.push(member)
        least.push(member)
      }
      moved = true
    }
  }

  /** Who has the most of all that have something of this pool. */
  #giver(most: LoadHeap, held: Held): number {
    for (;;) {
      const member = most.peek()
      if (member === -1 || (held.get(member) ?? NOBODY).length > 0) return member
      most.drop()
    }
  }

  /** The partition whose move is best for the racks; the last one where they do not matter. */
  #takeOut(places: Place[], from: number, to: number): Place {
    let best = places.length - 1
    if (this.#hasRacks) {
      let bestGain = this.#gain(places[best] as Place, from, to)
      for (let i = best - 1; i >= 0 && bestGain < 1; i--) {
        const gain = this.#gain(places[i] as Place, from, to)
        if (gain > bestGain) [best, bestGain] = [i, gain]
      }
    }
    const [place] = places.splice(best, 1)
    return place as Place
  }

  #gain({ topic, partition }: Place, from: number, to: number): number {
    const racks = topic.racksOf(partition)
    const isNear = (member: number) => racks.includes(this.#members[member]?.rack ?? '')
    return (isNear(to) ? 1 : 0) - (isNear(from) ? 1 : 0)
  }

  #bringNear({ members }: Pool, held: Held): boolean {
    const rackOf = (member: number) => this.#members[member]?.rack ?? ''
    return new RackExchange({ members, rackOf, loads: this.#loads }).run(held)
  }

  #give(place: Place, member: number, held: Held): void {
    held.get(member)?.push(place)
    this.#loads[member] = this.#load(member) + 1
  }

  #load(member: number): number {
    return this.#loads[member] as number
  }

  #heap(members: readonly number[], top: 'least' | 'most'): LoadHeap {
    const heap = new LoadHeap(this.#loads, top)
    for (const member of members) heap.push(member)
    return heap
  }
}

type Held = Map<number, Place[]>

/** Those with the fewest members first: what is left is spread by the others. */
function poolsOf(members: readonly AssignableMember[]): Pool[] {
  const pools = new Map<string, Pool>()
  const keys = new Map<readonly number[], string>()
  for (const [topic, indexes] of subscribersByTopic(members)) {
    const key = keys.get(indexes) ?? indexes.join(' ')
    keys.set(indexes, key)
    const pool = pools.get(key)
    if (pool === undefined) pools.set(key, { members: indexes, topics: [topic] })
    else pool.topics.push(topic)
  }
  return [...pools.values()].sort((a, b) => a.members.length - b.members.length)
}
