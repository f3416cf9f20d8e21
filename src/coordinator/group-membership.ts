/** Members come, stay and go. What they then get to read follows by itself: see group-following.ts. */
import { DEFAULT_GROUP_SETTINGS } from '../core/group-settings.ts'
import { LIMITS } from '../core/limits.ts'
import { joined, released, takenOver } from '../core/member-assignment.ts'
import type {
  Heartbeat,
  JoinedMember,
  JoinGroup,
  LeaveGroup,
  MemberPlace,
  MemberView,
  ReleasePartitions,
  ViewMember,
} from '../wire/groups.ts'
import type { Refusal } from '../wire/internal.ts'
import type { Group, Member } from './group.ts'
import type { Decision, GroupScene } from './group-decision.ts'
import { answer, currentMember, memberNotFound, refuse } from './group-decision.ts'
import type { GroupRecord, GroupValue, MemberValue } from './group-records.ts'
import { memberView } from './group-views.ts'
import { subscriptionKey } from './topic-catalogue.ts'

export function join(scene: GroupScene, command: JoinGroup): Decision<JoinedMember> {
  const { groupId, memberId, instanceId } = command
  const group = scene.find(groupId)
  const hasMembers = group !== undefined && group.members.size > 0
  const assignor = group?.value?.assignor ?? DEFAULT_GROUP_SETTINGS.assignor
  if (hasMembers && command.assignor !== undefined && command.assignor !== assignor) {
    return refuse('group-differs', `the group's assignor is ${assignor}, not ${command.assignor}`)
  }
  const member = group?.members.get(memberId)
  if (group !== undefined && member?.isFenced === false) {
    return joinAgain(scene, command, group, member)
  }
  const holder = instanceId === undefined ? undefined : group?.instances.get(instanceId)
  const predecessor = holder === member ? undefined : holder
  if (predecessor !== undefined && !predecessor.info.away) {
    return refuse('instance-in-use', `instance ${instanceId} is member ${predecessor.memberId}`, {
      memberId: predecessor.memberId,
    })
  }
  const limit = LIMITS.membersPerGroup
  const leaving = [member, predecessor].filter((gone) => gone !== undefined)
  if ((group?.members.size ?? 0) - leaving.length >= limit) {
    return refuse('group-full', `the group has ${limit} members`, { limit })
  }
  const epoch = (group?.epoch ?? 0) + 1
  const assignment = predecessor ? takenOver(predecessor.assignment, epoch) : joined(epoch)
  return {
    records: [
      { kind: 'group', groupId, value: { ...groupValue(group, command), epoch } },
      ...topicRecords(scene, group, command),
      ...leaving.flatMap(goneRecords),
      { kind: 'member', groupId, memberId, value: memberValue(command) },
      { kind: 'assignment', groupId, memberId, value: assignment },
    ],
    reply: () => joinedView(scene, command, true),
  }
}

/** The join is repeated, or the member wants something else from now on. */
function joinAgain(
  scene: GroupScene,
  command: JoinGroup,
  group: Group,
  member: Member,
): Decision<JoinedMember> {
  const { groupId, memberId, instanceId } = command
  const holder = instanceId === undefined ? undefined : group.instances.get(instanceId)
  if (holder !== undefined && holder !== member) {
    return refuse('instance-in-use', `instance ${instanceId} is member ${holder.memberId}`)
  }
  scene.renew(member)
  const reply = () => joinedView(scene, command, false)
  const value = memberValue(command)
  if (isSameMember(value, member.info)) return answer(reply)
  const records: GroupRecord[] = [
    ...topicRecords(scene, group, command),
    { kind: 'member', groupId, memberId, value },
  ]
  return { records, reply }
}

export function heartbeat(scene: GroupScene, command: Heartbeat): Decision<MemberView> {
  const found = currentMember(scene, command)
  if ('ok' in found) return found
  scene.renew(found.member)
  return giveUp(scene, found, command)
}

export function release(scene: GroupScene, command: ReleasePartitions): Decision<MemberView> {
  const found = currentMember(scene, command)
  return 'ok' in found ? found : giveUp(scene, found, command)
}

function giveUp(
  scene: GroupScene,
  { group, member }: { group: Group; member: Member },
  { memberEpoch, owned }: Heartbeat,
): Decision<MemberView> {
  const { memberId, assignment } = member
  const reply = () => viewOf(scene, member)
  const value = owned === undefined ? assignment : released(assignment, memberEpoch, owned)
  if (value === assignment) return answer(reply)
  return { records: [{ kind: 'assignment', groupId: group.id, memberId, value }], reply }
}

