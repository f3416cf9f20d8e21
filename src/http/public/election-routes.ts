/** Elect the leader of a partition by hand. */
import type { PartitionState } from '../../core/partition-state.ts'
import type { Front } from '../../front/front.ts'
import type { PartitionElections } from '../../front/partition-elections.ts'
import { uncleanView } from '../../front/topic-view.ts'
import { ServiceError } from '../../lib/service-error.ts'
import type { TopicImage } from '../../metadata/metadata-image.ts'
import { Elected, ElectionBody } from '../../wire/elections.ts'
import { Problem } from '../../wire/problem.ts'
import { PartitionParams } from '../../wire/records.ts'
import { ref } from '../../wire/schema.ts'
import type { App } from '../app.ts'
import { registerSchemas } from '../route-rules.ts'
import { checkPartition } from './delete-records-routes.ts'

export interface ElectionRoutesDeps {
  readonly front: Pick<Front, 'topic'>
  readonly elections: PartitionElections
}

export function electionRoutes(app: App, { front, elections }: ElectionRoutesDeps): void {
  registerSchemas(app, ElectionBody, Elected)
  app.post(
    '/v1/topics/:topic/partitions/:partition/election',
    {
      config: { optionalBody: true },
      schema: {
        operationId: 'electLeader',
        summary: 'Elect the leader of a partition',
        description:
          'Without `node`: the preferred leader, the first of the replicas, takes over if it is in sync. With `node` and `acceptDataLoss`: that replica takes over although it may lack committed records, which are then lost; refused as long as a replica that has them all is up.',
        tags: ['topics'],
        params: PartitionParams,
        body: ref(ElectionBody),
        response: { 200: ref(Elected), default: ref(Problem) },
      },
    },
    async (request) => {
      const { partition } = request.params
      const topic = front.topic(request.params.topic)
      checkPartition(topic, partition)
      const place = { topic, partition, requestId: request.id }
      const node = uncleanNode(request.body)
      const state =
        node === undefined
          ? await elections.electPreferred(place, request.signal)
          : await elections.electUnclean(place, node, request.signal)
      return electedView(topic, partition, state)
    },
  )
}

/** @throws ServiceError `invalid-request` unless the loss is accepted where, and only where, there may be one */
function uncleanNode({ node, acceptDataLoss }: ElectionBody): number | undefined {
  if (node === undefined && acceptDataLoss === undefined) return undefined
  if (node !== undefined && acceptDataLoss === true) return node
  const [pointer, detail] =
    node === undefined
      ? ['/node', 'must name the replica whose losses are accepted']
      : ['/acceptDataLoss', 'must be true: records that the node lacks are lost for good']
  throw new ServiceError('invalid-request', `${pointer.slice(1)} ${detail}`, {
    errors: [{ pointer, detail }],
  })
}

function electedView(topic: TopicImage, partition: number, state: PartitionState): Elected {
  const { leader, leaderEpoch, isr, elr, unclean } = state
  return {
    topic: topic.name,
    partition,
    leader,
    leaderEpoch,
    isr: [...isr],
    elr: [...elr],
    ...(unclean && { unclean: uncleanView(unclean) }),
  }
}
