/** The calls of `GroupService` as messages: the name of each, what it is told, and what it answers. */
import type { GroupId, GroupSettings } from '../core/group-settings.ts'
import type {
  AwaitChange,
  CommitOffsets,
  CommitOutcome,
  CommittedOffset,
  GroupDescription,
  GroupPage,
  Heartbeat,
  JoinedMember,
  JoinGroup,
  LeaveGroup,
  MemberView,
  ReleasePartitions,
  StartAt,
  ViewMember,
} from './groups.ts'

interface OfGroup {
  readonly groupId: GroupId
}

export interface GroupCalls {
  readonly join: { readonly command: JoinGroup; readonly reply: JoinedMember }
  readonly heartbeat: { readonly command: Heartbeat; readonly reply: MemberView }
  readonly release: { readonly command: ReleasePartitions; readonly reply: MemberView }
  readonly leave: { readonly command: LeaveGroup; readonly reply: null }
  readonly view: { readonly command: ViewMember; readonly reply: MemberView }
  readonly awaitChange: { readonly command: AwaitChange; readonly reply: MemberView }
  readonly startAt: { readonly command: StartAt; readonly reply: null }
  readonly commit: { readonly command: CommitOffsets; readonly reply: readonly CommitOutcome[] }
  readonly reset: {
    readonly command: Pick<CommitOffsets, 'groupId' | 'offsets'>
    readonly reply: readonly CommitOutcome[]
  }
  readonly offsets: { readonly command: OfGroup; readonly reply: readonly CommittedOffset[] }
  readonly describe: { readonly command: OfGroup; readonly reply: GroupDescription }
  /** Of the groups of one coordinator. */
  readonly list: {
    readonly command: { readonly after: string; readonly limit: number }
    readonly reply: GroupPage
  }
  readonly change: {
    readonly command: OfGroup & { readonly settings: Partial<GroupSettings> }
    readonly reply: GroupDescription
  }
  readonly remove: { readonly command: OfGroup; readonly reply: null }
}

export type GroupCallKind = keyof GroupCalls

export type GroupCall<K extends GroupCallKind = GroupCallKind> = {
  [Kind in K]: { readonly kind: Kind; readonly command: GroupCalls[Kind]['command'] }
}[K]

export type GroupReply<K extends GroupCallKind = GroupCallKind> = GroupCalls[K]['reply']

const ONCE: ReadonlySet<GroupCallKind> = new Set(['commit', 'reset', 'change', 'remove'])

/** Whether the call may be made again when nobody knows whether it was carried out. */
export function isRepeatable(kind: GroupCallKind): boolean {
  return !ONCE.has(kind)
}

/** Whoever can be asked as the coordinator of a partition of the internal topic. */
export interface GroupCoordinators {
  /** @throws ServiceError as `GroupService` says */
  call<K extends GroupCallKind>(
    partition: number,
    call: GroupCall<K>,
    signal: AbortSignal,
  ): Promise<GroupReply<K>>
}
