/** Messages between nodes as property tests make them up. */
import fc from 'fast-check'
import type { TopicId } from '../../src/core/ids.ts'
import { BATCH_HEADER_BYTES } from '../../src/core/record-batch.ts'
import type { ErrorCode } from '../../src/lib/service-error.ts'
import { ERRORS } from '../../src/lib/service-error.ts'
import type {
  Appended,
  AppendRequest,
  FetchRequest,
  FetchResult,
  Refusal,
} from '../../src/wire/internal.ts'
import type {
  ReplicaFetchPart,
  ReplicaFetchReply,
  ReplicaFetchRequest,
} from '../../src/wire/replica-fetch.ts'
import { REPLICA_REFUSALS } from '../../src/wire/replica-fetch.ts'

export const topicId: fc.Arbitrary<TopicId> = fc
  .array(fc.constantFrom(...'0123456789abcdef'), { minLength: 32, maxLength: 32 })
  .map((digits) => digits.join('') as TopicId)
const int32 = fc.oneof(fc.nat(9), fc.nat())
const epoch = fc.oneof(fc.constant(-1), int32)
const uint32 = fc.nat({ max: 2 ** 32 - 1 })
const offset = fc.oneof(fc.nat(9), fc.maxSafeNat())
const batch = fc.uint8Array({ minLength: BATCH_HEADER_BYTES, maxLength: BATCH_HEADER_BYTES + 40 })
const batches = fc.array(batch, { maxLength: 3 })
const key = { topicId, partition: int32 }

export const appendRequests: fc.Arbitrary<AppendRequest[]> = fc.array(
  fc.record(
    {
      ...key,
      leaderEpoch: int32,
      acks: fc.constantFrom<AppendRequest['acks'][]>(0, 1, -1),
      expectedOffset: offset,
      batch,
    },
    { requiredKeys: ['topicId', 'partition', 'acks', 'batch'] },
  ),
  { maxLength: 4 },
)

const refusal: fc.Arbitrary<Refusal> = fc.record(
  {
    ok: fc.constant(false as const),
    code: fc.constantFrom(...(Object.keys(ERRORS) as ErrorCode[])),
    detail: fc.string({ unit: 'grapheme', maxLength: 40 }),
    committed: fc.constantFrom('no' as const, 'yes' as const, 'unknown' as const),
    members: fc.dictionary(fc.string(), fc.oneof(fc.string(), offset), { noNullPrototype: true }),
  },
  { requiredKeys: ['ok', 'code', 'detail', 'committed'] },
)
const appended: fc.Arbitrary<Appended> = fc.record({
  ok: fc.constant(true as const),
  baseOffset: offset,
  appendTimeMs: fc.oneof(fc.constant(-1), offset),
})
export const appendResult = fc.oneof(refusal, appended)

export const fetchRequest: fc.Arbitrary<FetchRequest> = fc.record({
  positions: fc.array(fc.record({ ...key, offset, lastEpoch: epoch }), { maxLength: 5 }),
  maxBytes: uint32,
  waitMs: uint32,
  isolation: fc.constantFrom('committed' as const, 'uncommitted' as const),
  fromFollower: fc.boolean(),
})

export const fetchResults: fc.Arbitrary<FetchResult[]> = fc.array(
  fc.oneof(
    fc.record({
      ok: fc.constant(true as const),
      ...key,
      batches,
      nextOffset: offset,
      highWatermark: offset,
      logStartOffset: offset,
    }),
    fc.tuple(refusal, fc.record(key)).map(([why, place]) => ({ ...why, ...place })),
  ),
  { maxLength: 5 },
)

export const replicaFetch: fc.Arbitrary<ReplicaFetchRequest> = fc.record({
  followerId: int32,
  incarnation: offset,
  sessionId: offset,
  sessionStep: uint32,
  positions: fc.array(
    fc.record({
      ...key,
      leaderEpoch: int32,
      fetchOffset: offset,
      durableOffset: offset,
      lastFetchedEpoch: epoch,
      logStartOffset: offset,
    }),
    { maxLength: 4 },
  ),
  forget: fc.array(fc.record(key), { maxLength: 4 }),
  maxBytes: uint32,
  waitMs: uint32,
})

const replicaPart: fc.Arbitrary<ReplicaFetchPart> = fc.oneof(
  fc.record({
    kind: fc.constant('data' as const),
    ...key,
    leaderEpoch: int32,
    highWatermark: offset,
    logStartOffset: offset,
    purgedEnd: offset,
    batches,
  }),
  fc.record({
    kind: fc.constant('diverging' as const),
    ...key,
    leaderEpoch: int32,
    divergingEpoch: epoch,
    endOffset: offset,
  }),
  fc.record({
    kind: fc.constant('refused' as const),
    ...key,
    code: fc.constantFrom(...REPLICA_REFUSALS),
    logStartOffset: offset,
    logEndOffset: offset,
  }),
)
export const replicaReply: fc.Arbitrary<ReplicaFetchReply> = fc.oneof(
  { arbitrary: fc.constant('session-unknown' as const), weight: 1 },
  {
    arbitrary: fc.record({
      sessionId: offset,
      sessionStep: uint32,
      parts: fc.array(replicaPart, { maxLength: 5 }),
    }),
    weight: 9,
  },
)
