/**
 * All that was ever seen of what a group reads: who works on what, what was committed for certain, what
 * was delivered. Whatever contradicts that is a violation.
 */
import type { TopicId } from '../../src/core/ids.ts'
import type { StoredRecord } from '../support/history-checker.ts'
import { isDeletion, keyOfValue } from './sim-records.ts'

/** When a member commits what it reads. */
export type CommitWhen = 'after' | 'before'

export interface GroupPlace {
  readonly topicId: TopicId
  readonly topic: string
  readonly partition: number
}

/** A member as far as others must not be in its way. */
export interface Holder {
  readonly memberId: string
  /** Whether it works on the partition, and may believe that nobody else does. */
  worksOn(key: string): boolean
}

/** What the world says of a partition. */
export interface Bounds {
  /** Where its log may start. */
  readonly mayStartAt: number
  /** Up to where readers were told that it is committed. */
  readonly shownEnd: number
  /** Whether records may be gone that have a later one. */
  readonly isCompacted: boolean
  /** Whether deletions of keys may be old enough to be gone. */
  readonly forgetsDeletions: boolean
  /** Whether an operator gave records up that the group may have read. */
  readonly isReset: boolean
  /** Whether what is there was not committed before an operator chose the log that has it: readers may be past it. */
  isReturned(offset: number): boolean
}

/** What was certain at some moment, by partition. */
export interface Mark {
  /** Up to where offsets were committed. */
  readonly committed: ReadonlyMap<string, number>
  /** The epoch at which somebody came to own it last. */
  readonly ownedSince: ReadonlyMap<string, number>
}

/** What the world says of all that a group has to do with. */
export interface GroupWorld {
  boundsOf(place: GroupPlace): Bounds
  /** Whether an operator gave up what the group itself has noted: who is in it, and what it committed. */
  isForgotten(): boolean
  violation(text: string): void
}

export interface Delivery {
  /** Where the reading began, and where it goes on. */
  readonly from: number
  readonly to: number
  readonly records: readonly { readonly offset: number; readonly value: string }[]
}

export const keyOf = (place: { readonly topicId: string; readonly partition: number }): string =>
  `${place.topicId}/${place.partition}`

export class GroupOracle {
  readonly when: CommitWhen
  readonly #world: GroupWorld
  readonly #holders = new Set<Holder>()
  /** Commits that were acknowledged. */
  readonly #committed = new Map<string, number>()
  /** All that somebody tried to commit. */
  readonly #attempted = new Map<string, Set<number>>()
  /** Records that were given to a member. */
  readonly #delivered = new Map<string, Set<string>>()
  /** Up to where the one was that was given any last. */
  readonly #readTo = new Map<string, number>()
  readonly #places = new Map<string, GroupPlace>()
  /** The last epoch at which a member came to own a partition; they grow over the group. */
  readonly #ownedSince = new Map<string, number>()

  constructor(when: CommitWhen, world: GroupWorld) {
    this.when = when
    this.#world = world
  }

  joined(holder: Holder): void {
    this.#holders.add(holder)
  }

  left(holder: Holder): void {
    this.#holders.delete(holder)
  }

