/** Queries and answers of the operations on records. */
import type { Static } from 'typebox'
import { Type } from 'typebox'
import { LIMITS } from '../core/limits.ts'
import { Problem } from './problem.ts'
import { Int64, ref, Words } from './schema.ts'
import { TopicParams } from './topics.ts'

const ACKS = ['0', '1', 'all'] as const
const acks = Words(ACKS, {
  description:
    '`all`: durable on every in-sync replica. `1`: durable on the leader. `0`: nothing is promised.',
  default: 'all',
})

const partitionNumber = Type.Integer({ minimum: 0, maximum: 0x7fff_ffff })

export const PublishQuery = Type.Object(
  {
    key: Type.Optional(
      Type.String({ description: 'Key of the record; wins over the header `Record-Key`.' }),
    ),
    partition: Type.Optional(partitionNumber),
    acks,
    tombstone: Type.Optional(
      Type.Boolean({ description: '`true`, with an empty body: the record deletes its key.' }),
    ),
  },
  { additionalProperties: false },
)
export type PublishQuery = Static<typeof PublishQuery>

export const ProduceQuery = Type.Object(
  {
    acks,
    stream: Type.Optional(
      Type.Boolean({
        description:
          'NDJSON only: no limit to the body; written in chunks, with one receipt a chunk.',
      }),
    ),
  },
  { additionalProperties: false },
)

const POSITION = {
  from: Type.Optional(
    Type.String({
      description: '`earliest`, `latest`, `offset:N`, `time:<RFC 3339>` or `last:N`.',
    }),
  ),
  cursor: Type.Optional(
    Type.String({ description: 'Goes on where an earlier answer ended; wins over `from`.' }),
  ),
  partition: Type.Optional(
    Type.Array(partitionNumber, {
      description: `Repeatable: the partitions to read; all if absent. At most ${LIMITS.partitionsPerRead}.`,
    }),
  ),
  isolation: Words(['committed', 'uncommitted'], {
    description: '`uncommitted` also gives records of transactions that are still open.',
    default: 'committed',
  }),
}

export const ReadQuery = Type.Object(
  {
    ...POSITION,
    limit: Type.Integer({
      minimum: 1,
      maximum: LIMITS.recordsPerRead,
      default: LIMITS.recordsPerReadDefault,
      description: 'Records in the answer, at most.',
    }),
    maxBytes: Type.Integer({
      minimum: 1,
      maximum: LIMITS.bytesPerRead,
      default: LIMITS.bytesPerReadDefault,
      description: 'Bytes of stored batches, at most; the first batch comes whole.',
    }),
    wait: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: LIMITS.waitSeconds,
        description: 'Seconds to wait for the first record; also `Prefer: wait=N`.',
      }),
    ),
  },
  { additionalProperties: false },
)
export type ReadQuery = Static<typeof ReadQuery>

export const StreamQuery = Type.Object(
  {
    ...POSITION,
    data: Words(['record', 'value'], {
      description: '`value`: the bare value is the data of the event, instead of the record.',
      default: 'record',
    }),
  },
  { additionalProperties: false },
)

export const PartitionParams = Type.Object({
  ...TopicParams.properties,
  partition: partitionNumber,
})

export const RecordParams = Type.Object({ ...PartitionParams.properties, offset: Int64() })

export const DeleteRecordsQuery = Type.Object(
  { before: Int64({ description: 'Offset of the first record that is kept.' }) },
  { additionalProperties: false },
)

const PLACE = {
  partition: Type.Integer({ minimum: 0 }),
  offset: Int64(),
  timestamp: Type.String({ format: 'date-time' }),
}

export const Published = Type.Object({ topic: Type.String(), ...PLACE }, { $id: 'Published' })

/** What became of one record of a request: its place, or why it was not written. */
export const Receipt = Type.Unsafe<
  { partition: number; offset: number; timestamp: string } | { error: Static<typeof Problem> }
>({
  $id: 'Receipt',
  type: 'object',
  properties: { ...PLACE, error: { $ref: 'Problem#' } },
})

export const Produced = Type.Object(
  { records: Type.Array(ref(Receipt), { description: 'In the order of the request.' }) },
  { $id: 'Produced' },
)

/** A line of the answer to an upload: what became of one chunk, or why the upload ended. */
export const UploadReceipt = Type.Object(
  {
    chunk: Type.Optional(Type.Integer({ minimum: 0, description: 'Counts chunks from 0.' })),
    firstLine: Type.Optional(Type.Integer({ minimum: 1 })),
    lastLine: Type.Optional(Type.Integer({ minimum: 1 })),
    written: Type.Optional(
      Type.Array(
        Type.Object({
          partition: Type.Integer({ minimum: 0 }),
          records: Type.Integer({ minimum: 1, description: 'How many went to the partition.' }),
          firstOffset: Type.Optional(Int64({ description: 'Of the first; the others follow it.' })),
          error: Type.Optional(ref(Problem)),
        }),
        { description: 'One item a partition; with `error` its records were not written.' },
      ),
    ),
    error: Type.Optional(ref(Problem)),
  },
  { $id: 'UploadReceipt' },
)

const headers = (description: string) =>
  Type.Optional(Type.Record(Type.String(), Type.String(), { description }))

export const RecordView = Type.Object(
  {
    topic: Type.String(),
    ...PLACE,
    key: Type.Optional(Type.String()),
    keyBase64: Type.Optional(Type.String({ description: 'A key that is not UTF-8.' })),
    value: Type.Optional(
      Type.Unknown({ description: 'JSON as it was produced, or a string if the record is text.' }),
    ),
    valueBase64: Type.Optional(Type.String({ description: 'Any other payload.' })),
    tombstone: Type.Optional(Type.Boolean({ description: '`true`: the record deletes its key.' })),
    headers: headers('Header values that are text.'),
    headersBase64: headers('Header values that are not.'),
  },
  { $id: 'Record' },
)

export const RecordPage = Type.Object(
  {
    records: Type.Array(ref(RecordView)),
    cursor: Type.String({ description: 'Where the next read goes on.' }),
  },
  { $id: 'RecordPage' },
)

export const RecordsDeleted = Type.Object(
  {
    topic: Type.String(),
    partition: Type.Integer({ minimum: 0 }),
    earliest: Int64({ description: 'Offset of the oldest record that is left.' }),
  },
  { $id: 'RecordsDeleted' },
)
