/** Follow a topic with server-sent events. */
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { Front } from '../../front/front.ts'
import { ServiceError } from '../../lib/service-error.ts'
import { Problem } from '../../wire/problem.ts'
import { RecordView, StreamQuery } from '../../wire/records.ts'
import { ref } from '../../wire/schema.ts'
import { TopicParams } from '../../wire/topics.ts'
import type { App } from '../app.ts'
import { clientGone } from '../client-gone.ts'
import { ITEM_SCHEMA } from '../openapi.ts'
import { registerSchemas } from '../route-rules.ts'
import type { SseStreams } from '../sse-streams.ts'
import { traceIdOf } from '../trace-context.ts'
import { rangeOf } from './read-request.ts'

export interface StreamRoutesDeps {
  readonly front: Front
  readonly streams: SseStreams
}

const TAKES_EVENTS = /text\/event-stream|text\/\*|\*\/\*/i
const EVENTS = Type.String({
  description:
    'Records are unnamed events whose `id` is the cursor behind them. `gap`, `error` and `end` are control events.',
  [ITEM_SCHEMA]: {
    type: 'object',
    required: ['data'],
    properties: {
      id: { type: 'string', description: 'The cursor behind the record.' },
      event: { type: 'string', enum: ['gap', 'error', 'end'], description: 'Absent for records.' },
      data: {
        type: 'string',
        contentMediaType: 'application/json',
        contentSchema: ref(RecordView),
      },
      retry: { type: 'integer', description: 'Milliseconds before a reconnect.' },
    },
  },
})

export function streamRoutes(app: App, { front, streams }: StreamRoutesDeps): void {
  registerSchemas(app, RecordView)
  app.get(
    '/v1/topics/:topic/stream',
    {
      exposeHeadRoute: false,
      schema: {
        operationId: 'followTopic',
        summary: 'Follow a topic',
        description:
          'Server-sent events from `from` (default `latest`) on. A reconnect with `Last-Event-ID`, as browsers do it, goes on exactly there. The stream ends after some 15 minutes with the event `end`; the reader connects again.',
        tags: ['streams'],
        params: TopicParams,
        querystring: StreamQuery,
        response: {
          200: {
            description: 'A stream of events',
            content: { 'text/event-stream': { schema: EVENTS } },
          },
          default: ref(Problem),
        },
      },
    },
    async (request, reply) => {
      const { headers, query } = request
      checkTakesEvents(request)
      const prepared = await front.subscriptions.prepare({
        topic: front.topic(request.params.topic),
        range: rangeOf(query, headers, 'latest'),
        isolation: query.isolation,
        rendering: query.data,
      })
      // Whoever has left, or comes too late, needs no stream.
      if (reply.raw.closed) clientGone(reply.raw).throwIfAborted()
      if (front.isDraining) throw new ServiceError('draining', 'the node is shutting down')
      const cursor = prepared.start.positions.cursor()
      const connection = streams.start(reply, traceIdOf(request), cursor)
      front.subscriptions.follow(prepared, connection)
      return reply
    },
  )
}

/** @throws ServiceError `not-acceptable` */
export function checkTakesEvents({ headers: { accept } }: FastifyRequest): void {
  if (accept === undefined || TAKES_EVENTS.test(accept)) return
  throw new ServiceError('not-acceptable', 'a stream is given as text/event-stream only')
}
