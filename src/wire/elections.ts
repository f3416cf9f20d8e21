/** An operator's election of a partition's leader, and its answer. */
import type { Static } from 'typebox'
import { Type } from 'typebox'
import { ref } from './schema.ts'
import { UncleanElection } from './topics.ts'

/** Body of `POST /v1/topics/{topic}/partitions/{partition}/election`. */
export const ElectionBody = Type.Object(
  {
    node: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 999_999_999,
        description:
          'The replica that leads from now on although it may lack committed records. Absent: the preferred leader, without a loss.',
      }),
    ),
    acceptDataLoss: Type.Optional(
      Type.Boolean({ description: 'Must be true when `node` is given, and is else not allowed.' }),
    ),
  },
  { $id: 'Election', additionalProperties: false, examples: [{ node: 2, acceptDataLoss: true }] },
)
export type ElectionBody = Static<typeof ElectionBody>

export const Elected = Type.Object(
  {
    topic: Type.String(),
    partition: Type.Integer({ minimum: 0 }),
    leader: Type.Integer({ minimum: -1 }),
    leaderEpoch: Type.Integer({ minimum: 0 }),
    isr: Type.Array(Type.Integer({ minimum: 0 })),
    elr: Type.Array(Type.Integer({ minimum: 0 })),
    unclean: Type.Optional(ref(UncleanElection)),
  },
  { $id: 'Elected' },
)
export type Elected = Static<typeof Elected>
