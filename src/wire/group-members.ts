/** Requests and answers of members of groups. */
import type { Static } from 'typebox'
import { Type } from 'typebox'
import { ASSIGNORS, GROUP_BOUNDS, MEMBER_DEFAULTS } from '../core/group-settings.ts'
import { LIMITS } from '../core/limits.ts'
import { Problem } from './problem.ts'
import { ReadQuery, RecordView } from './records.ts'
import { Int64, ref, Words } from './schema.ts'

export const NAME_PATTERN = '^(?!\\.{1,2}$)(?!__)[A-Za-z0-9._-]{1,249}$'
const GROUP_DESCRIPTION =
  '1 to 249 of `A-Z a-z 0-9 . _ -`, but not `.` or `..`, and not beginning with `__`'
const MEMBER_DESCRIPTION = '1 to 64 of `A-Z a-z 0-9 . _ -`; a UUID is best'
export const MEMBER_PATTERN = '^[A-Za-z0-9._-]{1,64}$'

const memberId = Type.String({ pattern: MEMBER_PATTERN, description: MEMBER_DESCRIPTION })
const memberEpoch = Type.Integer({
  minimum: 0,
  maximum: 0x7fff_ffff,
  description: 'As the member was told it last.',
})

export const GroupParams = Type.Object({
  group: Type.String({ pattern: NAME_PATTERN, description: GROUP_DESCRIPTION }),
})

export const MemberParams = Type.Object({ ...GroupParams.properties, member: memberId })

export const TopicPartitions = Type.Object(
  {
    topic: Type.String({ maxLength: 249 }),
    partitions: Type.Array(Type.Integer({ minimum: 0, maximum: 0x7fff_ffff }), {
      maxItems: LIMITS.partitionsPerTopic,
    }),
  },
  { $id: 'TopicPartitions', additionalProperties: false },
)
export type TopicPartitions = Static<typeof TopicPartitions>

function bounded(maximum: number, value: number, what: string) {
  const description = `${what}, at most. ${value} when absent.`
  return Type.Optional(Type.Integer({ minimum: 1, maximum, description }))
}

/** A body has no `default`s: generators take what has one for what is always there. */
function timeout(name: keyof typeof MEMBER_DEFAULTS, description: string) {
  const { min, max } = GROUP_BOUNDS[name]
  const what = `${description} ${MEMBER_DEFAULTS[name]} when absent.`
  return Type.Optional(Type.Integer({ minimum: min, maximum: max, description: what }))
}

const topics = Type.Array(
  Type.String({
    pattern: NAME_PATTERN,
    description: 'the name of a topic, which need not exist yet',
  }),
  {
    minItems: 1,
    maxItems: LIMITS.topicsPerSubscription,
    uniqueItems: true,
    description: 'Topics to read. They need not exist yet.',
  },
)

const FROM = ['earliest', 'latest'] as const
const FROM_DESCRIPTION = 'Where the group begins in partitions of which it has committed nothing.'

/** Body of `POST /v1/groups/{group}/members`. */
export const JoinBody = Type.Object(
  {
    memberId: Type.String({
      pattern: MEMBER_PATTERN,
      description: `${MEMBER_DESCRIPTION}. Of the client's making, so that it can repeat the request.`,
    }),
    instanceId: Type.Optional(
      Type.String({
        pattern: MEMBER_PATTERN,
        description: `${MEMBER_DESCRIPTION}. Of a member that keeps its partitions over a restart within its session.`,
      }),
    ),
    topics: Type.Optional(topics),
    pattern: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 249,
        description: 'Instead of `topics`: all topics whose name fits, now or later.',
      }),
    ),
    from: Type.Optional(
      Words(FROM, { description: `${FROM_DESCRIPTION} \`earliest\` when absent.` }),
    ),
    sessionTimeoutMs: timeout(
      'sessionTimeoutMs',
      'A member that is silent for so long is put out of the group.',
    ),
    rebalanceTimeoutMs: timeout(
      'rebalanceTimeoutMs',
      'So is one that takes so long to give up partitions.',
    ),
    rack: Type.Optional(
      Type.String({ minLength: 1, maxLength: 249, description: 'Where the member is.' }),
    ),
    assignor: Type.Optional(
      Words(ASSIGNORS, {
        description:
          '`sticky` moves as few partitions as possible, `range` gives one member the partitions of one number of all topics.',
      }),
    ),
  },
  {
    $id: 'Join',
    additionalProperties: false,
    examples: [{ memberId: '6f1c0d3e-8a52-4c60-9d0a-0a4f0f6d3c11', topics: ['orders'] }],
  },
)
export type JoinBody = Static<typeof JoinBody>

export const LeaveQuery = Type.Object(
  {
    keep: Type.Optional(
      Type.Boolean({
        description:
          '`true`: a member with an `instanceId` comes back soon; its partitions are kept.',
      }),
    ),
  },
  { additionalProperties: false },
)