  /** Whoever asks from now on must be told of no less. */
  mark(): Mark {
    return { committed: new Map(this.#committed), ownedSince: new Map(this.#ownedSince) }
  }

  committedTo(key: string): number {
    return this.#committed.get(key) ?? 0
  }

  /** Forgets how far the group has read, so that it has to be seen again. */
  looksAgain(): void {
    this.#readTo.clear()
  }

  /** Up to where it has read, or committed where nothing of that was given up. */
  doneTo(place: GroupPlace): number {
    const key = keyOf(place)
    const isCertain = !this.#world.isForgotten() && !this.#world.boundsOf(place).isReset
    return isCertain ? this.committedTo(key) : (this.#readTo.get(key) ?? 0)
  }

  attempts(key: string, offset: number): void {
    const attempted = this.#attempted.get(key)
    if (attempted === undefined) this.#attempted.set(key, new Set([offset]))
    else attempted.add(offset)
  }

  /** `memberEpoch` is that of what the member had read, `mark` of when it asked. */
  acknowledged(key: string, offset: number, memberEpoch: number, mark: Mark): void {
    const ownedSince = mark.ownedSince.get(key) ?? -1
    if (memberEpoch < ownedSince) {
      const name = nameOf(this.#places.get(key) as GroupPlace)
      const what = `${offset} of ${name} as of epoch ${memberEpoch}`
      this.#violation(`${what} was committed, others own it since epoch ${ownedSince}`)
    }
    this.#isCommitted(key, offset)
  }

  /** A member comes to own a partition: nobody else works on it, and it begins where the group committed last. */
  begins(
    holder: Holder,
    place: GroupPlace,
    at: { from: number; committed: number; sinceEpoch: number },
  ): void {
    const key = keyOf(place)
    this.#places.set(key, place)
    this.#ownedSince.set(key, Math.max(this.#ownedSince.get(key) ?? -1, at.sinceEpoch))
    const where = `${holder.memberId} begins ${nameOf(place)} at ${at.from}`
    for (const other of this.#holders) {
      if (other === holder || !other.worksOn(key)) continue
      this.#violation(`${nameOf(place)} is worked on by ${other.memberId} and ${holder.memberId}`)
    }
    if (at.from !== at.committed && !this.#isPassed(place, at.committed, at.from)) {
      this.#violation(`${where}, committed is ${at.committed}`)
    }
  }

  /** What was said to be committed is no less than what was acknowledged before, and no more than somebody wanted. */
  told(holder: Holder, place: GroupPlace, committed: number, mark: Mark): void {
    const key = keyOf(place)
    const known = mark.committed.get(key) ?? 0
    const { mayStartAt, shownEnd, isReset } = this.#world.boundsOf(place)
    if (committed < known && !isReset) {
      const what = `${committed} is committed of ${nameOf(place)}, ${known} was acknowledged`
      this.#violation(`${holder.memberId} is told that ${what}`)
    }
    // Where the group begins, and what is committed before it is delivered, the front commits by itself.
    const isFree = committed <= mayStartAt || (this.when === 'before' && committed <= shownEnd)
    if (!isFree && !isReset && this.#attempted.get(key)?.has(committed) !== true) {
      const what = `${committed} is committed of ${nameOf(place)}, which nobody asked for`
      this.#violation(`${holder.memberId} is told that ${what}`)
    }
    // Nobody is told of what may be gone again.
    this.#isCommitted(key, committed)
  }

  /** It has owned the partition since it was there. */
  goesOn(holder: Holder, place: GroupPlace, from: number, left: number, committed: number): void {
    if (from === left || this.#isPassed(place, left, from)) return
    // What it was never given somebody may have committed for it.
    if (this.when === 'before' && from === committed && from > left) return
    this.#violation(`${holder.memberId} goes on with ${nameOf(place)} at ${from}, was at ${left}`)
  }

  delivered(holder: Holder, place: GroupPlace, { from, to, records }: Delivery): void {
    const key = keyOf(place)
    const { isCompacted, isReset } = this.#world.boundsOf(place)
    this.#places.set(key, place)
    this.#readTo.set(key, to)
    const delivered = this.#delivered.get(key) ?? new Set()
    this.#delivered.set(key, delivered)
    let next = from
    for (const { offset, value } of records) {
      if (isCompacted ? offset < next : offset !== next) {
        this.#violation(`${holder.memberId} was given ${offset} of ${nameOf(place)} at ${next}`)
      }
      if (this.when === 'before' && !isReset && delivered.has(printOf(offset, value))) {
        this.#violation(`${holder.memberId} was given ${offset} of ${nameOf(place)} again`)
      }
      delivered.add(printOf(offset, value))
      next = offset + 1
    }
    if (isCompacted ? to < next : to !== next) {
      this.#violation(`${holder.memberId} goes on with ${nameOf(place)} at ${to}, behind ${next}`)
    }
    if (this.when === 'before') this.#isCommitted(key, to)
  }

  /** Who commits what it has done was given every record that is there in the end, and counts. */
  judge(final: ReadonlyMap<string, readonly StoredRecord[]>): void {
    if (this.when === 'before') return
    for (const [key, delivered] of this.#delivered) {
      const { topic, topicId, partition } = this.#places.get(key) as GroupPlace
      const there = (final.get(topic) ?? []).filter((record) => record.partition === partition)
      const place = { topic, topicId, partition }
      const { isCompacted, forgetsDeletions, mayStartAt, isReturned } = this.#world.boundsOf(place)
      const doneTo = this.doneTo(place)
      for (const { offset, value } of isCompacted ? lastOfKeys(there) : there) {
        // A leader that had removed it may have been replaced by one that had not yet.
        const wasGone =
          offset < mayStartAt || isReturned(offset) || (forgetsDeletions && isDeletion(value))
        if (wasGone || offset >= doneTo || delivered.has(printOf(offset, value))) continue
        this.#violation(`the group was never given ${offset} of ${topic}/${partition}`)
      }
    }
  }

  #isCommitted(key: string, offset: number): void {
    this.#committed.set(key, Math.max(this.committedTo(key), offset))
  }

  /** Whether nothing lies between that has to be read. */
  #isPassed(place: GroupPlace, from: number, to: number): boolean {
    const { mayStartAt, isCompacted, isReset } = this.#world.boundsOf(place)
    return isReset || (to >= from && (isCompacted || to <= mayStartAt))
  }

  #violation(text: string): void {
    if (!this.#world.isForgotten()) this.#world.violation(text)
  }
}

/** Replicas compact when they like: one may still have what was gone from where the group read. */
function lastOfKeys(records: readonly StoredRecord[]): Iterable<StoredRecord> {
  return new Map(records.map((record) => [keyOfValue(record.value), record])).values()
}

/** What tells a record from one that has taken its place. */
function printOf(offset: number, value: string): string {
  return `${offset} ${value}`
}

function nameOf({ topic, partition }: GroupPlace): string {
  return `${topic}/${partition}`
}
