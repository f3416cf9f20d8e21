/**
 * What a front asks of the coordinator of a group. In one process the calls are direct; between
 * machines they travel over internal HTTP to the leader of the group's partition of `__offsets`.
 */
import type {
  Assignor,
  GroupId,
  GroupSettings,
  GroupStart,
  MemberId,
} from '../core/group-settings.ts'
import type { TopicName } from '../core/ids.ts'
import type { PartitionPlace, Refusal } from './internal.ts'

export interface GroupPartition extends PartitionPlace {
  readonly topic: TopicName
}

/** Where a group goes on reading: the next offset, and the leader epoch of the record before (-1: none). */
export interface GroupPosition {
  readonly offset: number
  readonly leaderEpoch: number
}

export interface OwnedPartition extends GroupPartition {
  /**
   * The member epoch at which the member came to own it, this time: the fence of commits, and what tells
   * whether a position that the client carries is of this ownership or of an earlier one.
   */
  readonly sinceEpoch: number
}

/** A partition that the member owns, and whose start is committed. */
export interface AssignedPartition extends OwnedPartition {
  readonly committed: GroupPosition
}

/** A partition that the member owns, of which nobody committed a start yet. */
export interface UnresolvedPartition extends GroupPartition {
  /** `earliest` also for a group that starts at `latest`, where the partition is newer than its subscription. */
  readonly at: GroupStart
}

/** A member as it should know itself. All that it owns is in exactly one of the three lists. */
export interface MemberView {
  readonly memberId: MemberId
  readonly memberEpoch: number
  /** Opaque: another one when epoch or partitions are other ones. Offsets do not count. */
  readonly version: number
  /** To be read. */
  readonly assigned: readonly AssignedPartition[]
  /**
   * To be given up: no longer delivered; may be committed until the member says, by `owned` of a
   * heartbeat, that it has stopped. Whoever has not within `rebalanceTimeoutMs` is fenced.
   */
  readonly revoking: readonly AssignedPartition[]
  /** The front finds where they start, says so by `startAt`, and looks again. */
  readonly unresolved: readonly UnresolvedPartition[]
  readonly heartbeatIntervalMs: number
  readonly sessionTimeoutMs: number
  readonly rebalanceTimeoutMs: number
}

export interface MemberPlace {
  readonly groupId: GroupId
  readonly memberId: MemberId
}

export interface MemberAt extends MemberPlace {
  /** As the member was told it last. */
  readonly memberEpoch: number
}

/** Either names, which need not exist yet, or a pattern of names (src/core/topic-pattern.ts). */
export type Subscription = { readonly topics: readonly TopicName[] } | { readonly pattern: string }

export type JoinGroup = MemberPlace & {
  /** A static member: keeps its partitions over a restart within its session. */
  readonly instanceId?: MemberId
  readonly subscription: Subscription
  /** Of the group's partitions without a committed offset. The first member's word holds while there are members. */
  readonly from: GroupStart
  readonly sessionTimeoutMs: number
  readonly rebalanceTimeoutMs: number
  readonly rack?: string
  /** Absent: as the group has it. Another one than the group's is taken only while it has no members. */
  readonly assignor?: Assignor
}

export interface JoinedMember extends MemberView {
  /** False when the member was there before: a repeated join, which may change its subscription. */
  readonly created: boolean
}

export interface Heartbeat extends MemberAt {
  /**
   * The partitions that the member still works on. Absent: all that it was told. Partitions of
   * `revoking` that are missing here are given to others.
   */
  readonly owned?: readonly PartitionPlace[]
}

export interface ReleasePartitions extends MemberAt {
  readonly owned: readonly PartitionPlace[]
}

export interface LeaveGroup extends MemberPlace {
  /** Given, a leave that comes late does not put out the member that has joined again meanwhile. */
  readonly memberEpoch?: number
  /** A static member that comes back soon: its partitions are kept until its session ends. */
  readonly keepInstance?: boolean
}

export interface ViewMember extends MemberAt {
  /** Whether the look counts as a sign of life; default no. */
  readonly renew?: boolean
}

export interface AwaitChange extends MemberAt {
  /** Of the view that the caller has. */
  readonly version: number
  readonly waitMs: number
}

export interface PartitionStart extends PartitionPlace, GroupPosition {}

export interface StartAt {
  readonly groupId: GroupId
  readonly starts: readonly PartitionStart[]
}

export interface OffsetToCommit extends PartitionPlace, GroupPosition {
  /** The client's own note, at most `LIMITS.offsetMetadataBytes` of UTF-8. */
  readonly metadata?: string
  /**
   * Commit only if this is the committed offset now; else `offset-moved`. Of two requests that read
   * the same records and commit before they deliver them, only one delivers.
   */
  readonly expectedOffset?: number
}

export interface CommitOffsets {
  readonly groupId: GroupId
  /** Both or none. Without a member only while the group has no members; makes the group if there is none. */
  readonly memberId?: MemberId
  readonly memberEpoch?: number
  /**
   * What lies behind the committed position is done already: a commit that comes late, after a later one,
   * takes nothing back. Positions of a later leader epoch are behind none of an earlier one.
   */
  readonly onlyForward?: boolean
  readonly offsets: readonly OffsetToCommit[]
}

