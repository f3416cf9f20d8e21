/**
 * A group as its members live it: each believes what it was told last, works on that as long as its
 * own session lasts, and says so; requests and answers are late, lost and out of order.
 */
import type { GroupId, MemberId } from '../../src/core/group-settings.ts'
import type { TopicName } from '../../src/core/ids.ts'
import type { Random } from '../../src/env/random.ts'
import type { TopicImage } from '../../src/metadata/metadata-image.ts'
import type { GroupCall, GroupReply } from '../../src/wire/group-calls.ts'
import type { MemberView } from '../../src/wire/groups.ts'
import type { PartitionPlace, Refusal } from '../../src/wire/internal.ts'
import { topicImage } from '../front/topics.ts'
import { ShardWorld } from './shard-world.ts'

export const GROUP = 'g' as GroupId
export const SESSION_MS = 10_000
export const REBALANCE_MS = 20_000

interface Message {
  readonly from: ModelMember
  readonly sequence: number
  readonly sentMs: number
  readonly call: GroupCall
}

interface Answer {
  readonly message: Message
  readonly reply: GroupReply | Refusal
}

const placeKey = ({ topicId, partition }: PartitionPlace) => `${topicId}/${partition}`

export class ModelMember {
  /** Another one after each leave: a leave that is late must concern nobody else. */
  memberId: MemberId
  readonly instanceId: MemberId | undefined
  readonly topics: readonly TopicName[]
  memberEpoch = 0
  isIn: boolean = false
  /** Partitions that it works on, by what it knows; those it gives up go at its next thought. */
  working = new Map<string, PartitionPlace>()
  revoking = new Set<string>()
  /** When it stops by itself: its session as it counts it, from when it last sent what was answered. */
  endsMs = 0
  sequence = 0
  applied = 0

  constructor(memberId: string, topics: readonly TopicName[], instanceId?: string) {
    this.memberId = memberId as MemberId
    this.instanceId = instanceId as MemberId | undefined
    this.topics = topics
  }

  stop(): void {
    this.isIn = false
    this.memberEpoch = 0
    this.working.clear()
    this.revoking.clear()
    this.applied = this.sequence
  }

  /** Answers of earlier requests than one that was answered are out of date. */
  hear({ message, reply }: Answer, nowMs: number): void {
    if (message.sequence <= this.applied) return
    this.applied = message.sequence
    if (reply === null || Array.isArray(reply)) return
    if ('ok' in reply) {
      if (['member-not-found', 'member-fenced', 'group-not-found'].includes(reply.code)) this.stop()
      return
    }
    const view = reply as MemberView
    if (message.call.kind === 'leave') return
    this.isIn = true
    this.memberEpoch = view.memberEpoch
    const renews = ['join', 'heartbeat'].includes(message.call.kind)
    if (renews) this.endsMs = Math.max(this.endsMs, message.sentMs + SESSION_MS)
    if (nowMs > this.endsMs) {
      this.stop()
      return
    }
    const kept = view.revoking.filter((place) => this.working.has(placeKey(place)))
    this.working = new Map([...view.assigned, ...kept].map((place) => [placeKey(place), place]))
    this.revoking = new Set(view.revoking.map(placeKey))
  }
}

export class GroupModel {
  readonly world: ShardWorld
  readonly members: ModelMember[]
  readonly #random: Random
  #requests: Message[] = []
  #answers: Answer[] = []
  #topics: TopicImage[] = [topicImage('a', 4), topicImage('bb', 2)]
  /** Accepted commits, in order. */
  readonly commits: { member: ModelMember; place: string; offset: number }[] = []
  #nextTopicId = 50

  constructor(random: Random) {
    this.#random = random
    this.world = new ShardWorld(this.#topics)
    const [a, b] = ['a' as TopicName, 'bb' as TopicName]
    this.members = [
      new ModelMember('m1', [a, b]),
      new ModelMember('m2', [a, b]),
      new ModelMember('m3', [a]),
      new ModelMember('m4', [a, b], 'static'),
      new ModelMember('m5', [a, b], 'static'),
    ]
  }

  pick(n: number): number {
    return this.#random.uint32() % n
  }

  /** One thing happens. */
  step(): void {
    const member = this.members[this.pick(this.members.length)] as ModelMember
    const dice = this.pick(100)
    if (dice < 30) this.#think(member)
    else if (dice < 62) this.#deliver()
    else if (dice < 84) this.#hear()
    else if (dice < 90) this.#pass(1 + this.pick(4_000))
    else if (dice < 92) this.#pass(this.pick(SESSION_MS))
    else if (dice < 94) this.world.failOver(this.pick(2) === 0)
    else if (dice < 96) this.#resolve()
    else if (dice < 97) member.stop()
    else this.#topicsChange()
  }

  /** Two members that work on the same partition at the same time. */
  overlap(): string | undefined {
    const owners = new Map<string, string>()
    for (const member of this.members) {
      if (!this.works(member)) continue
      for (const place of member.working.keys()) {
        const other = owners.get(place)
        if (other !== undefined) return `${place} is worked on by ${other} and ${member.memberId}`
        owners.set(place, member.memberId)
      }
    }
    return undefined
  }

  works(member: ModelMember): boolean {
    return member.isIn && this.world.nowMs <= member.endsMs
  }

  /** Everything is well from now on: members that are in stay, others go, and nothing is lost. */
  heal(): void {
    this.#requests = []
    this.#answers = []
    for (const member of this.members.slice(3)) {
      this.world.call('leave', { groupId: GROUP, memberId: member.memberId })
      member.stop()
    }
    for (let round = 0; round < 30; round++) {
      for (const member of this.members.slice(0, 3)) {
        this.#think(member, true)
        this.#deliver(true)
        this.#hear(true)
      }
      this.#resolve()
      this.#pass(1_000)
    }
  }

  #pass(ms: number): void {
    this.world.advance(ms)
    for (const member of this.members) if (member.isIn && !this.works(member)) member.stop()
  }

