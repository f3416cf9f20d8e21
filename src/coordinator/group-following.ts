/**
 * What follows from the state of a group by itself: topics come and go, the members are to have other
 * partitions, and get them when nobody else has them any more. Each step returns records; after they
 * were replayed the next one looks at what is then.
 */
import type { AssignableMember, TargetAssignment } from '../core/assignable.ts'
import { assignPartitions } from '../core/group-assignment.ts'
import { DEFAULT_GROUP_SETTINGS } from '../core/group-settings.ts'
import type { TopicId } from '../core/ids.ts'
import type { Place } from '../core/member-assignment.ts'
import { given, turnedTo } from '../core/member-assignment.ts'
import type { Group, Member } from './group.ts'
import type { GroupRecord } from './group-records.ts'
import type { Moment } from './shard.ts'
import type { CatalogueTopic, TopicCatalogue } from './topic-catalogue.ts'

type Records = readonly GroupRecord[]

const NOTHING: Records = []
/** Groups of more members are not looked at again at every join: a millisecond a member lies between. */
const AT_ONCE_MEMBERS = 50

/** Until it returns none, after its records were replayed; `waitUntilMs` is when it should be asked again. */
export function following(
  group: Group,
  catalogue: TopicCatalogue,
  moment: Moment,
): { readonly records: Records; readonly waitUntilMs?: number } {
  const strays = group.strays.map((memberId) => {
    return { kind: 'assignment', groupId: group.id, memberId, value: null } as const
  })
  if (strays.length > 0) return { records: strays }
  if (group.catalogueVersion !== catalogue.version) {
    const records = topicChanges(group, catalogue, moment.nowMs)
    if (records.length > 0) return { records }
    group.catalogueVersion = catalogue.version
  }
  if (isTargetDue(group, catalogue)) {
    const waitUntilMs = earliestTarget(group)
    if (waitUntilMs > moment.monotonicMs) return { records: grants(group), waitUntilMs }
    const records = retarget(group, catalogue, moment.monotonicMs)
    if (records.length > 0) return { records }
  }
  return { records: grants(group) }
}

/** Topics that the group subscribes to, and those that it knows and does not subscribe to any more. */
function topicChanges(group: Group, catalogue: TopicCatalogue, nowMs: number): Records {
  const groupId = group.id
  const subscribed = subscribedTopics(group, catalogue)
  const records: GroupRecord[] = []
  for (const topicId of subscribed) {
    const known = group.topics.get(topicId)
    if (known !== undefined && known.unsubscribedSinceMs === -1) continue
    const firstPartitions = known?.firstPartitions ?? 0
    records.push({
      kind: 'topic',
      groupId,
      topicId,
      value: { firstPartitions, unsubscribedSinceMs: -1 },
    })
  }
  for (const [topicId, value] of group.topics) {
    if (catalogue.isRemoved(topicId)) {
      records.push({ kind: 'topic', groupId, topicId, value: null })
    } else if (!subscribed.has(topicId) && value.unsubscribedSinceMs === -1) {
      const since = { ...value, unsubscribedSinceMs: nowMs }
      records.push({ kind: 'topic', groupId, topicId, value: since })
    }
  }
  for (const topicId of group.offsets.topicIds) {
    if (!catalogue.isRemoved(topicId)) continue
    for (const partition of group.offsets.ofTopic(topicId).keys()) {
      records.push({ kind: 'offset', groupId, topicId, partition, value: null })
    }
  }
  return records
}

function subscribedTopics(group: Group, catalogue: TopicCatalogue): Set<TopicId> {
  const subscribed = new Set<TopicId>()
  const seen = new Set<readonly CatalogueTopic[]>()
  for (const { subscriptionKey, info } of group.members.values()) {
    const topics = catalogue.resolve(subscriptionKey, info.subscription)
    if (seen.has(topics)) continue
    seen.add(topics)
    for (const { topicId } of topics) subscribed.add(topicId)
  }
  return subscribed
}

function isTargetDue({ isTargetStale, target }: Group, catalogue: TopicCatalogue): boolean {
  return isTargetStale || target?.catalogueVersion !== catalogue.version
}

function earliestTarget({ members, target }: Group): number {
  if (target === undefined || members.size <= AT_ONCE_MEMBERS) return Number.NEGATIVE_INFINITY
  return target.computedMs + members.size
}

/** Computes anew who is to have what, and turns every member towards it. */
function retarget(group: Group, catalogue: TopicCatalogue, monotonicMs: number): Records {
  const assignable = [...group.members.values()].map((member) => assignableOf(member, catalogue))
  const assignor = group.value?.assignor ?? DEFAULT_GROUP_SETTINGS.assignor
  const assignment = assignPartitions(assignor, assignable)
  group.target = {
    assignment,
    pending: pendingOf(group, assignment),
    catalogueVersion: catalogue.version,
    computedMs: monotonicMs,
  }
  group.isTargetStale = false
  const records: GroupRecord[] = []
  const isUnread = (topicId: TopicId, partition: number) =>
    catalogue.isRemoved(topicId) || !group.offsets.has(topicId, partition)
  for (const member of group.members.values()) {
    const { memberId, info } = member
    const value = turnedTo(member.assignment, memberId, assignment, { isAway: info.away, isUnread })
    if (value === member.assignment) continue
    records.push({ kind: 'assignment', groupId: group.id, memberId, value })
  }
  return records
}

function assignableOf(
  { memberId, info, subscriptionKey, assignment: { assigned } }: Member,
  catalogue: TopicCatalogue,
): AssignableMember {
  const { instanceId, rack = '', subscription } = info
  const topics = catalogue.resolve(subscriptionKey, subscription)
  return { memberId, name: instanceId ?? memberId, rack, topics, assigned }
}

function pendingOf(group: Group, target: TargetAssignment): Place[] {
  const pending: Place[] = []
  for (const [topicId, partition, memberId] of target.entries()) {
    if (group.members.get(memberId)?.assignment.assigned.has(topicId, partition) !== true) {
      pending.push({ topicId, partition })
    }
  }
  return pending
}

/** Gives what nobody has to those who are to have it. */
function grants(group: Group): Records {
  const { target } = group
  if (target === undefined || target.pending.length === 0) return NOTHING
  const places = new Map<Member, Place[]>()
  const stillPending: Place[] = []
  for (const place of target.pending) {
    const { topicId, partition } = place
    const owner = group.owners.get(topicId, partition)
    const memberId = target.assignment.get(topicId, partition)
    const member = memberId === undefined ? undefined : group.members.get(memberId)
    if (member === undefined) continue
    if (owner !== undefined) stillPending.push(place)
    else {
      const own = places.get(member)
      if (own === undefined) places.set(member, [place])
      else own.push(place)
    }
  }
  target.pending = stillPending
  if (places.size === 0 || group.value === undefined) return NOTHING
  const epoch = group.epoch + 1
  const records: GroupRecord[] = [
    { kind: 'group', groupId: group.id, value: { ...group.value, epoch } },
  ]
  for (const [{ memberId, assignment }, own] of places) {
    const value = given(assignment, own, epoch)
    records.push({ kind: 'assignment', groupId: group.id, memberId, value })
  }
  return records
}
