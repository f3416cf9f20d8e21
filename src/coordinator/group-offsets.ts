/** Offsets are committed by those who own their partition, and set by others only while nobody reads. */
import { DEFAULT_GROUP_SETTINGS } from '../core/group-settings.ts'
import { LIMITS } from '../core/limits.ts'
import { isBehind } from '../core/log-position.ts'
import { given, mayCommit } from '../core/member-assignment.ts'
import type { CommitOffsets, CommitOutcome, OffsetToCommit, StartAt } from '../wire/groups.ts'
import type { PartitionPlace, Refusal } from '../wire/internal.ts'
import type { Group, Member } from './group.ts'
import type { Decision, GroupScene } from './group-decision.ts'
import { answer, epochRefusal, groupNotFound, refuse } from './group-decision.ts'
import type { GroupRecord } from './group-records.ts'

type Outcomes = readonly CommitOutcome[]

export function commit(scene: GroupScene, command: CommitOffsets): Decision<Outcomes> {
  const { groupId, memberId, memberEpoch } = command
  if (memberId === undefined || memberEpoch === undefined) return reset(scene, command)
  const group = scene.find(groupId)
  if (group === undefined) return groupNotFound(groupId)
  const member = group.members.get(memberId)
  if (member === undefined) {
    const detail = `member ${memberId} is not in group ${groupId} any more`
    return refuse('member-fenced', detail, { action: 'rejoin' })
  }
  const fenced = epochRefusal(member, memberEpoch)
  if (fenced !== undefined) return fenced
  scene.renew(member)
  return write(scene, group, command, (offset) => ownerRefusal(member, memberEpoch, offset))
}

/** By nobody in particular, while nobody reads. Makes the group if there is none. */
export function reset(
  scene: GroupScene,
  command: Pick<CommitOffsets, 'groupId' | 'offsets'>,
): Decision<Outcomes> {
  const group = scene.find(command.groupId)
  if (group !== undefined && group.members.size > 0) return notEmpty(group)
  return write(scene, group, command, (offset) => placeRefusal(scene, offset))
}

export function startAt(scene: GroupScene, { groupId, starts }: StartAt): Decision<null> {
  const group = scene.find(groupId)
  if (group === undefined) return groupNotFound(groupId)
  const free = starts.filter(
    ({ topicId, partition }) =>
      group.owners.has(topicId, partition) && !group.offsets.has(topicId, partition),
  )
  const full = fullRefusal(group, free)
  if (full !== undefined) return full
  if (free.length === 0) return answer(() => null)
  const { nowMs } = scene.moment
  const records = free.map((start) => offsetRecord(group.id, start, nowMs))
  return { records: [...records, ...told(group, free)], reply: () => null }
}

/**
 * The owners may read the partitions from now on: under a new epoch, so that what they said before
 * of what they work on does not seem to speak of these.
 */
function told(group: Group, places: readonly PartitionPlace[]): GroupRecord[] {
  const byOwner = new Map<Member, PartitionPlace[]>()
  for (const place of places) {
    const owner = group.owners.get(place.topicId, place.partition)
    if (owner?.assignment.assigned.has(place.topicId, place.partition) !== true) continue
    const own = byOwner.get(owner)
    if (own === undefined) byOwner.set(owner, [place])
    else own.push(place)
  }
  const { id: groupId, value } = group
  if (value === undefined || byOwner.size === 0) return []
  const epoch = group.epoch + 1
  const records: GroupRecord[] = [{ kind: 'group', groupId, value: { ...value, epoch } }]
  for (const [{ memberId, assignment }, own] of byOwner) {
    records.push({
      kind: 'assignment',
      groupId,
      memberId,
      value: given(assignment, own, epoch),
    })
  }
  return records
}

export function remove(scene: GroupScene, { groupId }: { groupId: string }): Decision<null> {
  const group = scene.find(groupId)
  if (group === undefined) return groupNotFound(groupId)
  if (group.members.size > 0) return notEmpty(group)
  return { records: removal(group), reply: () => null }
}

