/**
 * The records of groups, one kind for each part of their state. Keys are text, so that the log can be
 * looked at: kind, group, and the rest with spaces between. Values begin with a version; they are
 * JSON but for offsets, of which there are by far the most.
 */
import type { GroupId, GroupSettings, GroupStart, MemberId } from '../core/group-settings.ts'
import type { TopicId } from '../core/ids.ts'
import type { MemberAssignment } from '../core/member-assignment.ts'
import type { Subscription } from '../wire/groups.ts'

/** What a group is as a whole. Its epoch is at least that of every member it ever had. */
export interface GroupValue extends GroupSettings {
  readonly from: GroupStart
  readonly epoch: number
  /** When its last member went, -1 while it has one; milliseconds since the epoch. */
  readonly emptySinceMs: number
}

export interface MemberValue {
  readonly instanceId?: MemberId
  readonly rack?: string
  readonly subscription: Subscription
  readonly sessionTimeoutMs: number
  readonly rebalanceTimeoutMs: number
  /** A static member that left for a moment. */
  readonly away: boolean
}

export interface TopicValue {
  /** Partitions that the topic had when the group subscribed to it: later ones are read from their start. */
  readonly firstPartitions: number
  /** Since when nobody subscribes to it, -1 while somebody does. */
  readonly unsubscribedSinceMs: number
}

export interface OffsetValue {
  readonly offset: number
  readonly leaderEpoch: number
  readonly metadata: string
  readonly committedAtMs: number
}

/** `value` null: there is none any more. */
export type GroupRecord =
  | { readonly kind: 'group'; readonly groupId: GroupId; readonly value: GroupValue | null }
  | {
      readonly kind: 'member'
      readonly groupId: GroupId
      readonly memberId: MemberId
      readonly value: MemberValue | null
    }
  | {
      readonly kind: 'assignment'
      readonly groupId: GroupId
      readonly memberId: MemberId
      readonly value: MemberAssignment | null
    }
  | {
      readonly kind: 'topic'
      readonly groupId: GroupId
      readonly topicId: TopicId
      readonly value: TopicValue | null
    }
  | {
      readonly kind: 'offset'
      readonly groupId: GroupId
      readonly topicId: TopicId
      readonly partition: number
      readonly value: OffsetValue | null
    }
