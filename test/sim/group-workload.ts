/**
 * Members of one group on a simulated cluster. None works on what another one works on, none begins
 * behind what the group has read, and when all is well again they read everything.
 */
import type { GroupId, MemberId } from '../../src/core/group-settings.ts'
import type { TopicName } from '../../src/core/ids.ts'
import { isReservedName } from '../../src/core/ids.ts'
import { SeededRandom } from '../../src/env/seeded-random.ts'
import { ServiceError } from '../../src/lib/service-error.ts'
import type { TopicImage } from '../../src/metadata/metadata-image.ts'
import type { AssignedPartition, MemberView } from '../../src/wire/groups.ts'
import type { FetchResult } from '../../src/wire/internal.ts'
import type { FrontUnderTest } from './cluster-code.ts'
import type { SeedPlan } from './seed-plan.ts'
import type { SimCluster } from './sim-cluster.ts'
import type { WorkloadEvents } from './workload.ts'

const GROUP = 'readers' as GroupId
const SESSION_MS = 6_000
/** A member stops by itself somewhat earlier, as clocks do not run alike. */
const SURE_MS = SESSION_MS * 0.8
const REBALANCE_MS = 8_000
const BEAT_MS = 800
const CALL_MS = 4_000
const READ_BYTES = 16 * 1024
/** In virtual time, and far above what it should take. */
const CATCH_UP_MS = 180_000

interface Work {
  readonly topic: TopicImage
  readonly partition: number
  offset: number
  committed: number
}

interface Member {
  readonly name: string
  memberId: MemberId
  memberEpoch: number
  /** Until when it may believe that it is in the group. */
  sureUntilMs: number
  readonly work: Map<string, Work>
}

export class GroupWorkload {
  readonly #cluster: SimCluster
  readonly #plan: SeedPlan
  readonly #events: WorkloadEvents
  readonly #random: SeededRandom
  readonly #members: Member[] = []
  readonly #running: Promise<void>[] = []
  /** By topic and partition: up to where the group has read. */
  readonly #read = new Map<string, number>()
  #isCalm: boolean = false
  #stopped: boolean = false

  constructor(cluster: SimCluster, plan: SeedPlan, events: WorkloadEvents) {
    this.#cluster = cluster
    this.#plan = plan
    this.#events = events
    this.#random = new SeededRandom(plan.seed + 0x6000_0000)
  }

