/** Delete the oldest records of a partition. */
import type { Front } from '../../front/front.ts'
import { refusalError } from '../../front/refusal.ts'
import { ServiceError } from '../../lib/service-error.ts'
import type { TopicImage } from '../../metadata/metadata-image.ts'
import { Problem } from '../../wire/problem.ts'
import { DeleteRecordsQuery, PartitionParams, RecordsDeleted } from '../../wire/records.ts'
import { ref } from '../../wire/schema.ts'
import type { App } from '../app.ts'
import { registerSchemas } from '../route-rules.ts'

export interface DeleteRecordsRoutesDeps {
  readonly front: Front
}

export function deleteRecordsRoutes(app: App, { front }: DeleteRecordsRoutesDeps): void {
  registerSchemas(app, RecordsDeleted)
  app.delete(
    '/v1/topics/:topic/partitions/:partition/records',
    {
      schema: {
        operationId: 'deleteRecords',
        summary: 'Delete old records',
        description:
          'Removes for good every record of the partition whose offset is below `before`. Repeating it changes nothing.',
        tags: ['records'],
        params: PartitionParams,
        querystring: DeleteRecordsQuery,
        response: { 200: ref(RecordsDeleted), default: ref(Problem) },
      },
    },
    async (request) => {
      const { partition } = request.params
      const topic = front.topic(request.params.topic)
      checkPartition(topic, partition)
      const { logStartOffset } = await front.storage
        .deleteRecords(topic.id, partition, request.query.before)
        .catch((error: unknown) => {
          throw withCursors(error, topic, partition)
        })
      return { topic: topic.name, partition, earliest: logStartOffset }
    },
  )
}

/** @throws ServiceError `partition-not-found` */
export function checkPartition(topic: TopicImage, partition: number): void {
  if (partition < topic.partitions.length) return
  throw new ServiceError('partition-not-found', `topic ${topic.name} has no partition ${partition}`)
}

/** Storage speaks of offsets, clients of cursors. */
export function withCursors(error: unknown, topic: TopicImage, partition: number): unknown {
  if (!(error instanceof ServiceError)) return error
  const { code, message, committed } = error
  const { members } = error.options
  if (members === undefined) return error
  return refusalError({ ok: false, code, detail: message, committed, members }, topic, partition)
}