/** A group without members is forgotten, with its offsets. */
export function removal({ id: groupId, offsets, topics }: Group): GroupRecord[] {
  const records: GroupRecord[] = []
  for (const [topicId, partition] of offsets.entries()) {
    records.push({ kind: 'offset', groupId, topicId, partition, value: null })
  }
  for (const topicId of topics.keys()) {
    records.push({ kind: 'topic', groupId, topicId, value: null })
  }
  records.push({ kind: 'group', groupId, value: null })
  return records
}

/** Writes the offsets that are not refused, and tells of each what became of it. */
function write(
  { moment: { nowMs } }: GroupScene,
  group: Group | undefined,
  { groupId, offsets, onlyForward }: Omit<CommitOffsets, 'memberId' | 'memberEpoch'>,
  refusalOf: (offset: OffsetToCommit) => Refusal | undefined,
): Decision<Outcomes> {
  const full = fullRefusal(group, offsets)
  if (full !== undefined) return full
  const records: GroupRecord[] = []
  const outcomes: CommitOutcome[] = offsets.map((offset) => {
    const { topicId, partition } = offset
    const refusal = refusalOf(offset) ?? movedRefusal(group, offset)
    if (refusal !== undefined) return { topicId, partition, ...refusal }
    if (onlyForward !== true || !isTakenBack(group, offset)) {
      records.push(offsetRecord(groupId, offset, nowMs))
    }
    return { topicId, partition, ok: true }
  })
  if (records.length === 0) return answer(() => outcomes)
  if (group?.value === undefined) {
    const value = { ...DEFAULT_GROUP_SETTINGS, from: 'earliest', epoch: 0 } as const
    records.unshift({ kind: 'group', groupId, value: { ...value, emptySinceMs: nowMs } })
  }
  return { records, reply: () => outcomes }
}

function offsetRecord(
  groupId: Group['id'],
  { topicId, partition, offset, leaderEpoch, metadata = '' }: OffsetToCommit,
  committedAtMs: number,
): GroupRecord {
  const value = { offset, leaderEpoch, metadata, committedAtMs }
  return { kind: 'offset', groupId, topicId, partition, value }
}

function ownerRefusal(
  member: Member,
  memberEpoch: number,
  place: PartitionPlace,
): Refusal | undefined {
  if (mayCommit(member.assignment, memberEpoch, place)) return undefined
  const detail = `partition ${place.partition} is not, or was not yet, the member's at this epoch`
  return refuse('partition-not-owned', detail)
}

function placeRefusal(
  { catalogue }: GroupScene,
  { topicId, partition }: PartitionPlace,
): Refusal | undefined {
  const topic = catalogue.byId(topicId)
  if (topic === undefined) return refuse('topic-not-found', 'the topic does not exist')
  if (partition < topic.partitions) return undefined
  return refuse('partition-not-found', `topic ${topic.name} has no partition ${partition}`)
}

function movedRefusal(
  group: Group | undefined,
  { topicId, partition, expectedOffset }: OffsetToCommit,
): Refusal | undefined {
  if (expectedOffset === undefined) return undefined
  const committed = group?.offsets.get(topicId, partition)?.offset
  if (committed === expectedOffset) return undefined
  return refuse('offset-moved', `${committed ?? 'nothing'} is committed, not ${expectedOffset}`)
}

function isTakenBack(group: Group | undefined, next: OffsetToCommit): boolean {
  const committed = group?.offsets.get(next.topicId, next.partition)
  return committed !== undefined && isBehind(next, committed)
}

function notEmpty({ id, members }: Group): Refusal {
  return refuse('group-not-empty', `group ${id} has ${members.size} members`)
}

function fullRefusal(
  group: Group | undefined,
  places: readonly PartitionPlace[],
): Refusal | undefined {
  const limit = LIMITS.offsetsPerGroup
  const size = group?.offsets.size ?? 0
  // Most commits are of partitions that have an offset: those need no room.
  if (size + places.length <= limit) return undefined
  const added = places.filter(({ topicId, partition }) => !group?.offsets.has(topicId, partition))
  if (size + added.length <= limit) return undefined
  return refuse('overloaded', `a group has offsets of at most ${limit} partitions`, { limit })
}