const owned = Type.Optional(
  Type.Array(ref(TopicPartitions), {
    maxItems: LIMITS.topicsPerSubscription,
    description: 'The partitions that the member still works on.',
  }),
)

/** Body of `POST …/members/{member}/heartbeat`. */
export const HeartbeatBody = Type.Object(
  { memberEpoch, owned },
  { $id: 'Heartbeat', additionalProperties: false, examples: [{ memberEpoch: 3 }] },
)

const TOLD = {
  memberId: Type.String(),
  memberEpoch: Type.Integer({
    minimum: 0,
    description: 'To be said with the next request of the member.',
  }),
  assigned: Type.Array(ref(TopicPartitions), { description: 'What the member reads.' }),
  revoking: Type.Array(ref(TopicPartitions), {
    description:
      'What it is to give up: commit what is processed, then name in `owned` what is kept.',
  }),
  heartbeatIntervalMs: Type.Integer({ minimum: 1 }),
  sessionTimeoutMs: Type.Integer({ minimum: 1 }),
  rebalanceTimeoutMs: Type.Integer({ minimum: 1 }),
}

export const Member = Type.Object(TOLD, { $id: 'Member' })
export type Member = Static<typeof Member>

const { limit, maxBytes, wait } = ReadQuery.properties

const cursor = Type.Optional(
  Type.String({
    description: 'Goes on where an earlier answer ended; absent: at what is committed.',
  }),
)

export const GroupReadQuery = Type.Object(
  { memberEpoch, cursor, limit, maxBytes, wait },
  { additionalProperties: false },
)

/** Body of `POST …/members/{member}/poll`. */
export const PollBody = Type.Object(
  {
    memberEpoch,
    owned,
    cursor,
    commit: Type.Optional(
      Type.String({
        description:
          'The cursor behind what the member has processed. `before`: what this answer has is committed before it is sent.',
      }),
    ),
    limit: bounded(LIMITS.recordsPerRead, LIMITS.recordsPerReadDefault, 'Records in the answer'),
    maxBytes: bounded(
      LIMITS.bytesPerRead,
      LIMITS.bytesPerReadDefault,
      'Bytes of stored batches, but for the first batch, which comes whole',
    ),
    wait,
  },
  {
    $id: 'Poll',
    additionalProperties: false,
    examples: [{ memberEpoch: 3, wait: 30 }],
  },
)
export type PollBody = Static<typeof PollBody>

/** What became of one partition of a commit or a reset. */
export const OffsetReceipt = Type.Object(
  {
    topic: Type.String(),
    partition: Type.Integer({ minimum: 0 }),
    offset: Type.Optional(Int64({ description: 'The next offset to read.' })),
    error: Type.Optional(ref(Problem)),
  },
  { $id: 'OffsetReceipt', description: 'With `error`: the offset was not committed.' },
)

export const GroupPage = Type.Object(
  {
    records: Type.Array(ref(RecordView)),
    cursor: Type.String({
      description: 'Where the next read goes on; to be committed once these are processed.',
    }),
    uncommitted: Type.Optional(
      Type.Array(ref(OffsetReceipt), {
        description: 'Partitions of `commit` that were not committed, and why.',
      }),
    ),
    ...TOLD,
  },
  { $id: 'GroupPage' },
)

const data = Words(['record', 'value'], {
  description: '`value`: the bare value is the data of the event, instead of the record.',
  default: 'record',
})
const COMMIT = {
  reconnect:
    '`reconnect`: what the reader has got is committed when it connects again with its `Last-Event-ID`.',
  before: '`before`: committed before it is sent.',
  none: '`none`: the reader commits.',
}

export const MemberStreamQuery = Type.Object(
  {
    memberEpoch,
    cursor,
    commit: Words(['none', 'reconnect', 'before'], {
      description: `${COMMIT.none} ${COMMIT.reconnect} ${COMMIT.before}`,
      default: 'none',
    }),
    data,
  },
  { additionalProperties: false },
)

export const GroupStreamQuery = Type.Object(
  {
    topics: Type.String({
      pattern: '^[A-Za-z0-9._-]{1,249}(,[A-Za-z0-9._-]{1,249})*$',
      maxLength: 16_384,
      description: 'names of topics with commas between them',
    }),
    member: Type.Optional(
      Type.String({
        pattern: MEMBER_PATTERN,
        description: `${MEMBER_DESCRIPTION}. Of a reader that wants to be the same member after it was started again.`,
      }),
    ),
    from: Words(FROM, { description: FROM_DESCRIPTION, default: 'earliest' }),
    commit: Words(['reconnect', 'before', 'none'], {
      description: `${COMMIT.reconnect} ${COMMIT.before} ${COMMIT.none}`,
      default: 'reconnect',
    }),
    data,
  },
  { additionalProperties: false },
)
