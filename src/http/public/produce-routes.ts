/** Produce many records in one request: a whole body, or an upload without end. */
import { Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { Front } from '../../front/front.ts'
import { ServiceError } from '../../lib/service-error.ts'
import type { TopicImage } from '../../metadata/metadata-image.ts'
import type { Acks } from '../../wire/internal.ts'
import { Problem } from '../../wire/problem.ts'
import { ProduceBody, ProduceRecord } from '../../wire/produce-schema.ts'
import { Produced, ProduceQuery, Receipt, UploadReceipt } from '../../wire/records.ts'
import { ref } from '../../wire/schema.ts'
import { TopicParams } from '../../wire/topics.ts'
import type { App } from '../app.ts'
import type { BodyMode } from '../body-reader.ts'
import { rawBody, streamedBody } from '../body-reader.ts'
import { sendAsciiJson } from '../json-answer.ts'
import { ITEM_SCHEMA } from '../openapi.ts'
import { registerSchemas } from '../route-rules.ts'
import { traceIdOf } from '../trace-context.ts'
import { produceAnswer } from './produce-answer.ts'
import type { ProduceRecords } from './produce-body.ts'
import { produceFormOf, recordsOf } from './produce-body.ts'
import {
  acksOf,
  expectedTailOf,
  refuseUnsupported,
  tailTag,
  timingOf,
  traceHeader,
  withTopic,
} from './produce-request.ts'
import { Upload } from './upload.ts'

export interface ProduceRoutesDeps {
  readonly front: Front
}

const NDJSON = 'application/x-ndjson'
const LINES = Type.String({ description: 'One record a line.', [ITEM_SCHEMA]: ref(ProduceRecord) })
const RECEIPTS = Type.String({
  description: 'With `stream=true`: one receipt a chunk, a line each.',
  [ITEM_SCHEMA]: ref(UploadReceipt),
})

export function produceRoutes(app: App, { front }: ProduceRoutesDeps): void {
  registerSchemas(app, ProduceRecord, ProduceBody, Receipt, Produced, UploadReceipt)
  app.post(
    '/v1/topics/:topic/records',
    {
      config: {
        body: bodyModeOf,
        documentedBody: { 'application/json': ref(ProduceBody), [NDJSON]: LINES },
      },
      schema: {
        operationId: 'produce',
        summary: 'Produce records',
        description:
          'All records are checked first; if one is not valid nothing is written. 207: the records of some partitions were not written. With `stream=true` the lines are written in chunks as they come.',
        tags: ['records'],
        params: TopicParams,
        querystring: ProduceQuery,
        response: {
          200: {
            description: 'Every record was written',
            content: {
              'application/json': { schema: ref(Produced) },
              [NDJSON]: { schema: RECEIPTS },
            },
          },
          207: ref(Produced),
          202: Type.Unsafe<undefined>({ type: 'null', description: 'Taken; nothing is promised' }),
          default: ref(Problem),
        },
      },
    },
    (request, reply) => {
      const { topic: name } = request.params
      const acks = acksOf(request.query.acks)
      refuseUnsupported(request.headers)
      // No topic is made for what is refused anyway.
      if (bodyModeOf(request) === 'stream') {
        refuseAsUpload(request)
        withTopic(front, name, reply, (topic) => upload(front, topic, acks, request, reply))
        return
      }
      const form = produceFormOf(request.headers['content-type'])
      const records = recordsOf(form, rawBody(request), traceHeader(request, reply))
      withTopic(front, name, reply, (topic) => produce(front, topic, acks, records, request, reply))
    },
  )
}

/** The body is read before the query is checked; a wrong value is refused then. */
function bodyModeOf({ query }: FastifyRequest): BodyMode {
  const { stream } = query as { stream?: unknown }
  return stream === true || stream === 'true' || stream === '1' ? 'stream' : 'raw'
}

function produce(
  front: Front,
  topic: TopicImage,
  acks: Acks,
  { records, locate }: ProduceRecords,
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  const expectedTail = expectedTailOf(request.headers, topic, acks, records[0]?.partition ?? -1)
  const produced = { topic, acks, records, expectedTail, locate }
  if (acks === 0) {
    front.producer.produce(produced, () => request.releaseBody())
    reply.code(202).send()
    return
  }
  front.producer.produce(produced, (outcome) => {
    request.releaseBody()
    if (reply.raw.destroyed) return
    try {
      const { receipts, failed } = produceAnswer(topic, outcome, traceIdOf(request))
      const [part] = outcome.parts
      if (expectedTail !== undefined && part !== undefined) {
        reply.header(
          'etag',
          tailTag(topic, part.partition, part.firstOffset + outcome.timesMs.length),
        )
      }
      reply.header('server-timing', timingOf(outcome))
      const answer = `{"records":${receipts}}`
      if (failed === 0) sendAsciiJson(reply, 200, answer)
      else reply.code(207).header('content-type', 'application/json').send(answer)
    } catch (error) {
      reply.send(error)
    }
  })
}

/** @throws ServiceError for what an upload cannot be */
function refuseAsUpload({ headers }: FastifyRequest): void {
  if (produceFormOf(headers['content-type']) !== 'ndjson') {
    throw new ServiceError(
      'unsupported-media-type',
      'with stream=true records are taken as application/x-ndjson or application/jsonl',
    )
  }
  if (headers['if-match'] !== undefined) {
    throw new ServiceError('unsupported-header', 'If-Match needs one whole request, not an upload')
  }
}

function upload(
  front: Front,
  topic: TopicImage,
  acks: Acks,
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  const uploading = new Upload(front, {
    topic,
    acks,
    trace: traceHeader(request, reply),
    traceId: traceIdOf(request),
    maxLineBytes: request.routeOptions.bodyLimit,
    begins: () => reply.raw.flushHeaders(),
  })
  reply
    .header('content-type', NDJSON)
    .header('cache-control', 'no-store')
    .send(Readable.from(uploading.receipts(streamedBody(request)), { highWaterMark: 1 }))
}
