/** Follow the partitions of a member with server-sent events; also without having joined before. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { Front } from '../../front/front.ts'
import type { Groups } from '../../front/groups/groups.ts'
import type { PreparedMemberStream } from '../../front/groups/member-streams.ts'
import { ERRORS, ServiceError } from '../../lib/service-error.ts'
import {
  GroupParams,
  GroupStreamQuery,
  MemberParams,
  MemberStreamQuery,
} from '../../wire/group-members.ts'
import { Problem } from '../../wire/problem.ts'
import { RecordView } from '../../wire/records.ts'
import { ref } from '../../wire/schema.ts'
import type { App } from '../app.ts'
import { clientGone } from '../client-gone.ts'
import { ITEM_SCHEMA } from '../openapi.ts'
import { registerSchemas } from '../route-rules.ts'
import type { SseStreams } from '../sse-streams.ts'
import { traceIdOf } from '../trace-context.ts'
import { cursorOf, groupIdOf, memberIdOf, subscriptionOf } from './group-request.ts'
import { lastEventIdOf } from './read-request.ts'
import { checkTakesEvents } from './stream-routes.ts'

export interface GroupStreamRoutesDeps {
  readonly front: Pick<Front, 'isDraining'>
  readonly groups: Groups
  readonly streams: SseStreams
}

/** Short: a reader that is gone, and nobody noticed, holds its partitions for no longer than a session. */
const LIFE_MS = 60_000
const TAGS = ['streams']
const EVENTS = Type.String({
  description:
    'Records are unnamed events whose `id` is the cursor of the member behind them. `assignment`, `gap`, `error` and `end` are control events.',
  [ITEM_SCHEMA]: {
    type: 'object',
    required: ['data'],
    properties: {
      id: { type: 'string', description: 'The cursor of the member behind the record.' },
      event: {
        type: 'string',
        enum: ['assignment', 'gap', 'error', 'end'],
        description: 'Absent for records.',
      },
      data: {
        type: 'string',
        contentMediaType: 'application/json',
        contentSchema: ref(RecordView),
      },
      retry: { type: 'integer', description: 'Milliseconds before a reconnect.' },
    },
  },
})
const response = {
  200: { description: 'A stream of events', content: { 'text/event-stream': { schema: EVENTS } } },
  default: ref(Problem),
}

export function groupStreamRoutes(app: App, deps: GroupStreamRoutesDeps): void {
  registerSchemas(app, RecordView)
  memberStreamRoute(app, deps)
  groupStreamRoute(app, deps)
}

function memberStreamRoute(app: App, deps: GroupStreamRoutesDeps): void {
  app.get(
    '/v1/groups/:group/members/:member/stream',
    {
      exposeHeadRoute: false,
      schema: {
        operationId: 'followAsMember',
        summary: 'Follow as a member',
        description:
          'The records of the partitions that the member owns. Connecting renews the session, an open connection does not. A reconnect with `Last-Event-ID` goes on exactly there, as the same member. The stream ends after about a minute with the event `end`.',
        tags: TAGS,
        params: MemberParams,
        querystring: MemberStreamQuery,
        response,
      },
    },
    async (request, reply) => {
      const { params, query } = request
      const place = lastEventIdOf(request.headers) ?? query.cursor
      const asked = {
        groupId: groupIdOf(params.group),
        memberId: memberIdOf(params.member),
        memberEpoch: query.memberEpoch,
        cursor: place === undefined ? undefined : cursorOf(place),
        commit: query.commit,
        rendering: query.data,
      }
      return await follow(deps, request, reply, (signal) =>
        deps.groups.streams.prepare(asked, signal),
      )
    },
  )
}

function groupStreamRoute(app: App, deps: GroupStreamRoutesDeps): void {
  app.get(
    '/v1/groups/:group/stream',
    {
      exposeHeadRoute: false,
      schema: {
        operationId: 'followAsGroup',
        summary: 'Join a group and follow',
        description:
          'Makes a member and follows as it: all that a page with an `EventSource` needs. A reconnect goes on as the same member.',
        tags: TAGS,
        params: GroupParams,
        querystring: GroupStreamQuery,
        response,
      },
    },
    async (request, reply) => {
      const { params, query } = request
      const place = lastEventIdOf(request.headers)
      const cursor = place === undefined ? undefined : cursorOf(place)
      const memberId = cursor?.member?.memberId ?? query.member
      const asked = {
        groupId: groupIdOf(params.group),
        memberId: memberId === undefined ? undefined : memberIdOf(memberId),
        subscription: subscriptionOf({ topics: [...new Set(query.topics.split(','))] }),
        from: query.from,
        cursor,
        commit: query.commit,
        rendering: query.data,
      }
      return await follow(deps, request, reply, (signal) =>
        deps.groups.streams.prepareJoined(asked, signal),
      )
    },
  )
}

async function follow(
  { front, groups, streams }: GroupStreamRoutesDeps,
  request: FastifyRequest,
  reply: FastifyReply,
  prepare: (signal: AbortSignal) => Promise<PreparedMemberStream>,
): Promise<FastifyReply> {
  checkTakesEvents(request)
  const signal = clientGone(reply.raw)
  const prepared = await prepare(signal).catch((error: unknown) => passingOr(error))
  // Whoever has left, or comes too late, needs no stream.
  signal.throwIfAborted()
  if (front.isDraining) throw new ServiceError('draining', 'the node is shutting down')
  const traceId = traceIdOf(request)
  if (prepared instanceof ServiceError) {
    const connection = streams.start(reply, traceId, lastEventIdOf(request.headers), LIFE_MS)
    connection.error(prepared, undefined)
    connection.end('error')
    return reply
  }
  const connection = streams.start(reply, traceId, prepared.start.cursor(), LIFE_MS)
  groups.streams.follow(prepared, connection)
  return reply
}

/** A browser tries again after a stream that has ended, and never after an answer with another status. */
function passingOr(error: unknown): ServiceError {
  const isPassing = error instanceof ServiceError && ERRORS[error.code].retryable
  if (isPassing && error.code !== 'draining') return error
  throw error
}
