/** Requests and answers about groups as a whole: their offsets, their lag, their settings. */
import type { Static } from 'typebox'
import { Type } from 'typebox'
import { ASSIGNORS, GROUP_BOUNDS } from '../core/group-settings.ts'
import { LIMITS } from '../core/limits.ts'
import { MEMBER_PATTERN, OffsetReceipt, TopicPartitions } from './group-members.ts'
import { Int64, ref, Words } from './schema.ts'

export const GROUPS_PER_PAGE = 1_000
export const GROUPS_PER_PAGE_DEFAULT = 100

const partition = Type.Integer({ minimum: 0, maximum: 0x7fff_ffff })
const topicName = Type.String({ minLength: 1, maxLength: 249 })

const NamedOffset = Type.Object(
  {
    topic: topicName,
    partition,
    offset: Int64({ description: 'The next offset to read.' }),
    metadata: Type.Optional(
      Type.String({ description: `A note, at most ${LIMITS.offsetMetadataBytes} bytes of UTF-8.` }),
    ),
  },
  { additionalProperties: false },
)
const offsets = Type.Optional(
  Type.Array(NamedOffset, { minItems: 1, maxItems: LIMITS.offsetsPerCommit }),
)

/** Body of `POST /v1/groups/{group}/offsets`. */
export const CommitBody = Type.Object(
  {
    memberId: Type.Optional(
      Type.String({
        pattern: MEMBER_PATTERN,
        description: 'Absent with the cursor of a member, or without members.',
      }),
    ),
    memberEpoch: Type.Optional(Type.Integer({ minimum: 0, maximum: 0x7fff_ffff })),
    cursor: Type.Optional(
      Type.String({ description: 'The cursor behind what is processed; or `offsets`.' }),
    ),
    offsets,
  },
  {
    $id: 'Commit',
    additionalProperties: false,
    examples: [
      {
        memberId: 'worker-1',
        memberEpoch: 3,
        offsets: [{ topic: 'orders', partition: 0, offset: 1042 }],
      },
    ],
  },
)
export type CommitBody = Static<typeof CommitBody>

/** Body of `PUT /v1/groups/{group}/offsets`. */
export const ResetBody = Type.Object(
  {
    to: Type.Optional(
      Type.String({
        description:
          '`earliest`, `latest`, `offset:N`, `time:<RFC 3339>` or `last:N`; or `offsets`.',
      }),
    ),
    topics: Type.Optional(
      Type.Array(topicName, {
        minItems: 1,
        maxItems: LIMITS.topicsPerSubscription,
        description: 'With `to`; absent: all that the group has offsets of.',
      }),
    ),
    offsets,
  },
  {
    $id: 'Reset',
    additionalProperties: false,
    examples: [{ to: 'time:2026-11-22T00:00:00Z', topics: ['orders'] }],
  },
)
export type ResetBody = Static<typeof ResetBody>

export const OffsetReceipts = Type.Object(
  { offsets: Type.Array(ref(OffsetReceipt)) },
  { $id: 'OffsetReceipts' },
)

export const CommittedOffsets = Type.Object(
  {
    offsets: Type.Array(
      Type.Object({
        topic: Type.Optional(Type.String({ description: 'Absent: the topic was deleted.' })),
        topicId: Type.String(),
        partition,
        offset: Int64({ description: 'The next offset to read.' }),
        metadata: Type.Optional(Type.String()),
        committedAt: Type.String({ format: 'date-time' }),
      }),
    ),
  },
  { $id: 'CommittedOffsets' },
)
export type CommittedOffsets = Static<typeof CommittedOffsets>

const SECONDS = 'Age of the oldest record that is not committed.'

export const GroupLag = Type.Object(
  {
    group: Type.String(),
    records: Int64({ description: 'Over all partitions that could be asked.' }),
    seconds: Type.Number({ minimum: 0, description: SECONDS }),
    partitions: Type.Array(
      Type.Object({
        topic: Type.String(),
        partition,
        offset: Int64({ description: 'What is committed.' }),
        tail: Type.Optional(
          Int64({ description: 'Absent, as what follows, while nobody can tell.' }),
        ),
        records: Type.Optional(Int64()),
        seconds: Type.Optional(Type.Number({ minimum: 0, description: SECONDS })),
      }),
    ),
  },
  { $id: 'GroupLag' },
)
export type GroupLag = Static<typeof GroupLag>

const STATE = Words(['empty', 'reconciling', 'stable'], {
  description:
    '`empty`: no members. `reconciling`: some do not have yet what they are to have. `stable`: all have.',
})

const offsetsRetentionMs = Type.Integer({
  minimum: GROUP_BOUNDS.offsetsRetentionMs.min,
  maximum: GROUP_BOUNDS.offsetsRetentionMs.max,
  format: 'int64',
  description: 'How long offsets are kept while nobody subscribes to their topic.',
})
const assignor = Words(ASSIGNORS, { description: 'How partitions are spread over members.' })

/** Body of `PATCH /v1/groups/{group}`. */
export const GroupChangeBody = Type.Object(
  { assignor: Type.Optional(assignor), offsetsRetentionMs: Type.Optional(offsetsRetentionMs) },
  {
    $id: 'GroupChange',
    additionalProperties: false,
    minProperties: 1,
    examples: [{ offsetsRetentionMs: 2_592_000_000 }],
  },
)

const partitions = Type.Array(ref(TopicPartitions))

export const DescribedMember = Type.Object(
  {
    memberId: Type.String(),
    instanceId: Type.Optional(Type.String()),
    rack: Type.Optional(Type.String()),
    memberEpoch: Type.Integer({ minimum: 0 }),
    topics: Type.Optional(Type.Array(Type.String())),
    pattern: Type.Optional(Type.String()),
    sessionTimeoutMs: Type.Integer(),
    rebalanceTimeoutMs: Type.Integer(),
    away: Type.Boolean({ description: 'It left for a moment; its partitions are kept.' }),
    assigned: partitions,
    revoking: partitions,
    target: Type.Array(ref(TopicPartitions), { description: 'What it is to have in the end.' }),
  },
  { $id: 'DescribedMember' },
)
export type DescribedMember = Static<typeof DescribedMember>

export const Group = Type.Object(
  {
    group: Type.String(),
    state: STATE,
    groupEpoch: Type.Integer({ minimum: 0 }),
    from: Words(['earliest', 'latest']),
    coordinator: Type.Integer({ minimum: 0, description: 'Id of the node that looks after it.' }),
    assignor,
    offsetsRetentionMs,
    members: Type.Array(ref(DescribedMember)),
  },
  { $id: 'Group' },
)
export type Group = Static<typeof Group>

export const GroupSummary = Type.Object(
  { group: Type.String(), state: STATE, memberCount: Type.Integer({ minimum: 0 }) },
  { $id: 'GroupSummary' },
)

export const GroupList = Type.Object(
  {
    groups: Type.Array(ref(GroupSummary)),
    next: Type.Optional(
      Type.String({ description: 'Value of `after` for the next page; absent on the last.' }),
    ),
  },
  { $id: 'GroupList' },
)

export const GroupListQuery = Type.Object(
  {
    limit: Type.Integer({
      minimum: 1,
      maximum: GROUPS_PER_PAGE,
      default: GROUPS_PER_PAGE_DEFAULT,
      description: 'Groups in one answer, at most.',
    }),
    after: Type.Optional(
      Type.String({ maxLength: 249, description: 'Only groups whose name sorts behind this.' }),
    ),
  },
  { additionalProperties: false },
)