  #think(member: ModelMember, isCalm = false): void {
    if (!member.isIn) {
      if (isCalm || this.pick(2) === 0) this.#join(member)
      return
    }
    const dice = isCalm ? 0 : this.pick(12)
    if (dice === 11) {
      const keepInstance = this.pick(2) === 0
      const { memberId, memberEpoch } = member
      member.stop()
      member.memberId = `${memberId}'` as MemberId
      const command = { groupId: GROUP, memberId, memberEpoch, keepInstance }
      this.#send(member, { kind: 'leave', command })
    } else if (dice >= 8) {
      this.#commit(member)
    } else {
      if (isCalm || this.pick(2) === 0)
        for (const place of member.revoking) member.working.delete(place)
      this.#heartbeat(member, isCalm || this.pick(4) > 0)
    }
  }

  #join(member: ModelMember): void {
    const { memberId, instanceId, topics } = member
    this.#send(member, {
      kind: 'join',
      command: {
        groupId: GROUP,
        memberId,
        ...(instanceId !== undefined && { instanceId }),
        subscription: { topics },
        from: 'latest',
        sessionTimeoutMs: SESSION_MS,
        rebalanceTimeoutMs: REBALANCE_MS,
      },
    })
  }

  #heartbeat(member: ModelMember, says: boolean): void {
    const { memberId, memberEpoch, working } = member
    const owned = [...working.values()].map(({ topicId, partition }) => ({ topicId, partition }))
    this.#send(member, {
      kind: 'heartbeat',
      command: { groupId: GROUP, memberId, memberEpoch, ...(says && { owned }) },
    })
  }

  #commit(member: ModelMember): void {
    const places = [...member.working.values()]
    const place = places[this.pick(Math.max(1, places.length))]
    if (place === undefined) return
    const { topicId, partition } = place
    const { memberId, memberEpoch } = member
    const offsets = [{ topicId, partition, offset: this.pick(1_000), leaderEpoch: 0 }]
    const command = { groupId: GROUP, memberId, memberEpoch, offsets }
    this.#send(member, { kind: 'commit', command })
  }

  #send(from: ModelMember, call: GroupCall): void {
    const { nowMs } = this.world
    this.#requests.push({ from, call, sequence: ++from.sequence, sentMs: nowMs })
  }

  /** A request arrives, some time after it was sent; or it is lost, or stays to arrive again. */
  #deliver(isCalm = false): void {
    const at = isCalm ? 0 : this.pick(Math.max(1, this.#requests.length))
    const message = this.#requests[at]
    if (message === undefined) return
    // A join is sent again only by those who heard nothing of it.
    const fate = isCalm ? 0 : this.pick(message.call.kind === 'join' ? 9 : 10)
    if (fate < 9) this.#requests.splice(at, 1)
    if (fate === 8) return
    const reply = this.world.call(message.call.kind, message.call.command)
    if (message.call.kind === 'commit') this.#note(message, reply)
    this.#answers.push({ message, reply })
  }

  #note({ from, call }: Message, reply: GroupReply | Refusal): void {
    if (!Array.isArray(reply) || call.kind !== 'commit') return
    const [outcome] = reply as { ok: boolean }[]
    const [commit] = call.command.offsets
    if (outcome?.ok === true && commit !== undefined) {
      this.commits.push({ member: from, place: placeKey(commit), offset: commit.offset })
    }
  }

  #hear(isCalm = false): void {
    const at = isCalm ? 0 : this.pick(Math.max(1, this.#answers.length))
    const [answer] = this.#answers.splice(at, 1)
    if (answer === undefined || (!isCalm && this.pick(8) === 0)) return
    answer.message.from.hear(answer, this.world.nowMs)
  }

  /** A front finds where partitions begin. */
  #resolve(): void {
    for (const { memberId, memberEpoch } of this.#described()) {
      const view = this.world.call('view', { groupId: GROUP, memberId, memberEpoch })
      if ('ok' in view) continue
      const starts = view.unresolved.map(({ topicId, partition, at }) => {
        return { topicId, partition, offset: at === 'latest' ? 500 : 0, leaderEpoch: -1 }
      })
      this.world.call('startAt', { groupId: GROUP, starts })
    }
  }

  #described() {
    const described = this.world.call('describe', { groupId: GROUP })
    return 'ok' in described ? [] : described.members
  }

  #topicsChange(): void {
    const at = this.pick(this.#topics.length)
    const topic = this.#topics[at] as TopicImage
    const { name, partitions } = topic
    const idSeed = topic.id.startsWith('0')
      ? name.length
      : Number.parseInt(topic.id.slice(0, 2), 16)
    if (this.pick(4) > 0 && partitions.length < 9) {
      this.#topics = this.#topics.with(at, topicImage(name, partitions.length + 1, {}, idSeed))
      this.world.topics(this.#topics)
      return
    }
    const removed = new Map([...this.world.metadata.image.removedTopics, [topic.id, 1]])
    this.#topics = this.#topics.with(
      at,
      topicImage(name, 1 + this.pick(4), {}, this.#nextTopicId++),
    )
    this.world.metadata.set(this.#topics)
    this.world.metadata.image = { ...this.world.metadata.image, removedTopics: removed }
    // Readers of a topic that was deleted find nothing any more.
    for (const { working } of this.members) {
      for (const [key, { topicId }] of working) if (topicId === topic.id) working.delete(key)
    }
    this.world.follow()
  }
}
