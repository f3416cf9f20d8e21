/** A member of a group on a simulated cluster, from its join until it leaves, dies, or is put out. */
import type { GroupId, MemberId } from '../../src/core/group-settings.ts'
import type { TopicName } from '../../src/core/ids.ts'
import type { Random } from '../../src/env/random.ts'
import type { PollAnswer } from '../../src/front/groups/group-poll.ts'
import type { MemberPositions } from '../../src/front/groups/member-positions.ts'
import type { BatchSlice } from '../../src/front/read-selection.ts'
import { ServiceError } from '../../src/lib/service-error.ts'
import type { Cursor } from '../../src/wire/cursor.ts'
import { decodeCursor } from '../../src/wire/cursor.ts'
import type { AssignedPartition } from '../../src/wire/groups.ts'
import type { FrontUnderTest } from './cluster-code.ts'
import type { GroupOracle, Holder, Mark } from './group-oracle.ts'
import { keyOf } from './group-oracle.ts'
import type { SimCluster } from './sim-cluster.ts'
import type { SimRecord } from './sim-records.ts'
import { simRecords } from './sim-records.ts'

export interface GroupMemberDeps {
  readonly cluster: SimCluster
  readonly random: Random
  readonly oracle: GroupOracle
  readonly topics: readonly string[]
  /** A record was given to a member. */
  readonly onRecord: (topic: string, partition: number, offset: number, value: string) => void
  readonly violation: (text: string) => void
}

/** Where it stands in a partition, since the epoch at which it got it; undefined if it was not told. */
interface Work {
  readonly sinceEpoch: number | undefined
  readonly offset: number
}

type Place = Pick<AssignedPartition, 'topicId' | 'partition'>

export const GROUP = 'readers' as GroupId
const SESSION_MS = 6_000
/** A member stops by itself somewhat earlier, as clocks do not run alike. */
const SURE_MS = SESSION_MS * 0.8
const REBALANCE_MS = 8_000
/** Less than a session, so that a call that nobody answers does not cost it. */
const CALL_MS = 4_000
const WAIT_MS = 1_000
const LIMITS = [1, 3, 1_000]
const LIMIT_MAX = 10_000
const READ_BYTES = 64 * 1024
const OUT = ['member-not-found', 'member-fenced', 'group-not-found']
const MOVED = ['cursor-expired', 'offset-out-of-range']

export class GroupMember implements Holder {
  readonly memberId: MemberId
  readonly #deps: GroupMemberDeps
  #memberEpoch = 0
  #cursor: string | undefined
  /** One from before, of which it may have committed nothing. */
  #earlier: string | undefined
  readonly #work = new Map<string, Work & { readonly place: Place }>()
  /** Until when it may believe that it is in the group. */
  #sureUntilMs = 0
  /** Whether it is done with all that it was given. */
  #isIdle: boolean = true

  constructor(deps: GroupMemberDeps, memberId: string) {
    this.#deps = deps
    this.memberId = memberId as MemberId
  }

  worksOn(key: string): boolean {
    // What it only has an old cursor of is not its own.
    const isOwner = this.#work.get(key)?.sinceEpoch !== undefined
    return isOwner && !this.#isIdle && this.#nowMs <= this.#sureUntilMs
  }