export function view(scene: GroupScene, command: ViewMember): Decision<MemberView> {
  const found = currentMember(scene, command)
  if ('ok' in found) return found
  const { member } = found
  if (command.renew === true) scene.renew(member)
  return answer(() => viewOf(scene, member))
}

export function leave(scene: GroupScene, command: LeaveGroup): Decision<null> {
  const group = scene.find(command.groupId)
  const member = group?.members.get(command.memberId)
  const reply = () => null
  if (group === undefined || member === undefined) return answer(reply)
  const { memberId, info, assignment } = member
  const { memberEpoch } = command
  if (memberEpoch !== undefined && memberEpoch < assignment.joinEpoch) return answer(reply)
  if (command.keepInstance === true && info.instanceId !== undefined) {
    if (info.away) return answer(reply)
    scene.renew(member)
    const value = { ...info, away: true }
    return { records: [{ kind: 'member', groupId: group.id, memberId, value }], reply }
  }
  return { records: departure(group, [member], scene.moment.nowMs), reply }
}

/** Members of a group go; when they were the last, the group is empty from now on. */
export function departure(
  group: Group,
  members: readonly Member[],
  nowMs: number,
): readonly GroupRecord[] {
  const records: GroupRecord[] = members.flatMap(goneRecords)
  if (members.length === group.members.size && group.value !== undefined) {
    const value = { ...group.value, emptySinceMs: nowMs }
    records.push({ kind: 'group', groupId: group.id, value })
  }
  return records
}

function goneRecords({ groupId, memberId }: Member): GroupRecord[] {
  return [
    { kind: 'member', groupId, memberId, value: null },
    { kind: 'assignment', groupId, memberId, value: null },
  ]
}

/** Of the member as it is then, unless another call of the same turn, or time, has put it out. */
function viewOf(scene: GroupScene, { groupId, memberId }: MemberPlace): MemberView | Refusal {
  const group = scene.find(groupId)
  const member = group?.members.get(memberId)
  if (group === undefined || member === undefined) return memberNotFound(groupId, memberId)
  return memberView(group, member, scene.catalogue)
}

function joinedView(
  scene: GroupScene,
  place: MemberPlace,
  created: boolean,
): JoinedMember | Refusal {
  const view = viewOf(scene, place)
  return 'ok' in view ? view : { ...view, created }
}

/** The first member's word holds for all that come while there are some. */
function groupValue(group: Group | undefined, command: JoinGroup): Omit<GroupValue, 'epoch'> {
  const before = group?.value ?? DEFAULT_GROUP_SETTINGS
  const { from, assignor = before.assignor } = command
  if (group?.value !== undefined && group.members.size > 0) {
    return { ...group.value, emptySinceMs: -1 }
  }
  return { assignor, offsetsRetentionMs: before.offsetsRetentionMs, from, emptySinceMs: -1 }
}

function memberValue(command: JoinGroup): MemberValue {
  const { instanceId, rack, subscription, sessionTimeoutMs, rebalanceTimeoutMs } = command
  return {
    ...(instanceId !== undefined && { instanceId }),
    ...(rack !== undefined && { rack }),
    subscription,
    sessionTimeoutMs,
    rebalanceTimeoutMs,
    away: false,
  }
}

function isSameMember(a: MemberValue, b: MemberValue): boolean {
  return (
    a.instanceId === b.instanceId &&
    a.rack === b.rack &&
    a.away === b.away &&
    a.sessionTimeoutMs === b.sessionTimeoutMs &&
    a.rebalanceTimeoutMs === b.rebalanceTimeoutMs &&
    subscriptionKey(a.subscription) === subscriptionKey(b.subscription)
  )
}

/**
 * What topics look like when the group subscribes to them. One that another member waited for
 * already came later than the subscription: all of it is new.
 */
function topicRecords(
  { catalogue }: GroupScene,
  group: Group | undefined,
  { groupId, subscription }: JoinGroup,
): GroupRecord[] {
  const topics = catalogue.resolve(subscriptionKey(subscription), subscription)
  const unknown = topics.filter(({ topicId }) => group?.topics.get(topicId) === undefined)
  if (unknown.length === 0) return []
  const waitedFor = new Set<string>()
  for (const member of group?.members.values() ?? []) {
    for (const { topicId } of catalogue.resolve(member.subscriptionKey, member.info.subscription)) {
      waitedFor.add(topicId)
    }
  }
  return unknown.map(({ topicId, partitions }) => ({
    kind: 'topic',
    groupId,
    topicId,
    value: {
      firstPartitions: waitedFor.has(topicId) ? 0 : partitions,
      unsubscribedSinceMs: -1,
    },
  }))
}
