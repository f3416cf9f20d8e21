/**
 * Brings partitions to members in the racks of their replicas, and nobody's share out of balance by it:
 * to one that has less, or in exchange for a partition that loses nothing. Whatever moves has one more
 * partition read nearby; when nothing can, a second run finds nothing either.
 */
import type { AssignablePlace } from './assignable.ts'
import { LoadHeap } from './load-heap.ts'

export interface RackExchangeOptions {
  /** Those that each of the partitions may go to. */
  readonly members: readonly number[]
  /** Empty if unknown. */
  readonly rackOf: (member: number) => string
  /** Partitions by member, of all topics; kept up. */
  readonly loads: Int32Array
}

/** Partitions that may leave a rack, by where to; those that are far from it may go anywhere. */
type Leaving = Map<string, AssignablePlace[]>

const ANYWHERE = ''
/** What an exchange brings into a rack is looked at again in the next round. */
const ROUNDS_MAX = 8

export class RackExchange {
  readonly #rackOf: (member: number) => string
  readonly #loads: Int32Array
  /** By rack, the member with the least first. */
  readonly #heaps = new Map<string, LoadHeap>()
  readonly #holders = new Map<AssignablePlace, number>()
  #leaving = new Map<string, Leaving>()

  constructor({ members, rackOf, loads }: RackExchangeOptions) {
    this.#rackOf = rackOf
    this.#loads = loads
    for (const member of members) this.#push(member)
  }

  /** Changes who has what in `held`; whether anything was moved. */
  run(held: Map<number, AssignablePlace[]>): boolean {
    for (const [member, places] of held) {
      for (const place of places) this.#holders.set(place, member)
    }
    let rounds = 0
    while (rounds < ROUNDS_MAX && this.#round()) rounds++
    if (rounds === 0) return false
    for (const member of held.keys()) held.set(member, [])
    for (const [place, member] of this.#holders) held.get(member)?.push(place)
    return true
  }

  /** The same of one round. */
  #round(): boolean {
    const far = this.#survey()
    let moved = false
    for (const place of far) {
      const from = this.#holders.get(place) as number
      const racks = racksOf(place).filter((rack) => this.#heaps.has(rack))
      if (racks.includes(this.#rackOf(from))) continue
      if (this.#moved(place, from, racks) || this.#exchanged(place, from, racks)) moved = true
    }
    return moved
  }

  /** Finds what is read from another rack, and what may leave its rack. */
  #survey(): AssignablePlace[] {
    const far: AssignablePlace[] = []
    this.#leaving = new Map()
    for (const [place, member] of this.#holders) {
      const rack = this.#rackOf(member)
      const racks = racksOf(place)
      if (!racks.includes(rack)) {
        far.push(place)
        this.#mayLeave(place, rack, ANYWHERE)
      }
      for (const other of racks) if (other !== rack) this.#mayLeave(place, rack, other)
    }
    return far
  }

  #mayLeave(place: AssignablePlace, from: string, to: string): void {
    const leaving: Leaving = this.#leaving.get(from) ?? new Map()
    this.#leaving.set(from, leaving)
    const places = leaving.get(to)
    if (places === undefined) leaving.set(to, [place])
    else places.push(place)
  }

  /** To the one with the least of those in the racks, if that has less than who has it now. */
  #moved(place: AssignablePlace, from: number, racks: readonly string[]): boolean {
    let to = from
    for (const rack of racks) {
      const member = this.#heaps.get(rack)?.peek() ?? -1
      if (member !== -1 && this.#load(member) < this.#load(to)) to = member
    }
    if (to === from) return false
    this.#holders.set(place, to)
    this.#loads[from] = this.#load(from) - 1
    this.#loads[to] = this.#load(to) + 1
    this.#push(from)
    this.#push(to)
    return true
  }

  #exchanged(place: AssignablePlace, from: number, racks: readonly string[]): boolean {
    for (const rack of racks) {
      const other = this.#takeLeaving(rack, this.#rackOf(from))
      if (other === undefined) continue
      this.#holders.set(place, this.#holders.get(other) as number)
      this.#holders.set(other, from)
      return true
    }
    return false
  }

  /** One that is nearby in `to`, or is not where it is. */
  #takeLeaving(from: string, to: string): AssignablePlace | undefined {
    const leaving = this.#leaving.get(from)
    for (const places of [leaving?.get(to), leaving?.get(ANYWHERE)]) {
      for (let place = places?.pop(); place !== undefined; place = places?.pop()) {
        // It may have left already.
        if (this.#rackOf(this.#holders.get(place) as number) === from) return place
      }
    }
    return undefined
  }

  #push(member: number): void {
    const rack = this.#rackOf(member)
    if (rack === '') return
    const heap = this.#heaps.get(rack) ?? new LoadHeap(this.#loads, 'least')
    this.#heaps.set(rack, heap)
    heap.push(member)
  }

  #load(member: number): number {
    return this.#loads[member] as number
  }
}

function racksOf({ topic, partition }: AssignablePlace): readonly string[] {
  return topic.racksOf(partition).filter((rack) => rack !== '')
}
