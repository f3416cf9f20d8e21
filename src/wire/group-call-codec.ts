/** The calls to the coordinator of a group on their way between nodes, in JSON. */
import type { GroupSettings } from '../core/group-settings.ts'
import { ASSIGNORS, parseGroupId, parseMemberId } from '../core/group-settings.ts'
import type { TopicName } from '../core/ids.ts'
import { parseTopicId, parseTopicName } from '../core/ids.ts'
import { LIMITS } from '../core/limits.ts'
import type { Committed, ErrorCode } from '../lib/service-error.ts'
import { ERRORS } from '../lib/service-error.ts'
import type { GroupCall, GroupCallKind, GroupCalls, GroupReply } from './group-calls.ts'
import type {
  AssignedPartition,
  CommitOffsets,
  CommitOutcome,
  CommittedOffset,
  GroupDescription,
  GroupMember,
  GroupPage,
  GroupPartition,
  GroupPosition,
  GroupSummary,
  Heartbeat,
  JoinedMember,
  JoinGroup,
  LeaveGroup,
  MemberView,
  OffsetToCommit,
  PartitionStart,
  Subscription,
  UnresolvedPartition,
  ViewMember,
} from './groups.ts'
import type { PartitionPlace, Refusal } from './internal.ts'
import type { Shape } from './json-shape.ts'
import {
  flag,
  integer,
  list,
  membersOf,
  nothing,
  object,
  oneOf,
  optional,
  parsed,
  parseJson,
  text,
} from './json-shape.ts'
import { MalformedMessage } from './message.ts'

const LONGEST = LIMITS.offsetsPerGroup
const groupId = parsed(parseGroupId)
const memberId = parsed(parseMemberId)
const topicId = parsed(parseTopicId)
const topic = parsed(parseTopicName)
const partition = integer(0)
const timeout = integer(1)
const start = oneOf(['earliest', 'latest'])
const position = { offset: integer(0), leaderEpoch: integer(-1) }
const place = { topicId, partition }
const named = { ...place, topic }
const member = { groupId, memberId, memberEpoch: integer(0) }
const places = list(object<PartitionPlace>(place), LONGEST)
const groupPartitions = list(object<GroupPartition>(named), LONGEST)

const subscription: Shape<Subscription> = (value) => {
  const { pattern } = membersOf(value)
  if (pattern !== undefined) return { pattern: text(pattern) }
  return object<{ readonly topics: readonly TopicName[] }>({
    topics: list(topic, LIMITS.topicsPerSubscription),
  })(value)
}

const settings = {
  assignor: optional(oneOf(ASSIGNORS)),
  offsetsRetentionMs: optional(integer(1)),
}

const offsets = list(
  object<OffsetToCommit>({
    ...place,
    ...position,
    metadata: optional(text),
    expectedOffset: optional(integer(0)),
  }),
  LIMITS.offsetsPerCommit,
)

const COMMANDS: { readonly [K in GroupCallKind]: Shape<GroupCalls[K]['command']> } = {
  join: object<JoinGroup>({
    groupId,
    memberId,
    instanceId: optional(memberId),
    subscription,
    from: start,
    sessionTimeoutMs: timeout,
    rebalanceTimeoutMs: timeout,
    rack: optional(text),
    assignor: optional(oneOf(ASSIGNORS)),
  }),
  heartbeat: object<Heartbeat>({ ...member, owned: optional(places) }),
  release: object({ ...member, owned: places }),
  leave: object<LeaveGroup>({
    groupId,
    memberId,
    memberEpoch: optional(integer(0)),
    keepInstance: optional(flag),
  }),
  view: object<ViewMember>({ ...member, renew: optional(flag) }),
  awaitChange: object({ ...member, version: integer(0), waitMs: integer(0) }),
  startAt: object({
    groupId,
    starts: list(object<PartitionStart>({ ...place, ...position }), LIMITS.offsetsPerCommit),
  }),
  commit: object<CommitOffsets>({
    groupId,
    memberId: optional(memberId),
    memberEpoch: optional(integer(0)),
    onlyForward: optional(flag),
    offsets,
  }),
  reset: object({ groupId, offsets }),
  offsets: object({ groupId }),
  describe: object({ groupId }),
  list: object({ after: text, limit: integer(1) }),
  change: object({ groupId, settings: object<Partial<GroupSettings>>(settings) }),
  remove: object({ groupId }),
}