  start(): void {
    for (let i = 0; i < this.#plan.members; i++) this.#running.push(this.#live(`m${i}`))
  }

  /** Nothing fails any more: resolves when the group has read all that there is. */
  async finish(): Promise<void> {
    if (this.#plan.members === 0) return
    this.#isCalm = true
    try {
      await this.#cluster.until('the group has read all', CATCH_UP_MS, () => this.#behind() === '')
    } catch (error) {
      throw new Error(`${(error as Error).message}: ${this.#behind()}`, { cause: error })
    }
    this.#stopped = true
    await Promise.all(this.#running)
  }

  /** A partition that the group has not read to its end. */
  #behind(): string {
    for (const { topic, partition, record } of this.#cluster.invariants.partitions()) {
      if (isReservedName(topic.name)) continue
      const { topicId } = topic
      const leader = this.#cluster.nodes.find(({ id }) => id === record.leader)
      for (const view of leader?.running?.replicas() ?? []) {
        if (view.topicId !== topicId || view.partition !== partition || !view.leads) continue
        const { highWatermark, startOffset } = view
        // What was too old is not there to be read.
        const read = Math.max(this.#read.get(keyOf(view)) ?? 0, startOffset)
        if (read < highWatermark) return `${topic.name}/${partition} at ${read} of ${highWatermark}`
      }
    }
    return ''
  }

  async #live(name: string): Promise<void> {
    const { world } = this.#cluster
    for (let life = 0; !this.#stopped; life++) {
      const memberId = `${name}-${life}` as MemberId
      const member = { name, memberId, memberEpoch: 0, sureUntilMs: 0, work: new Map() }
      this.#members.push(member)
      const until = world.clock.monotonicMs() + 5_000 + this.#random.float() * 30_000
      while (!this.#stopped && (this.#isCalm || world.clock.monotonicMs() < until)) {
        const isIn = await this.#step(member)
        if (!isIn) break
        await world.sleep(this.#random.float() * BEAT_MS)
      }
      member.work.clear()
      this.#members.splice(this.#members.indexOf(member), 1)
      if (this.#random.float() < 0.5) {
        await this.#call((front, signal) =>
          front.groups.leave({ groupId: GROUP, memberId }, signal),
        )
      }
      await world.sleep(this.#random.float() * 2_000)
    }
  }

  /** Whether the member is in the group still. */
  async #step(member: Member): Promise<boolean> {
    const sentMs = this.#nowMs
    const view = await this.#beat(member)
    if (view === 'out') return false
    if (view !== undefined) {
      member.memberEpoch = view.memberEpoch
      member.sureUntilMs = Math.max(member.sureUntilMs, sentMs + SURE_MS)
      if (this.#nowMs > member.sureUntilMs) return false
      await this.#resolve(view)
      await this.#giveUp(member, view)
      this.#takeOn(member, view)
    }
    if (member.memberEpoch > 0 && this.#nowMs > member.sureUntilMs) return false
    await this.#readAll(member)
    await this.#commit(member)
    return this.#nowMs <= member.sureUntilMs || member.memberEpoch === 0
  }

  #beat(member: Member): Promise<MemberView | 'out' | undefined> {
    const { memberId, memberEpoch, work } = member
    if (memberEpoch === 0) {
      const topics = this.#plan.topics.map(({ name }) => name as TopicName)
      return this.#call((front, signal) =>
        front.groups.join(
          {
            groupId: GROUP,
            memberId,
            subscription: { topics },
            from: 'earliest',
            sessionTimeoutMs: SESSION_MS,
            rebalanceTimeoutMs: REBALANCE_MS,
          },
          signal,
        ),
      )
    }
    const owned = [...work.values()].map(({ topic, partition }) => ({
      topicId: topic.id,
      partition,
    }))
    return this.#call((front, signal) =>
      front.groups.heartbeat({ groupId: GROUP, memberId, memberEpoch, owned }, signal),
    )
  }

  /** Finds where partitions begin of which nothing is committed. */
  async #resolve({ unresolved }: MemberView): Promise<void> {
    for (const { topicId, partition, at } of unresolved) {
      await this.#call(async (front, signal) => {
        const { offset, lastEpoch } = await front.front.storage.resolveOffset(
          topicId,
          partition,
          at,
        )
        const start = { topicId, partition, offset, leaderEpoch: lastEpoch }
        await front.groups.startAt({ groupId: GROUP, starts: [start] }, signal)
      })
    }
  }

  async #giveUp(member: Member, { revoking, assigned }: MemberView): Promise<void> {
    await this.#commit(member)
    const mine = new Set(assigned.map(keyOf))
    for (const key of [...member.work.keys()]) if (!mine.has(key)) member.work.delete(key)
    for (const place of revoking) member.work.delete(keyOf(place))
  }

  #takeOn(member: Member, { assigned }: MemberView): void {
    for (const place of assigned) {
      const key = keyOf(place)
      if (member.work.has(key)) continue
      const topic = this.#topic(place.topicId)
      if (topic === undefined) continue
      const { partition, committed } = place
      this.#cluster.world.trace.add(
        member.memberId,
        `works on ${place.topic}/${partition} from ${committed.offset}`,
      )
      this.#checkAlone(member, place)
      const read = this.#read.get(key) ?? 0
      const mayStartAt = this.#events.mayStartAt(topic, partition)
      if (committed.offset > Math.max(read, mayStartAt)) {
        const where = `${committed.offset}, the group has read to ${read}`
        this.#events.violation(`${member.memberId} begins ${place.topic}/${partition} at ${where}`)
      }
      const { offset } = committed
      member.work.set(key, { topic, partition, offset, committed: offset })
    }
  }

  #checkAlone(member: Member, place: AssignedPartition): void {
    for (const other of this.#members) {
      if (other === member || !other.work.has(keyOf(place))) continue
      if (other.sureUntilMs < this.#nowMs) continue
      const text = `${place.topic}/${place.partition} is worked on by ${other.memberId}`
      this.#events.violation(`${text} and ${member.memberId}`)
    }
  }

  async #readAll(member: Member): Promise<void> {
    const positions = [...member.work.values()].map(({ topic, partition, offset }) => {
      return { topicId: topic.id, partition, offset, lastEpoch: -1 }
    })
    if (positions.length === 0) return
    const request = { positions, maxBytes: READ_BYTES, waitMs: 0, isolation: 'committed' } as const
    const results = await this.#call((front, signal) => front.front.storage.fetch(request, signal))
    // What comes when it may be out of the group is thrown away.
    if (results === undefined || results === 'out' || this.#nowMs > member.sureUntilMs) return
    for (const result of results) this.#take(member, result)
  }

  #take(member: Member, result: FetchResult): void {
    const key = keyOf(result)
    const work = member.work.get(key)
    if (work === undefined) return
    if (result.ok) work.offset = result.nextOffset
    else if (result.code === 'cursor-expired') work.offset = Number(result.members?.['earliest'])
    this.#read.set(key, Math.max(this.#read.get(key) ?? 0, work.offset))
  }

  async #commit(member: Member): Promise<void> {
    const { memberId, memberEpoch } = member
    const due = [...member.work.values()].filter(({ offset, committed }) => offset > committed)
    if (due.length === 0 || (!this.#isCalm && this.#random.float() < 0.3)) return
    const offsets = due.map(({ topic, partition, offset }) => {
      return { topicId: topic.id, partition, offset, leaderEpoch: -1 }
    })
    const command = { groupId: GROUP, memberId, memberEpoch, offsets }
    const outcomes = await this.#call((front, signal) => front.groups.commit(command, signal))
    if (outcomes === undefined || outcomes === 'out') return
    for (const [i, { ok }] of outcomes.entries()) {
      const work = due[i]
      if (ok && work !== undefined) work.committed = offsets[i]?.offset ?? work.committed
    }
  }

  /** What any front answers; `out` when the member is no longer in the group, undefined when nobody answers. */
  async #call<T>(
    ask: (front: FrontUnderTest, signal: AbortSignal) => Promise<T>,
  ): Promise<T | 'out' | undefined> {
    const { fronts, world } = this.#cluster
    const front = fronts[this.#random.uint32() % fronts.length]?.running
    if (front === undefined) return undefined
    const late = new AbortController()
    const { promise, resolve } = Promise.withResolvers<T | 'out' | undefined>()
    const timer = world.clock.timer(CALL_MS, () => {
      late.abort(new ServiceError('draining', 'the client is gone'))
      resolve(undefined)
    })
    ask(front, late.signal).then(resolve, (error: unknown) => {
      const code = error instanceof ServiceError ? error.code : 'unforeseen'
      if (code === 'unforeseen' || code === 'internal-error') {
        this.#events.violation(`a group call failed: ${String(error)}`)
      }
      const isOut = ['member-not-found', 'member-fenced', 'group-not-found'].includes(code)
      resolve(isOut ? 'out' : undefined)
    })
    const result = await promise
    timer.cancel()
    return result
  }

  get #nowMs(): number {
    return this.#cluster.world.clock.monotonicMs()
  }

  #topic(topicId: TopicImage['id']): TopicImage | undefined {
    const { fronts } = this.#cluster
    for (const { running } of fronts) {
      const topic = running?.metadata.image.topicsById.get(topicId)
      if (topic !== undefined) return topic
    }
    return undefined
  }
}

function keyOf({ topicId, partition }: { readonly topicId: string; readonly partition: number }) {
  return `${topicId}/${partition}`
}
