/** Read a topic, a page at a time: at once, or after a wait for the first record. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { Front } from '../../front/front.ts'
import type { ReadTiming } from '../../front/read-page.ts'
import { namesPositions } from '../../front/read-start.ts'
import { ServiceError } from '../../lib/service-error.ts'
import { Problem } from '../../wire/problem.ts'
import { ReadQuery, RecordPage, RecordView } from '../../wire/records.ts'
import { ref } from '../../wire/schema.ts'
import { TopicParams } from '../../wire/topics.ts'
import type { App } from '../app.ts'
import { clientGone } from '../client-gone.ts'
import type { KnownAnswers } from '../known-answers.ts'
import { ITEM_SCHEMA } from '../openapi.ts'
import { registerSchemas } from '../route-rules.ts'
import { addVary } from '../vary.ts'
import { matchesTag } from './entity-tag.ts'
import { offerFor, rangeOf, waitSecondsOf } from './read-request.ts'

export interface ReadRoutesDeps {
  readonly front: Front
}

type ReadRecords = FastifyRequest<{ Params: { topic: string }; Querystring: ReadQuery }>

interface AnswerDeps extends ReadRoutesDeps {
  readonly knownAnswers: KnownAnswers
}

const LINES = Type.String({
  description: 'One record a line; the cursor is in the header `Cursor`.',
  [ITEM_SCHEMA]: ref(RecordView),
})

/** The cursor in the address names the topic by its id, so the page is good as long as it is kept. */
const KEEP = 'public, max-age=3600, immutable'
/** The name of a topic may become another topic's: ask each time whether the page still holds. */
const ASK = 'no-cache'

export function readRoutes(app: App, { front }: ReadRoutesDeps): void {
  registerSchemas(app, RecordView, RecordPage)
  app.get(
    '/v1/topics/:topic/records',
    {
      config: { compress: true },
      schema: {
        operationId: 'readRecords',
        summary: 'Read records',
        description:
          'A read changes nothing. The answer has the cursor of the next one. A page that nothing can be added to has an `ETag`.',
        tags: ['records'],
        params: TopicParams,
        querystring: ReadQuery,
        response: {
          200: {
            description: 'The records, none if there are none',
            content: {
              'application/json': { schema: ref(RecordPage) },
              'application/x-ndjson': { schema: LINES },
              'application/jsonl': { schema: LINES },
            },
          },
          default: ref(Problem),
        },
      },
    },
    async (request, reply) => {
      await read({ front, knownAnswers: app.knownAnswers }, request, reply)
      return reply
    },
  )
}

async function read(
  { front, knownAnswers }: AnswerDeps,
  request: ReadRecords,
  reply: FastifyReply,
): Promise<void> {
  const { headers, query } = request
  const offer = offerFor(headers.accept)
  if (offer === undefined) {
    throw new ServiceError(
      'not-acceptable',
      'records are given as application/json or application/x-ndjson; for a stream of events see /stream',
    )
  }
  const range = rangeOf(query, headers, 'earliest')
  const waitMs = waitSecondsOf(query.wait, headers) * 1000
  const asked = {
    topic: front.topic(request.params.topic),
    range,
    limit: query.limit,
    maxBytes: query.maxBytes,
    waitMs,
    isolation: query.isolation,
    format: offer.format,
  }
  const expected = waitMs > 0 ? knownAnswers.expect(request, reply) : undefined
  let isExpected = false
  await front.reader.read(asked, clientGone(reply.raw), (page, timing) => {
    if (expected !== undefined && !front.isDraining) {
      isExpected = knownAnswers.sendExpected(expected, page.body)
      if (isExpected) return
    }
    if (waitMs > 0 && front.isDraining) reply.header('connection', 'close')
    if (timing !== undefined) reply.header('server-timing', timingOf(timing))
    reply.header('cursor', page.cursor)
    addVary(reply, 'Accept')
    const isInAddress = range.cursor !== undefined && range.cursor === query.cursor
    if (isUnchanged(request, reply, page.tag, isInAddress)) {
      reply.code(304).send()
      return
    }
    reply.header('content-type', offer.type)
    // What is no longer current when it is sent may still be what others are waiting for.
    const isKept = page.records > 0 && (page.terms !== undefined || waitMs > 0)
    const isCurrent =
      isKept && namesPositions(range) ? () => front.reader.isCurrent(page) : undefined
    knownAnswers.send(request, reply, page.body, isCurrent)
  })
  // Only now that all who waited have their answers.
  if (isExpected) reply.hijack()
}

/** `Server-Timing`: where the time of a read went, in milliseconds. */
function timingOf({ storageMs, renderMs }: ReadTiming): string {
  return `storage;dur=${storageMs.toFixed(2)}, render;dur=${renderMs.toFixed(2)}`
}

/** Says for how long the page is good; whether the client has it already. */
function isUnchanged(
  { headers }: FastifyRequest,
  reply: FastifyReply,
  tag: string | undefined,
  isInAddress: boolean,
): boolean {
  if (tag === undefined) {
    reply.header('cache-control', 'no-store')
    return false
  }
  reply.header('etag', tag).header('cache-control', isInAddress ? KEEP : ASK)
  return matchesTag(headers['if-none-match'], tag)
}
