/**
 * What one member of a group has, and how it moves towards what it is to have. A partition goes to
 * another member only after the one that has it said that it stopped, at an epoch at which it knew
 * that it had it.
 */
import type { TargetAssignment } from './assignable.ts'
import type { MemberId } from './group-settings.ts'
import type { TopicId } from './ids.ts'
import { PartitionMap } from './partition-map.ts'

/** Never changed, but replaced. Epochs grow over the whole group: none is given to a member twice. */
export interface MemberAssignment {
  /** The epoch with which the member came into the group. */
  readonly joinEpoch: number
  /** The epoch with which it got something last. */
  readonly memberEpoch: number
  /** Partitions to read, with the epoch at which they were given. */
  readonly assigned: PartitionMap<number>
  /** Partitions to give up, with the same. */
  readonly revoking: PartitionMap<number>
}

export interface Place {
  readonly topicId: TopicId
  readonly partition: number
}

export function joined(epoch: number): MemberAssignment {
  return {
    joinEpoch: epoch,
    memberEpoch: epoch,
    assigned: new PartitionMap(),
    revoking: new PartitionMap(),
  }
}

export interface TurnOptions {
  /** The member does not read for the moment: what it is to give up is free at once. */
  readonly isAway: boolean
  /** Nobody reads the partition: its topic is gone, or it was never told where it begins. */
  readonly isUnread: (topicId: TopicId, partition: number) => boolean
}

/**
 * The member turns towards a new target: what it has beyond that is to be given up. What it was told
 * to give up it gives up, also if it is to have it again: it may have stopped already. The same
 * object if nothing changes.
 */
export function turnedTo(
  current: MemberAssignment,
  memberId: MemberId,
  target: TargetAssignment,
  { isAway, isUnread }: TurnOptions,
): MemberAssignment {
  const isFree = (topicId: TopicId, partition: number) => isAway || isUnread(topicId, partition)
  const assigned = new PartitionMap<number>()
  const revoking = new PartitionMap<number>()
  for (const [topicId, partition, epoch] of current.revoking.entries()) {
    if (!isFree(topicId, partition)) revoking.set(topicId, partition, epoch)
  }
  for (const [topicId, partition, epoch] of current.assigned.entries()) {
    const isWanted = target.get(topicId, partition) === memberId
    if (isWanted) assigned.set(topicId, partition, epoch)
    else if (!isFree(topicId, partition)) revoking.set(topicId, partition, epoch)
  }
  const isSame = assigned.size === current.assigned.size && revoking.size === current.revoking.size
  return isSame ? current : { ...current, assigned, revoking }
}

/** The member gets partitions that nobody has, under a new epoch. */
export function given(
  current: MemberAssignment,
  places: readonly Place[],
  epoch: number,
): MemberAssignment {
  const assigned = copyOf(current.assigned)
  for (const { topicId, partition } of places) assigned.set(topicId, partition, epoch)
  return { ...current, memberEpoch: epoch, assigned }
}

/**
 * The member says what it still works on. That frees what it is to give up and does not name, as far
 * as it knew, by the epoch that it speaks at, that it had it: what it says may be older than what it
 * was told meanwhile.
 */
export function released(
  current: MemberAssignment,
  memberEpoch: number,
  owned: readonly Place[],
): MemberAssignment {
  if (current.revoking.size === 0) return current
  const named = new PartitionMap<true>()
  for (const { topicId, partition } of owned) named.set(topicId, partition, true)
  const revoking = new PartitionMap<number>()
  for (const [topicId, partition, epoch] of current.revoking.entries()) {
    if (named.has(topicId, partition) || epoch > memberEpoch) {
      revoking.set(topicId, partition, epoch)
    }
  }
  return revoking.size === current.revoking.size ? current : { ...current, revoking }
}

/** A new process takes the place of one that stopped: it has the same, under an epoch of its own. */
export function takenOver(current: MemberAssignment, epoch: number): MemberAssignment {
  const assigned = new PartitionMap<number>()
  for (const [topicId, partition] of current.assigned.entries()) {
    assigned.set(topicId, partition, epoch)
  }
  return { joinEpoch: epoch, memberEpoch: epoch, assigned, revoking: new PartitionMap() }
}

/** Whether a call at this epoch is from the member as it is in the group now. Calls of one member run side by side, so that all its epochs will do. */
export function isCurrentEpoch(current: MemberAssignment, memberEpoch: number): boolean {
  return memberEpoch >= current.joinEpoch && memberEpoch <= current.memberEpoch
}

/** Whether the member had the partition at the epoch that it claims, and has it still. */
export function mayCommit(
  { assigned, revoking }: MemberAssignment,
  memberEpoch: number,
  { topicId, partition }: Place,
): boolean {
  const since = assigned.get(topicId, partition) ?? revoking.get(topicId, partition)
  return since !== undefined && since <= memberEpoch
}

function copyOf<V>(map: PartitionMap<V>): PartitionMap<V> {
  const copy = new PartitionMap<V>()
  for (const [topicId, partition, value] of map.entries()) copy.set(topicId, partition, value)
  return copy
}
