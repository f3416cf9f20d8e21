/**
 * Answers that many readers are given, word for word. One that stays the same for a while is kept by
 * the target of its request: whoever asks for the same, and for nothing particular, gets it before
 * the router, at little more than what it costs to write it.
 */
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { GenerationCache } from '../lib/generation-cache.ts'
import type { Entrance } from './entrance.ts'
import type { RequestIds } from './trace-context.ts'
import { addVary } from './vary.ts'

/** The only headers that such a request may have: none of them changes the answer, but for `Accept`. */
const PLAIN_HEADERS: ReadonlySet<string> = new Set([
  'accept',
  'accept-language',
  'connection',
  'host',
  'request-id',
  'traceparent',
  'tracestate',
  'user-agent',
])
const REQUEST_ID = 'request-id'

interface KnownAnswer {
  readonly accept: string | undefined
  /** Names and values in turn, without the request's id. */
  readonly head: readonly string[]
  /** Shared: never written to. */
  readonly body: Buffer
  readonly isCurrent: () => boolean
}

export interface KnownAnswersDeps {
  readonly entrance: Entrance
  readonly requestIds: RequestIds
}

export class KnownAnswers {
  readonly #deps: KnownAnswersDeps
  readonly #answers: GenerationCache<KnownAnswer>

  constructor(deps: KnownAnswersDeps, limitBytes: number) {
    this.#deps = deps
    this.#answers = new GenerationCache(limitBytes)
  }

  /** Answers if it is known how; false leaves the request to the router, untouched. */
  answer(request: IncomingMessage, response: ServerResponse): boolean {
    if (request.method !== 'GET') return false
    const known = this.#answers.get(request.url ?? '', sizeOf)
    if (known === undefined || known.accept !== request.headers.accept) return false
    const { entrance, requestIds } = this.#deps
    if (!isPlain(request.headers) || !known.isCurrent()) return false
    if (!entrance.letsPass(request, response)) return false
    const head = [...known.head, REQUEST_ID, requestIds.of(request)]
    response.writeHead(200, head).end(known.body)
    return true
  }

  /**
   * Sends the 200 whose headers `reply` has, with a body that is shared and so never written to; past
   * fastify's hooks where these have nothing to do. With `isCurrent`, the answer depends on nothing
   * but the target of the request, its `Accept`, and what `isCurrent` watches.
   */
  send(
    request: FastifyRequest,
    reply: FastifyReply,
    body: Buffer,
    isCurrent?: () => boolean,
  ): FastifyReply {
    const { headers, method, raw } = request
    if (method !== 'GET' || headers['accept-encoding'] !== undefined) return reply.send(body)
    addVary(reply, 'Accept-Encoding')
    reply.header('content-length', String(body.length))
    const head = headOf(reply)
    if (isCurrent !== undefined && isPlain(headers)) {
      const { accept } = headers
      const known = { accept, head: withoutId(head), body, isCurrent }
      this.#answers.set(raw.url ?? '', known, sizeOf(known))
    }
    reply.hijack()
    reply.raw.writeHead(200, head).end(body)
    return reply
  }
}

function isPlain(headers: IncomingHttpHeaders): boolean {
  for (const name in headers) if (!PLAIN_HEADERS.has(name)) return false
  return true
}

function headOf(reply: FastifyReply): string[] {
  const head: string[] = []
  for (const [name, value] of Object.entries(reply.getHeaders())) head.push(name, String(value))
  return head
}

function withoutId(head: readonly string[]): string[] {
  const at = head.indexOf(REQUEST_ID)
  return head.toSpliced(at, 2)
}

function sizeOf({ body }: KnownAnswer): number {
  return body.length
}
