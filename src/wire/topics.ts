/** Requests and answers about topics. */
import type { Static } from 'typebox'
import { Type } from 'typebox'
import type { PROFILES, TopicConfig } from '../core/topic.ts'
import { TOPIC_BOUNDS } from '../core/topic.ts'
import { Int64, ref, Words } from './schema.ts'

export const TOPICS_PER_PAGE = 1_000
export const TOPICS_PER_PAGE_DEFAULT = 100

const PROFILE_NAMES = ['latency', 'throughput'] as const satisfies (keyof typeof PROFILES)[]

type Bounded = keyof typeof TOPIC_BOUNDS

/** An integer within the bounds of the setting; -1 as well where that stands for no limit. */
function setting(name: Exclude<Bounded, 'minCleanableDirtyRatio'>, description: string) {
  const { min, max, ...rest } = TOPIC_BOUNDS[name]
  const format = max > 2 ** 31 ? { format: 'int64' } : {}
  if (!('unlimited' in rest))
    return Type.Integer({ minimum: min, maximum: max, ...format, description })
  // Zero would mean that nothing is kept at all: surely a mistake.
  return Type.Integer({ minimum: -1, maximum: max, not: { const: 0 }, ...format, description })
}

const { min: RATIO_MIN, max: RATIO_MAX } = TOPIC_BOUNDS.minCleanableDirtyRatio

const CONFIG = {
  replicationFactor: setting('replicationFactor', 'Copies of each partition. Fixed at creation.'),
  minInsyncReplicas: setting(
    'minInsyncReplicas',
    'Replicas that must be in sync for `acks=all` to be accepted.',
  ),
  cleanup: Words(['delete', 'compact', 'both'], {
    description:
      'What becomes of old records: `delete` removes them by `retentionMs` and `retentionBytes`, `compact` keeps the last record of each key, `both` does the two.',
  }),
  retentionMs: setting(
    'retentionMs',
    'Age in milliseconds at which records are removed; -1 keeps them.',
  ),
  retentionBytes: setting(
    'retentionBytes',
    'Bytes of one partition above which its oldest segments are removed; -1 is no limit.',
  ),
  segmentBytes: setting('segmentBytes', 'Size at which a segment file is closed.'),
  segmentMs: setting('segmentMs', 'Age in milliseconds at which a segment file is closed.'),
  minCleanableDirtyRatio: Type.Number({
    minimum: RATIO_MIN,
    maximum: RATIO_MAX,
    description: "Share of a partition's closed segments that must be new for it to be compacted.",
  }),
  minCompactionLagMs: setting(
    'minCompactionLagMs',
    'For so many milliseconds no record gives way to a later one of its key.',
  ),
  maxCompactionLagMs: setting(
    'maxCompactionLagMs',
    'After so many milliseconds records are compacted, however few there are; -1 is no limit.',
  ),
  deleteRetentionMs: setting(
    'deleteRetentionMs',
    'How long a tombstone can still be read after the first compaction that sees it.',
  ),
  maxRecordBytes: setting('maxRecordBytes', 'Bytes of one record, key and headers included.'),
  timestamps: Words(['create', 'append'], {
    description: 'Who stamps records: `create` the client or the front, `append` the leader.',
  }),
  flush: Words(['commit', 'os'], {
    description:
      'When a record is durable: `commit` when synced to disk, `os` when handed to the operating system. Fixed at creation.',
  }),
  lingerMs: setting('lingerMs', 'How long a front waits for more records before it sends a batch.'),
  batchBytes: setting('batchBytes', 'A batch that has grown to this is sent without waiting.'),
} satisfies Record<keyof TopicConfig, unknown>

const PROFILE = Words(PROFILE_NAMES, {
  description:
    'Shorthand for `lingerMs` and `batchBytes`, which win over it where they are given. Neither profile weakens durability.',
})

