/** Publish: one request, one record, whose payload is the body as it comes. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { RecordHeader } from '../../core/record.ts'
import { MEDIA } from '../../core/record.ts'
import type { Front } from '../../front/front.ts'
import type { ProduceRecord } from '../../front/record-check.ts'
import { refusalError } from '../../front/refusal.ts'
import { ServiceError } from '../../lib/service-error.ts'
import type { TopicImage } from '../../metadata/metadata-image.ts'
import type { Acks } from '../../wire/internal.ts'
import { Problem } from '../../wire/problem.ts'
import { Published, PublishQuery } from '../../wire/records.ts'
import { ref } from '../../wire/schema.ts'
import { formatTimestamp, parseTimestamp } from '../../wire/timestamp.ts'
import { TopicParams } from '../../wire/topics.ts'
import type { App } from '../app.ts'
import { rawBody } from '../body-reader.ts'
import { sendAsciiJson } from '../json-answer.ts'
import { registerSchemas } from '../route-rules.ts'
import { payloadOf } from './payload-media.ts'
import {
  acksOf,
  expectedTailOf,
  refuseUnsupported,
  tailTag,
  timingOf,
  traceHeader,
  withTopic,
} from './produce-request.ts'
import { recordHeadersOf, recordKeyOf } from './record-headers.ts'

export interface PublishRoutesDeps {
  readonly front: Front
}

const ANY_PAYLOAD = Type.Unsafe<unknown>({
  description: 'The payload, of any media type; kept as it is.',
})

const JSON_PAYLOAD = Type.Unsafe<unknown>({
  description: 'Checked to be JSON; kept as it is.',
  examples: [{ hello: 'world' }],
})

export function publishRoutes(app: App, { front }: PublishRoutesDeps): void {
  registerSchemas(app, Published)
  app.post(
    '/v1/topics/:topic/publish',
    {
      config: {
        body: 'raw',
        documentedBody: { 'application/json': JSON_PAYLOAD, '*/*': ANY_PAYLOAD },
      },
      schema: {
        operationId: 'publish',
        summary: 'Publish one record',
        description:
          'The body is the payload. Without a Content-Type (or with the one that curl sends by default) it is kept as JSON if it is JSON, else as text if it is UTF-8, else as bytes. `Record-Key`, `Record-Timestamp` and `Record-Header-<name>` say the rest.',
        tags: ['records'],
        params: TopicParams,
        querystring: PublishQuery,
        response: {
          201: ref(Published),
          202: Type.Unsafe<undefined>({ type: 'null', description: 'Taken; nothing is promised' }),
          default: ref(Problem),
        },
      },
    },
    (request, reply) => {
      const { query } = request
      refuseUnsupported(request.headers)
      // No topic is made for what is refused anyway.
      const record = recordOf(request, query, traceHeader(request, reply))
      withTopic(front, request.params.topic, reply, (topic) =>
        publish(front, topic, record, acksOf(query.acks), request, reply),
      )
    },
  )
}

function publish(
  front: Front,
  topic: TopicImage,
  record: ProduceRecord,
  acks: Acks,
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  const expectedTail = expectedTailOf(request.headers, topic, acks, record.partition)
  const produced = { topic, acks, records: [record], expectedTail, locate }
  if (acks === 0) {
    front.producer.produce(produced, () => request.releaseBody())
    reply.code(202).send()
    return
  }
  front.producer.produce(produced, (outcome) => {
    request.releaseBody()
    const [part] = outcome.parts
    if (part === undefined || reply.raw.destroyed) return
    const { partition, result, firstOffset } = part
    if (!result.ok) {
      reply.send(refusalError(result, topic, partition))
      return
    }
    if (expectedTail !== undefined) {
      reply.header('etag', tailTag(topic, partition, firstOffset + 1))
    }
    const timestampMs = result.appendTimeMs === -1 ? record.timestampMs : result.appendTimeMs
    reply.header('server-timing', timingOf(outcome))
    reply.header(
      'location',
      `/v1/topics/${topic.name}/partitions/${partition}/records/${firstOffset}`,
    )
    sendAsciiJson(
      reply,
      201,
      `{"topic":"${topic.name}","partition":${partition},"offset":${firstOffset},"timestamp":"${formatTimestamp(timestampMs)}"}`,
    )
  })
}

function recordOf(
  request: FastifyRequest,
  query: PublishQuery,
  trace: RecordHeader | undefined,
): ProduceRecord {
  const { headers, rawHeaders } = request.raw
  const body = rawBody(request)
  const recordHeaders = recordHeadersOf(rawHeaders)
  const isTombstone = query.tombstone === true
  if (isTombstone && body.length > 0) {
    throw new ServiceError('invalid-request', 'a tombstone has no payload: leave the body empty')
  }
  const payload = isTombstone ? undefined : payloadOf(headers['content-type'], body)
  if (payload?.header !== undefined) recordHeaders.push(payload.header)
  if (trace !== undefined && !recordHeaders.some(({ name }) => name === trace.name)) {
    recordHeaders.push(trace)
  }
  const key = query.key === undefined ? recordKeyOf(headers) : Buffer.from(query.key)
  return {
    key: key ?? null,
    value: isTombstone ? null : body,
    headers: recordHeaders,
    media: payload?.media ?? MEDIA.bytes,
    partition: query.partition ?? -1,
    timestampMs: timestampOf(headers['record-timestamp']),
  }
}

/** NaN if the request names no time. */
function timestampOf(text: string | string[] | undefined): number {
  if (text === undefined) return Number.NaN
  const timestampMs = typeof text === 'string' ? parseTimestamp(text) : Number.NaN
  if (timestampMs >= 0) return timestampMs
  const detail = 'must be an RFC 3339 date-time, 1970 or later'
  throw new ServiceError('invalid-parameter', `header Record-Timestamp ${detail}`, {
    errors: [{ pointer: 'Record-Timestamp', detail }],
  })
}

/** What of the request each part of the record is. */
const PLACES: Readonly<Record<string, string>> = {
  key: 'Record-Key',
  timestamp: 'Record-Timestamp',
  headers: 'Record-Header-*',
  partition: 'partition',
}

function locate(_index: number, field?: string): string {
  return field === undefined ? '' : (PLACES[field] ?? field)
}