const KINDS = Object.keys(COMMANDS) as GroupCallKind[]

const assigned = object<AssignedPartition>({
  ...named,
  sinceEpoch: integer(0),
  committed: object<GroupPosition>(position),
})

const view = {
  memberId,
  memberEpoch: integer(0),
  version: integer(0),
  assigned: list(assigned, LONGEST),
  revoking: list(assigned, LONGEST),
  unresolved: list(object<UnresolvedPartition>({ ...named, at: start }), LONGEST),
  heartbeatIntervalMs: integer(0),
  sessionTimeoutMs: timeout,
  rebalanceTimeoutMs: timeout,
}

const memberView = object<MemberView>(view)
const state = oneOf(['empty', 'reconciling', 'stable'])

const groupMember = object<GroupMember>({
  memberId,
  instanceId: optional(memberId),
  rack: optional(text),
  memberEpoch: integer(0),
  subscription,
  sessionTimeoutMs: timeout,
  rebalanceTimeoutMs: timeout,
  away: flag,
  assigned: groupPartitions,
  revoking: groupPartitions,
  target: groupPartitions,
})

const description = object<GroupDescription>({
  groupId,
  state,
  groupEpoch: integer(0),
  from: start,
  assignor: oneOf(ASSIGNORS),
  offsetsRetentionMs: integer(1),
  coordinator: integer(0),
  members: list(groupMember, LIMITS.membersPerGroup),
})

const refusalMembers: Shape<Readonly<Record<string, string | number>>> = (value) => {
  const members = membersOf(value)
  for (const member of Object.values(members)) {
    if (typeof member !== 'string' && typeof member !== 'number') {
      throw new MalformedMessage('a member of a refusal is none')
    }
  }
  return members as Readonly<Record<string, string | number>>
}

const refusal = object<Refusal & PartitionPlace>({
  ...place,
  ok: () => false as const,
  code: oneOf(Object.keys(ERRORS) as ErrorCode[]),
  detail: text,
  committed: oneOf<Committed>(['no', 'yes', 'unknown']),
  members: optional(refusalMembers),
})

const outcome: Shape<CommitOutcome> = (value) => {
  return flag(membersOf(value)['ok'])
    ? { ...object<PartitionPlace>(place)(value), ok: true }
    : refusal(value)
}

const outcomes = list(outcome, LONGEST)

const REPLIES: { readonly [K in GroupCallKind]: Shape<GroupReply<K>> } = {
  join: object<JoinedMember>({ ...view, created: flag }),
  heartbeat: memberView,
  release: memberView,
  leave: nothing,
  view: memberView,
  awaitChange: memberView,
  startAt: nothing,
  commit: outcomes,
  reset: outcomes,
  offsets: list(
    object<CommittedOffset>({
      ...place,
      ...position,
      topic: optional(topic),
      metadata: optional(text),
      committedAtMs: integer(0),
    }),
    LONGEST,
  ),
  describe: description,
  list: object<GroupPage>({
    groups: list(object<GroupSummary>({ groupId, state, members: integer(0) }), LONGEST),
    more: flag,
  }),
  change: description,
  remove: nothing,
}

export interface GroupCallMessage {
  /** Of the internal topic. */
  readonly partition: number
  readonly call: GroupCall
}

/** Calls that go to one node together. */
const CALLS_MAX = 1_000

export function encodeGroupCalls(messages: readonly GroupCallMessage[]): Uint8Array {
  const calls = messages.map(({ partition: at, call }) => ({ partition: at, ...call }))
  return Buffer.from(JSON.stringify({ calls }))
}

/** @throws MalformedMessage, as do the others */
export function decodeGroupCalls(body: Uint8Array): readonly GroupCallMessage[] {
  return list(groupCall, CALLS_MAX)(membersOf(parseJson(body))['calls'])
}

function groupCall(value: unknown): GroupCallMessage {
  const members = membersOf(value)
  const kind = oneOf(KINDS)(members['kind'])
  const command = COMMANDS[kind](members['command'])
  return { partition: partition(members['partition']), call: { kind, command } as GroupCall }
}

export function readGroupReply<K extends GroupCallKind>(kind: K, reply: unknown): GroupReply<K> {
  return REPLIES[kind](reply)
}