/** In the order of what was asked. Refusals: `partition-not-owned`, `member-fenced`, `offset-moved`, `topic-not-found`, `partition-not-found`. */
export type CommitOutcome = PartitionPlace & ({ readonly ok: true } | Refusal)

export interface CommittedOffset extends PartitionPlace, GroupPosition {
  /** Absent: the coordinator does not know the topic (any more). */
  readonly topic?: TopicName
  readonly metadata?: string
  /** Milliseconds since the epoch. */
  readonly committedAtMs: number
}

/** `empty`: no members. `reconciling`: some members do not have yet what they are to have. */
export type GroupState = 'empty' | 'reconciling' | 'stable'

export interface GroupMember {
  readonly memberId: MemberId
  readonly instanceId?: MemberId
  readonly rack?: string
  readonly memberEpoch: number
  readonly subscription: Subscription
  readonly sessionTimeoutMs: number
  readonly rebalanceTimeoutMs: number
  /** A static member that left for a moment. */
  readonly away: boolean
  readonly assigned: readonly GroupPartition[]
  readonly revoking: readonly GroupPartition[]
  /** What it is to have in the end. */
  readonly target: readonly GroupPartition[]
}

export interface GroupSummary {
  readonly groupId: GroupId
  readonly state: GroupState
  readonly members: number
}

export interface GroupDescription extends GroupSettings {
  readonly groupId: GroupId
  readonly state: GroupState
  readonly groupEpoch: number
  /** Where partitions without a committed offset start. */
  readonly from: GroupStart
  /** Node id of the coordinator. */
  readonly coordinator: number
  readonly members: readonly GroupMember[]
}

export interface GroupPage {
  /** By group id. */
  readonly groups: readonly GroupSummary[]
  /** Whether there are more behind the last. */
  readonly more: boolean
}

/**
 * Each call rejects with ServiceError. All may reject with `coordinator-loading`,
 * `partition-unavailable`, `overloaded` and `draining`, which are definite noes, and those that
 * change something with `outcome-unknown`. An answer leaves when what it says is committed.
 */
export interface GroupService {
  /**
   * Idempotent by member id.
   * @throws `instance-in-use`, `group-differs`, `group-full`, `invalid-request` (a pattern that is none)
   */
  join(command: JoinGroup, signal: AbortSignal): Promise<JoinedMember>
  /**
   * Renews the session. The epoch may be the one before the current, as after a lost answer.
   * @throws `group-not-found`, `member-not-found`, `member-fenced`; each means: join again
   */
  heartbeat(command: Heartbeat, signal: AbortSignal): Promise<MemberView>
  /** As a heartbeat, but it does not renew the session: a stream gives up partitions for its member. */
  release(command: ReleasePartitions, signal: AbortSignal): Promise<MemberView>
  /** Idempotent: resolves also where the member or the group is not there. */
  leave(command: LeaveGroup, signal: AbortSignal): Promise<void>
  /** @throws as heartbeat */
  view(command: ViewMember, signal: AbortSignal): Promise<MemberView>
  /**
   * Resolves when the view has another version, or `waitMs` have passed; never renews the session.
   * @throws as heartbeat, also when the member is put out meanwhile
   */
  awaitChange(command: AwaitChange, signal: AbortSignal): Promise<MemberView>
  /** The first position of partitions that somebody in the group owns; only where none is committed, so that any front may repeat it. */
  startAt(command: StartAt, signal: AbortSignal): Promise<void>
  /**
   * Whether an offset lies in the log is not asked here: the front has looked. One outcome a partition.
   * @throws `group-not-found`, `member-not-found`, `member-fenced`; `group-not-empty` without a member
   */
  commit(command: CommitOffsets, signal: AbortSignal): Promise<readonly CommitOutcome[]>
  /** Sets offsets whatever they are. @throws `group-not-empty` while the group has members */
  reset(
    command: Pick<CommitOffsets, 'groupId' | 'offsets'>,
    signal: AbortSignal,
  ): Promise<readonly CommitOutcome[]>
  /** By topic and partition. @throws `group-not-found` */
  offsets(groupId: GroupId, signal: AbortSignal): Promise<CommittedOffset[]>
  /** @throws `group-not-found` */
  describe(groupId: GroupId, signal: AbortSignal): Promise<GroupDescription>
  /** Of all coordinators: groups behind the id `after`, at most `limit` of them. */
  list(after: string, limit: number, signal: AbortSignal): Promise<GroupPage>
  /** @throws `group-not-found` */
  change(
    groupId: GroupId,
    settings: Partial<GroupSettings>,
    signal: AbortSignal,
  ): Promise<GroupDescription>
  /** With its offsets. @throws `group-not-found`, `group-not-empty` */
  remove(groupId: GroupId, signal: AbortSignal): Promise<void>
}
