/** What publish and produce requests have in common: acks, conditions, and headers that are refused. */
import type { IncomingHttpHeaders } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { RecordHeader } from '../../core/record.ts'
import type { Front } from '../../front/front.ts'
import type { ExpectedTail } from '../../front/produce.ts'
import { ReadPositions } from '../../front/read-positions.ts'
import { cursorOf } from '../../front/read-start.ts'
import { ServiceError } from '../../lib/service-error.ts'
import type { TopicImage } from '../../metadata/metadata-image.ts'
import type { Acks } from '../../wire/internal.ts'
import { clientGone } from '../client-gone.ts'
import { traceparentOf } from '../trace-context.ts'

/** Each asks for a guarantee that this version does not give. */
const UNSUPPORTED_HEADERS = [
  'idempotency-key',
  'producer-id',
  'producer-epoch',
  'producer-seq',
  'transaction',
] as const
const ENTITY_TAG = /^"([^"]*)"$/
const TRACEPARENT = 'traceparent'

export function acksOf(acks: '0' | '1' | 'all'): Acks {
  return acks === 'all' ? -1 : acks === '1' ? 1 : 0
}

/** @throws ServiceError `unsupported-header` */
export function refuseUnsupported(headers: IncomingHttpHeaders): void {
  for (const name of UNSUPPORTED_HEADERS) {
    if (headers[name] === undefined) continue
    const detail = 'is not supported yet, and is not ignored'
    throw new ServiceError('unsupported-header', `header ${name} ${detail}`, {
      errors: [{ pointer: name, detail }],
    })
  }
}

/**
 * The tail that `If-Match` names; `partition` says which one of a cursor of several.
 * @throws ServiceError `bad-cursor`, `invalid-parameter`
 */
export function expectedTailOf(
  headers: IncomingHttpHeaders,
  topic: TopicImage,
  acks: Acks,
  partition: number,
): ExpectedTail | undefined {
  const text = headers['if-match']
  if (text === undefined) return undefined
  const tag = ENTITY_TAG.exec(text)?.[1]
  if (tag === undefined) throw badIfMatch('must be one cursor in double quotes')
  if (acks === 0) throw badIfMatch('needs an answer, which acks=0 does not give')
  const { positions } = cursorOf(topic, tag)
  const position =
    partition === -1 && positions.length === 1
      ? positions[0]
      : positions.find((each) => each.partition === partition)
  if (position === undefined) {
    throw badIfMatch('must be a cursor of the one partition that is produced to')
  }
  return position
}

/** The tail behind records that were written at a condition, for the next one. */
export function tailTag(topic: TopicImage, partition: number, offset: number): string {
  return `"${new ReadPositions(topic, [partition], [offset], [-1]).cursor()}"`
}

function badIfMatch(detail: string): ServiceError {
  return new ServiceError('invalid-parameter', `header If-Match ${detail}`, {
    errors: [{ pointer: 'If-Match', detail }],
  })
}

/** The caller's trace as a header of the record; it is given back with the answer. */
export function traceHeader(
  request: FastifyRequest,
  reply: FastifyReply,
): RecordHeader | undefined {
  if (request.headers[TRACEPARENT] === undefined) return undefined
  const traceparent = traceparentOf(request)
  if (traceparent === undefined) return undefined
  reply.header(TRACEPARENT, traceparent)
  return { name: TRACEPARENT, value: Buffer.from(traceparent, 'latin1') }
}

/**
 * Calls `run` with the topic that is produced to, made first if need be; what either throws is the
 * answer. Mostly the topic is there, and nothing is waited for.
 */
export function withTopic(
  front: Front,
  name: string,
  reply: FastifyReply,
  run: (topic: TopicImage) => void,
): void {
  const topic = front.knownTopic(name)
  if (topic !== undefined) {
    run(topic)
    return
  }
  front
    .createdTopic(name, clientGone(reply.raw))
    .then(run)
    .catch((error: unknown) => {
      if (!reply.raw.destroyed) reply.send(error)
    })
}

/** `Server-Timing`: where the time of a write went, in milliseconds. */
export function timingOf(stages: { readonly queueMs: number; readonly storageMs: number }): string {
  return `queue;dur=${stages.queueMs.toFixed(2)}, storage;dur=${stages.storageMs.toFixed(2)}`
}
