/** Which partitions nobody leads, and what their replicas hold. */
import type { OfflinePartitions } from '../../front/offline-partitions.ts'
import { OfflinePartition, OfflinePartitionList, OfflineReplica } from '../../wire/offline.ts'
import { Problem } from '../../wire/problem.ts'
import { ref } from '../../wire/schema.ts'
import type { App } from '../app.ts'
import { registerSchemas } from '../route-rules.ts'

export interface OfflineRoutesDeps {
  readonly offline: OfflinePartitions
}

export function offlineRoutes(app: App, { offline }: OfflineRoutesDeps): void {
  registerSchemas(app, OfflineReplica, OfflinePartition, OfflinePartitionList)
  app.get(
    '/v1/offline-partitions',
    {
      schema: {
        operationId: 'listOfflinePartitions',
        summary: 'List partitions that nobody leads',
        description:
          'With what each replica holds, to be known before one is elected that may lack records. Asks the storage nodes.',
        tags: ['cluster'],
        response: { 200: ref(OfflinePartitionList), default: ref(Problem) },
      },
    },
    async () => view(await offline.describe()),
  )
}

function view({
  count,
  partitions,
}: Awaited<ReturnType<OfflinePartitions['describe']>>): OfflinePartitionList {
  return {
    count,
    partitions: partitions.map(({ topic, partition, state, replicas }) => ({
      topic,
      partition,
      leader: state.leader,
      leaderEpoch: state.leaderEpoch,
      isr: [...state.isr],
      elr: [...state.elr],
      replicas: replicas.map(({ node, isUp, log }) => ({
        node,
        state: isUp ? 'up' : 'gone',
        ...(log && {
          lastEpoch: log.lastEpoch,
          logStartOffset: log.logStartOffset,
          logEndOffset: log.logEndOffset,
          ...(log.damaged && { damaged: true }),
        }),
      })),
    })),
  }
}
