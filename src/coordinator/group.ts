/**
 * One group as its coordinator has it in memory: what its records say, replayed in any order that a
 * compacted log may have, and what follows from it and is not in the log.
 */
import type { TargetAssignment } from '../core/assignable.ts'
import type { GroupId, MemberId } from '../core/group-settings.ts'
import type { TopicId } from '../core/ids.ts'
import type { MemberAssignment, Place } from '../core/member-assignment.ts'
import { PartitionMap } from '../core/partition-map.ts'
import type {
  GroupRecord,
  GroupValue,
  MemberValue,
  OffsetValue,
  TopicValue,
} from './group-records.ts'
import { subscriptionKey } from './topic-catalogue.ts'

/** A member with what is known of it beside the log. */
export interface Member {
  readonly groupId: GroupId
  readonly memberId: MemberId
  info: MemberValue
  subscriptionKey: string
  assignment: MemberAssignment
  /** When it is put out unless it says something; monotonic. Undefined before its session has begun here. */
  sessionEndsMs: number | undefined
  /** When it is fenced unless it has given up what it is to; monotonic. */
  revokeEndsMs: number | undefined
  /**
   * It has not given up in time what it was to: it is heard no more but to join again. What it has
   * goes to others when its session ends, as until then it may believe that it is in the group.
   */
  isFenced: boolean
  /** The earliest of its deadlines that is watched. */
  watchedMs: number
}

/** What the members are to have, as of the last time that it was asked. */
export interface Target {
  readonly assignment: TargetAssignment
  /** Partitions that do not have the member yet that they are to have. */
  pending: readonly Place[]
  /** Of the topics, when it was computed. */
  readonly catalogueVersion: number
  readonly computedMs: number
}

export class Group {
  readonly id: GroupId
  /** Undefined while there is no record of it. */
  value: GroupValue | undefined
  readonly members = new Map<MemberId, Member>()
  readonly instances = new Map<MemberId, Member>()
  readonly offsets = new PartitionMap<OffsetValue>()
  readonly topics = new Map<TopicId, TopicValue>()
  /** Who has which partition, also where it is to be given up. */
  readonly owners = new PartitionMap<Member>()
  target: Target | undefined
  /** Whether members or what they want changed since the target was computed. */
  isTargetStale: boolean = true
  /** Of the topics when the subscriptions were last compared with them. */
  catalogueVersion = -1
  /** Assignments whose member is not known yet, or no longer. */
  readonly #stray = new Map<MemberId, MemberAssignment>()

  constructor(id: GroupId) {
    this.id = id
  }

  get epoch(): number {
    return this.value?.epoch ?? 0
  }

  /** Whether nothing at all is known of it. */
  get isNothing(): boolean {
    return (
      this.value === undefined &&
      this.members.size === 0 &&
      this.#stray.size === 0 &&
      this.offsets.size === 0 &&
      this.topics.size === 0
    )
  }

  /** Assignments that belong to nobody. */
  get strays(): readonly MemberId[] {
    return [...this.#stray.keys()]
  }

  /** The member whom the record concerns, as far as it can see that. */
  replay(record: GroupRecord): Member | undefined {
    switch (record.kind) {
      case 'group':
        return this.#replayGroup(record.value)
      case 'member':
        return this.#replayMember(record.memberId, record.value)
      case 'assignment':
        return this.#replayAssignment(record.memberId, record.value)
      case 'topic':
        if (record.value === null) this.topics.delete(record.topicId)
        else this.topics.set(record.topicId, record.value)
        return undefined
      case 'offset':
        return this.#replayOffset(record.topicId, record.partition, record.value)
    }
  }

  #replayGroup(value: GroupValue | null): undefined {
    if (value?.assignor !== this.value?.assignor) this.isTargetStale = true
    this.value = value ?? undefined
  }

  #replayMember(memberId: MemberId, info: MemberValue | null): Member | undefined {
    this.isTargetStale = true
    this.catalogueVersion = -1
    const before = this.members.get(memberId)
    if (before?.info.instanceId !== undefined) {
      if (this.instances.get(before.info.instanceId) === before) {
        this.instances.delete(before.info.instanceId)
      }
    }
    if (info === null) {
      if (before === undefined) return undefined
      this.members.delete(memberId)
      this.#disown(before)
      this.#stray.set(memberId, before.assignment)
      return before
    }
    const member = before ?? this.#newMember(memberId, info)
    member.info = info
    member.subscriptionKey = subscriptionKey(info.subscription)
    if (info.instanceId !== undefined) this.instances.set(info.instanceId, member)
    return member
  }

  #newMember(memberId: MemberId, info: MemberValue): Member {
    const assignment = this.#stray.get(memberId) ?? NOTHING_ASSIGNED
    this.#stray.delete(memberId)
    const member: Member = {
      groupId: this.id,
      memberId,
      info,
      subscriptionKey: '',
      assignment,
      sessionEndsMs: undefined,
      revokeEndsMs: undefined,
      isFenced: false,
      watchedMs: Number.POSITIVE_INFINITY,
    }
    this.members.set(memberId, member)
    this.#own(member)
    return member
  }

  #replayAssignment(memberId: MemberId, assignment: MemberAssignment | null): Member | undefined {
    const member = this.members.get(memberId)
    if (member === undefined) {
      if (assignment === null) this.#stray.delete(memberId)
      else this.#stray.set(memberId, assignment)
      return undefined
    }
    this.#disown(member)
    member.assignment = assignment ?? NOTHING_ASSIGNED
    this.#own(member)
    return member
  }

  #replayOffset(
    topicId: TopicId,
    partition: number,
    value: OffsetValue | null,
  ): Member | undefined {
    const isOther = this.offsets.has(topicId, partition) === (value === null)
    if (value === null) this.offsets.delete(topicId, partition)
    else this.offsets.set(topicId, partition, value)
    return isOther ? this.owners.get(topicId, partition) : undefined
  }

  #own(member: Member): void {
    const { assigned, revoking } = member.assignment
    for (const [topicId, partition] of assigned.entries()) {
      this.owners.set(topicId, partition, member)
    }
    for (const [topicId, partition] of revoking.entries()) {
      this.owners.set(topicId, partition, member)
    }
  }

  #disown(member: Member): void {
    for (const places of [member.assignment.assigned, member.assignment.revoking]) {
      for (const [topicId, partition] of places.entries()) {
        if (this.owners.get(topicId, partition) === member) this.owners.delete(topicId, partition)
      }
    }
  }
}

const NOTHING_ASSIGNED: MemberAssignment = {
  joinEpoch: 0,
  memberEpoch: 0,
  assigned: new PartitionMap(),
  revoking: new PartitionMap(),
}
