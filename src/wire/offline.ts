/** The answer about partitions that nobody leads. */
import type { Static } from 'typebox'
import { Type } from 'typebox'
import { Int64, ref } from './schema.ts'

const nodeId = Type.Integer({ minimum: 0 })

export const OfflineReplica = Type.Object(
  {
    node: nodeId,
    state: Type.Unsafe<'up' | 'gone'>({ type: 'string', enum: ['up', 'gone'] }),
    lastEpoch: Type.Optional(
      Type.Integer({ minimum: -1, description: 'Leader epoch of its last record; -1 for none.' }),
    ),
    logStartOffset: Type.Optional(Int64({ description: 'Lowest offset that it holds.' })),
    logEndOffset: Type.Optional(Int64({ description: 'Behind its last record.' })),
    damaged: Type.Optional(
      Type.Boolean({ description: 'True if its log is known to be damaged.' }),
    ),
  },
  {
    $id: 'OfflineReplica',
    description: 'What a replica holds; without offsets if it does not say.',
  },
)

export const OfflinePartition = Type.Object(
  {
    topic: Type.String(),
    partition: Type.Integer({ minimum: 0 }),
    leader: Type.Integer({ minimum: -1, description: 'As the metadata have it; -1 for none.' }),
    leaderEpoch: Type.Integer({ minimum: 0 }),
    isr: Type.Array(nodeId),
    elr: Type.Array(nodeId),
    replicas: Type.Array(ref(OfflineReplica), {
      description: 'The one with the latest leader epoch, and of those the longest log, first.',
    }),
  },
  { $id: 'OfflinePartition' },
)

export const OfflinePartitionList = Type.Object(
  {
    count: Type.Integer({ minimum: 0, description: 'Of all partitions that nobody leads.' }),
    partitions: Type.Array(ref(OfflinePartition), { description: 'The first 100 of them.' }),
  },
  { $id: 'OfflinePartitionList' },
)
export type OfflinePartitionList = Static<typeof OfflinePartitionList>
