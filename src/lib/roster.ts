/**
 * Objects that come and go with every request, in order of arrival. A `Set` would do, but V8 replaces its
 * table after every few changes and leaves the one before pointing to the next: once one of them
 * is in the old generation, all that follow, and all that was in them, outlive every collection of the young one.
 * Here each member knows its seat, and what has gone is referred to by nobody.
 */

export interface Seated {
  /** Kept by the roster that it is in. */
  seat: number
}

/** So many seats may be empty beside those that are taken. */
const EMPTY_MAX = 32

export class Roster<T extends Seated> {
  readonly #seats: (T | undefined)[] = []
  #size = 0

  get size(): number {
    return this.#size
  }

  /** The member must be in no roster. */
  add(member: T): void {
    member.seat = this.#seats.length
    this.#seats.push(member)
    this.#size++
  }

  /** Whether it was a member. */
  delete(member: T): boolean {
    if (this.#seats[member.seat] !== member) return false
    this.#seats[member.seat] = undefined
    this.#size--
    if (this.#seats.length > 2 * this.#size + EMPTY_MAX) this.#closeRanks()
    return true
  }

  /** Those who are members now and satisfy, in order of arrival. */
  filter(satisfies: (member: T) => boolean = () => true): T[] {
    const found: T[] = []
    for (const member of this.#seats) {
      if (member !== undefined && satisfies(member)) found.push(member)
    }
    return found
  }

  #closeRanks(): void {
    const seats = this.#seats
    let to = 0
    for (const member of seats) {
      if (member === undefined) continue
      member.seat = to
      seats[to++] = member
    }
    seats.length = to
  }
}