/** Body of `PUT /v1/topics/{topic}`. */
export const TopicSpecBody = Type.Object(
  {
    partitions: Type.Optional(setting('partitions', 'Number of partitions; 6 when absent.')),
    profile: Type.Optional(PROFILE),
    ...Type.Partial(Type.Object(CONFIG)).properties,
  },
  {
    $id: 'TopicSpec',
    additionalProperties: false,
    examples: [{ partitions: 6, retentionMs: 86_400_000, profile: 'latency' }],
  },
)

/** Body of `PATCH /v1/topics/{topic}`. */
export const TopicChangeBody = Type.Object(TopicSpecBody.properties, {
  $id: 'TopicChange',
  additionalProperties: false,
  minProperties: 1,
  examples: [{ retentionMs: 86_400_000 }],
})

export const UncleanElection = Type.Object(
  {
    at: Type.String({ format: 'date-time' }),
    leaderEpoch: Type.Integer({ minimum: 0, description: 'The epoch that it began.' }),
  },
  {
    $id: 'UncleanElection',
    description: 'The last election of a replica that may have lacked committed records.',
  },
)
export type UncleanElection = Static<typeof UncleanElection>

export const TopicPartition = Type.Object(
  {
    partition: Type.Integer({ minimum: 0 }),
    leader: Type.Integer({ minimum: -1, description: 'Id of the leading node; -1 for none.' }),
    leaderEpoch: Type.Integer({ minimum: 0 }),
    replicas: Type.Array(Type.Integer({ minimum: 0 })),
    isr: Type.Array(Type.Integer({ minimum: 0 }), { description: 'Replicas in sync.' }),
    elr: Type.Array(Type.Integer({ minimum: 0 }), {
      description: 'Replicas out of sync that hold all committed records, and so may lead.',
    }),
    unclean: Type.Optional(ref(UncleanElection)),
    earliest: Type.Optional(
      Int64({ description: 'Offset of the first record. Absent while nobody can tell.' }),
    ),
    tail: Type.Optional(
      Int64({ description: 'Offset that the next record for readers will have (high watermark).' }),
    ),
    sizeBytes: Type.Optional(Int64({ description: 'Bytes on the disk of the leader.' })),
  },
  { $id: 'TopicPartition' },
)
export type TopicPartition = Static<typeof TopicPartition>

const TOPIC = {
  name: Type.String(),
  topicId: Type.String({ description: 'Of this topic only; one made again has another.' }),
  partitionCount: Type.Integer({ minimum: 1 }),
  ...CONFIG,
  createdAt: Type.String({ format: 'date-time' }),
}

export const TopicSummary = Type.Object(TOPIC, { $id: 'TopicSummary' })
export type TopicSummary = Static<typeof TopicSummary>

export const Topic = Type.Object(
  { ...TOPIC, partitions: Type.Array(ref(TopicPartition)) },
  { $id: 'Topic' },
)
export type Topic = Static<typeof Topic>

export const TopicList = Type.Object(
  {
    topics: Type.Array(ref(TopicSummary)),
    next: Type.Optional(
      Type.String({ description: 'Value of `after` for the next page; absent on the last.' }),
    ),
  },
  { $id: 'TopicList' },
)
export type TopicList = Static<typeof TopicList>

export const TopicListQuery = Type.Object(
  {
    limit: Type.Integer({
      minimum: 1,
      maximum: TOPICS_PER_PAGE,
      default: TOPICS_PER_PAGE_DEFAULT,
      description: 'Topics in one answer, at most.',
    }),
    after: Type.Optional(
      Type.String({ maxLength: 249, description: 'Only topics whose name sorts behind this.' }),
    ),
  },
  { additionalProperties: false },
)

export const TopicParams = Type.Object({
  topic: Type.String({
    pattern: '^(?!\\.{1,2}$)[A-Za-z0-9._-]{1,249}$',
    description:
      '1 to 249 of `A-Z a-z 0-9 . _ -`, but not `.` or `..`; a leading `__` is reserved.',
  }),
})