  /** Whether the member may be in the group still. `isCalm`: it does nothing but what it has to. */
  async step(isCalm: boolean): Promise<boolean> {
    if (this.#memberEpoch === 0) return await this.#join()
    const sometimes = (share: number) => !isCalm && this.#deps.random.float() < share
    if (sometimes(0.2) && !(await this.#commit(this.#cursor))) return false
    // As a request that comes behind later ones.
    if (sometimes(0.1) && !(await this.#commit(this.#earlier))) return false
    if (sometimes(0.1)) this.#goBack()
    if (this.#earlier === undefined || sometimes(0.1)) this.#earlier = this.#cursor
    const sentMs = this.#nowMs
    const mark = this.#deps.oracle.mark()
    const limit = isCalm
      ? LIMIT_MAX
      : (LIMITS[this.#deps.random.uint32() % LIMITS.length] as number)
    const answer = await this.#poll(!sometimes(0.3), sometimes(0.3), limit)
    if (answer === 'out') return false
    if (this.#nowMs > Math.max(this.#sureUntilMs, sentMs + SURE_MS)) return false
    if (answer === undefined) return true
    this.#sureUntilMs = sentMs + SURE_MS
    // What comes when it may be out of the group is thrown away.
    if (this.#nowMs > this.#sureUntilMs) return false
    this.#take(answer, mark)
    return true
  }

  async leave(): Promise<void> {
    const { random, oracle } = this.#deps
    if (random.float() < 0.5) await this.#commit(this.#cursor)
    oracle.left(this)
    if (random.float() < 0.3) return
    const { memberId } = this
    await this.#call(({ groups }, signal) =>
      groups.members.leave({ groupId: GROUP, memberId }, signal),
    )
  }

  async #join(): Promise<boolean> {
    const { topics, oracle } = this.#deps
    const sentMs = this.#nowMs
    const joined = await this.#call(({ groups }, signal) =>
      groups.members.join(
        {
          groupId: GROUP,
          memberId: this.memberId,
          subscription: { topics: topics as TopicName[] },
          from: 'earliest',
          sessionTimeoutMs: SESSION_MS,
          rebalanceTimeoutMs: REBALANCE_MS,
        },
        signal,
      ),
    )
    if (joined === undefined) return true
    if (joined === 'out' || this.#nowMs > sentMs + SURE_MS) return false
    this.#memberEpoch = joined.memberEpoch
    this.#sureUntilMs = sentMs + SURE_MS
    oracle.joined(this)
    return true
  }

  /** Without a `commit` what it has done is committed another time; who holds on gives nothing up by the call. */
  async #poll(
    commits: boolean,
    holdsOn: boolean,
    limit: number,
  ): Promise<PollAnswer | 'out' | undefined> {
    const { random, oracle } = this.#deps
    const cursor = this.#cursor === undefined ? undefined : decodeCursor(this.#cursor)
    const after = commits ? cursor : undefined
    const mark = oracle.mark()
    if (oracle.when === 'after' && after !== undefined) this.#attempts(after)
    this.#isIdle ||= !holdsOn
    const request = {
      groupId: GROUP,
      memberId: this.memberId,
      memberEpoch: this.#memberEpoch,
      cursor,
      limit,
      maxBytes: READ_BYTES,
      waitMs: random.float() < 0.5 ? 0 : WAIT_MS,
      owned: holdsOn ? [...this.#work.values()].map(({ place }) => place) : undefined,
      commit: oracle.when === 'before' ? ('before' as const) : after,
    }
    const answer = await this.#call(({ groups }, signal) => groups.poll.run(request, signal))
    if (answer === undefined || answer === 'out') return answer
    if (oracle.when === 'after' && after !== undefined) {
      this.#acknowledged(after, answer.uncommitted, mark)
    }
    return answer
  }

  /** Whether it may be in the group still. */
  async #commit(text: string | undefined): Promise<boolean> {
    const { oracle } = this.#deps
    if (text === undefined || oracle.when === 'before') return true
    const cursor = decodeCursor(text) as Cursor
    const mark = oracle.mark()
    const committer = { groupId: GROUP, memberId: this.memberId, memberEpoch: this.#memberEpoch }
    this.#attempts(cursor)
    const outcomes = await this.#call(({ groups }, signal) =>
      groups.offsets.commitCursor(committer, cursor, signal),
    )
    if (outcomes === 'out') return false
    if (outcomes !== undefined) {
      const refused = outcomes.filter(({ error }) => error !== undefined)
      this.#acknowledged(cursor, refused, mark)
    }
    return true
  }

  #take({ selection }: PollAnswer, mark: Mark): void {
    const { view, start, after, slices } = selection
    const { oracle, cluster } = this.#deps
    const before = new Map(this.#work)
    this.#memberEpoch = view.memberEpoch
    this.#work.clear()
    for (const place of [...view.assigned, ...view.revoking]) {
      oracle.told(this, place, place.committed.offset, mark)
    }
    for (const place of view.assigned) {
      const from = offsetIn(start, place)
      const to = offsetIn(after, place)
      if (from === undefined || to === undefined) continue
      const { topicId, topic, partition, sinceEpoch, committed } = place
      const known = before.get(keyOf(place))
      if (known?.sinceEpoch === sinceEpoch) {
        oracle.goesOn(this, place, from, known.offset, committed.offset)
      } else if (known === undefined || known.sinceEpoch !== undefined) {
        cluster.world.trace.add(this.memberId, `works on ${topic}/${partition} from ${from}`)
        oracle.begins(this, place, { from, committed: committed.offset, sinceEpoch })
      }
      const records = slices.flatMap((slice) => (isOf(slice, place) ? recordsOf(slice) : []))
      oracle.delivered(this, place, { from, to, records })
      for (const { offset, value } of records) this.#deps.onRecord(topic, partition, offset, value)
      this.#work.set(keyOf(place), { place: { topicId, partition }, sinceEpoch, offset: to })
    }
    this.#cursor = after.cursor()
    this.#isIdle = false
  }

  #attempts({ topics }: Cursor): void {
    for (const { topicId, positions } of topics) {
      for (const { partition, offset } of positions) {
        this.#deps.oracle.attempts(keyOf({ topicId, partition }), offset)
      }
    }
  }

  #acknowledged(
    { topics, member }: Cursor,
    refused: readonly { readonly topic: string; readonly partition: number }[],
    mark: Mark,
  ): void {
    for (const { topicId, positions } of topics) {
      const name = this.#deps.cluster.front.metadata.image.topicsById.get(topicId)?.name
      for (const { partition, offset } of positions) {
        if (refused.some((one) => one.topic === name && one.partition === partition)) continue
        const key = keyOf({ topicId, partition })
        this.#deps.oracle.acknowledged(key, offset, member?.memberEpoch ?? -1, mark)
      }
    }
  }

  /** It reads again from a cursor of before, which counts where it has owned the partition since. */
  #goBack(): void {
    if (this.#earlier === undefined) return
    const { topics, member } = decodeCursor(this.#earlier) as Cursor
    const before = new Map(this.#work)
    this.#cursor = this.#earlier
    this.#work.clear()
    for (const { topicId, positions } of topics) {
      for (const { partition, offset } of positions) {
        const key = keyOf({ topicId, partition })
        const sinceEpoch = before.get(key)?.sinceEpoch
        if (sinceEpoch !== undefined && (member?.memberEpoch ?? -1) < sinceEpoch) continue
        this.#work.set(key, { place: { topicId, partition }, sinceEpoch, offset })
      }
    }
  }

  /** What it was to read is gone: it reads on from where it is told. */
  #moveOn(error: ServiceError): void {
    const text = error.options.members?.['earliest'] ?? error.options.members?.['tail']
    const cursor = typeof text === 'string' ? decodeCursor(text) : undefined
    if (cursor === undefined) return
    this.#deps.cluster.world.trace.add(this.memberId, `reads on: ${error.message}`)
    this.#cursor = text as string
    this.#work.clear()
    for (const { topicId, positions } of cursor.topics) {
      for (const { partition, offset } of positions) {
        const place = { topicId, partition }
        this.#work.set(keyOf(place), { place, sinceEpoch: undefined, offset })
      }
    }
  }

  /** What any front answers; `out` when the member is no longer in the group, undefined when nobody answers. */
  async #call<T>(
    ask: (front: FrontUnderTest, signal: AbortSignal) => Promise<T>,
  ): Promise<T | 'out' | undefined> {
    const { cluster, random } = this.#deps
    const { fronts, world } = cluster
    const front = fronts[random.uint32() % fronts.length]?.running
    if (front === undefined) return undefined
    const late = new AbortController()
    const { promise, resolve } = Promise.withResolvers<T | 'out' | undefined>()
    const timer = world.clock.timer(CALL_MS, () => {
      late.abort(new ServiceError('draining', 'the client is gone'))
      resolve(undefined)
    })
    ask(front, late.signal).then(resolve, (error: unknown) => {
      if (!late.signal.aborted) resolve(this.#refused(error))
    })
    const result = await promise
    timer.cancel()
    return result
  }

  #refused(error: unknown): 'out' | undefined {
    const code = error instanceof ServiceError ? error.code : 'unforeseen'
    if (code === 'unforeseen' || code === 'internal-error') {
      this.#deps.violation(`a group call failed: ${String(error)}`)
    }
    if (MOVED.includes(code)) this.#moveOn(error as ServiceError)
    return OUT.includes(code) ? 'out' : undefined
  }

  get #nowMs(): number {
    return this.#deps.cluster.world.clock.monotonicMs()
  }
}

function offsetIn(positions: MemberPositions, { topicId, partition }: Place): number | undefined {
  return positions.has(topicId, partition) ? positions.in(topicId).offsetOf(partition) : undefined
}

function isOf(slice: BatchSlice, { topicId, partition }: Place): boolean {
  return slice.topicId === topicId && slice.partition === partition
}

function recordsOf({ batch, from, records }: BatchSlice): SimRecord[] {
  return simRecords([batch], from).slice(0, records)
}
