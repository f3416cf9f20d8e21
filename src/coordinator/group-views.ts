/** Groups and their members as they are told to others. */
import type { GroupStart } from '../core/group-settings.ts'
import { DEFAULT_GROUP_SETTINGS, heartbeatIntervalMs } from '../core/group-settings.ts'
import type { PartitionMap } from '../core/partition-map.ts'
import type {
  AssignedPartition,
  CommittedOffset,
  GroupDescription,
  GroupMember,
  GroupPartition,
  GroupPosition,
  GroupState,
  GroupSummary,
  MemberView,
  UnresolvedPartition,
} from '../wire/groups.ts'
import type { Group, Member } from './group.ts'
import type { CatalogueTopic, TopicCatalogue } from './topic-catalogue.ts'

export function memberView(group: Group, member: Member, catalogue: TopicCatalogue): MemberView {
  const { memberId, info, assignment } = member
  const { memberEpoch } = assignment
  const version = new ViewVersion(memberEpoch)
  const assigned: AssignedPartition[] = []
  const unresolved: UnresolvedPartition[] = []
  for (const topicId of assignment.assigned.topicIds) {
    const topic = catalogue.byId(topicId)
    if (topic === undefined) continue
    const { name } = topic
    const committed = group.offsets.ofTopic(topicId)
    for (const [partition, sinceEpoch] of assignment.assigned.ofTopic(topicId)) {
      const place = { topicId, topic: name, partition, sinceEpoch }
      const position = committed.get(partition)
      version.add(topicId, partition, position === undefined ? 2 : 1)
      if (position === undefined) {
        unresolved.push({ topicId, topic: name, partition, at: startOf(group, topic, partition) })
      } else {
        const { offset, leaderEpoch } = position
        assigned.push({ ...place, committed: { offset, leaderEpoch } })
      }
    }
  }
  const revoking = placesOf(assignment.revoking, catalogue).map((place) => {
    const { topicId, partition } = place
    version.add(topicId, partition, 3)
    const { offset, leaderEpoch } = group.offsets.get(topicId, partition) ?? NOTHING_COMMITTED
    const sinceEpoch = assignment.revoking.get(topicId, partition) as number
    return { ...place, sinceEpoch, committed: { offset, leaderEpoch } }
  })
  return {
    memberId,
    memberEpoch,
    version: version.value,
    assigned: assigned.sort(byPlace),
    revoking,
    unresolved: unresolved.sort(byPlace),
    heartbeatIntervalMs: heartbeatIntervalMs(info.sessionTimeoutMs),
    sessionTimeoutMs: info.sessionTimeoutMs,
    rebalanceTimeoutMs: info.rebalanceTimeoutMs,
  }
}

/** Only offsets that expired or were deleted meanwhile are missing: there is nothing left to protect. */
const NOTHING_COMMITTED: GroupPosition = { offset: 0, leaderEpoch: -1 }

/** What came after the group had subscribed is read from its start, so that nothing of it is skipped. */
function startOf(group: Group, { topicId }: CatalogueTopic, partition: number): GroupStart {
  const first = group.topics.get(topicId)?.firstPartitions ?? 0
  return group.value?.from === 'latest' && partition < first ? 'latest' : 'earliest'
}

export function groupState({ members, target, isTargetStale }: Group): GroupState {
  if (members.size === 0) return 'empty'
  if (isTargetStale || target === undefined || target.pending.length > 0) return 'reconciling'
  for (const { assignment } of members.values()) {
    if (assignment.revoking.size > 0) return 'reconciling'
  }
  return 'stable'
}

export function groupSummary(group: Group): GroupSummary {
  return { groupId: group.id, state: groupState(group), members: group.members.size }
}

export function groupDescription(
  group: Group,
  coordinator: number,
  catalogue: TopicCatalogue,
): GroupDescription {
  const { assignor, offsetsRetentionMs } = group.value ?? DEFAULT_GROUP_SETTINGS
  const targets = targetsByMember(group, catalogue)
  return {
    groupId: group.id,
    state: groupState(group),
    groupEpoch: group.epoch,
    from: group.value?.from ?? 'earliest',
    assignor,
    offsetsRetentionMs,
    coordinator,
    members: [...group.members.values()]
      .sort((a, b) => (a.memberId < b.memberId ? -1 : 1))
      .map((member) => memberDescription(member, targets.get(member.memberId) ?? [], catalogue)),
  }
}

function memberDescription(
  { memberId, info, assignment }: Member,
  target: readonly GroupPartition[],
  catalogue: TopicCatalogue,
): GroupMember {
  const { instanceId, rack, subscription, sessionTimeoutMs, rebalanceTimeoutMs, away } = info
  return {
    memberId,
    ...(instanceId !== undefined && { instanceId }),
    ...(rack !== undefined && { rack }),
    memberEpoch: assignment.memberEpoch,
    subscription,
    sessionTimeoutMs,
    rebalanceTimeoutMs,
    away,
    assigned: placesOf(assignment.assigned, catalogue),
    revoking: placesOf(assignment.revoking, catalogue),
    target,
  }
}

function targetsByMember(group: Group, catalogue: TopicCatalogue): Map<string, GroupPartition[]> {
  const targets = new Map<string, GroupPartition[]>()
  for (const [topicId, partition, memberId] of group.target?.assignment.entries() ?? []) {
    const topic = catalogue.byId(topicId)?.name
    if (topic === undefined) continue
    const place = { topicId, topic, partition }
    const places = targets.get(memberId)
    if (places === undefined) targets.set(memberId, [place])
    else places.push(place)
  }
  for (const places of targets.values()) places.sort(byPlace)
  return targets
}

export function committedOffsets(group: Group, catalogue: TopicCatalogue): CommittedOffset[] {
  return [...group.offsets.entries()]
    .map(([topicId, partition, { metadata, ...value }]) => {
      const topic = catalogue.byId(topicId)?.name
      return {
        topicId,
        partition,
        ...value,
        ...(topic !== undefined && { topic }),
        ...(metadata !== '' && { metadata }),
      }
    })
    .sort((a, b) => byPlace({ ...a, topic: a.topic ?? '' }, { ...b, topic: b.topic ?? '' }))
}

function placesOf(places: PartitionMap<unknown>, catalogue: TopicCatalogue): GroupPartition[] {
  const named: GroupPartition[] = []
  for (const [topicId, partition] of places.entries()) {
    const topic = catalogue.byId(topicId)?.name
    if (topic !== undefined) named.push({ topicId, topic, partition })
  }
  return named.sort(byPlace)
}

interface Named {
  readonly topicId: string
  readonly topic: string
  readonly partition: number
}

function byPlace(a: Named, b: Named): number {
  if (a.topic !== b.topic) return a.topic < b.topic ? -1 : 1
  if (a.topicId !== b.topicId) return a.topicId < b.topicId ? -1 : 1
  return a.partition - b.partition
}

/** A number that is the same for the same partitions in the same lists, in whatever order they come. */
class ViewVersion {
  #sum: number

  constructor(memberEpoch: number) {
    this.#sum = mixed(memberEpoch)
  }

  get value(): number {
    return this.#sum >>> 0
  }

  add(topicId: string, partition: number, list: number): void {
    // An id is random: a part of it will do.
    const topic = Number.parseInt(topicId.slice(0, 8), 16) | 0
    this.#sum = (this.#sum + mixed(mixed(topic) ^ (partition * 4 + list))) | 0
  }
}

/** The finish of MurmurHash3, which spreads every bit over all. */
function mixed(value: number): number {
  let hash = Math.imul(value ^ (value >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return hash ^ (hash >>> 16)
}
