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
/** Up to here Node writes head and body as one piece, if the body is a string, for less than as two. */
const SHORT_BODY_BYTES = 4096

interface KnownAnswer {
  readonly accept: string | undefined
  /** Names and values in turn, without the request's id. */
  readonly head: readonly string[]
  /** Shared: never written to. */
  readonly body: Buffer
  /** The bytes of a short body as `latin1`. */
  readonly text: string | undefined
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
    write(response, known, requestIds.of(request))
    return true
  }

  /**
   * Answers a request that reached its route all the same, as one does that waits with others, if the
   * body is that of the known answer.
   */
  sendAgain(request: FastifyRequest, reply: FastifyReply, body: Buffer): boolean {
    const { headers, method, raw, id } = request
    const known = this.#answers.get(raw.url ?? '', sizeOf)
    if (known?.body !== body || method !== 'GET') return false
    if (known.accept !== headers.accept || !isPlain(headers)) return false
    reply.hijack()
    write(reply.raw, known, id)
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
      const text = body.length > SHORT_BODY_BYTES ? undefined : body.toString('latin1')
      const known = { accept, head: withoutId(head), body, text, isCurrent }
      this.#answers.set(raw.url ?? '', known, sizeOf(known))
    }
    reply.hijack()
    reply.raw.writeHead(200, head).end(body)
    return reply
  }
}

function write(response: ServerResponse, known: KnownAnswer, requestId: string): void {
  response.writeHead(200, [...known.head, REQUEST_ID, requestId])
  if (known.text === undefined) response.end(known.body)
  else response.end(known.text, 'latin1')
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

function sizeOf({ body, text }: KnownAnswer): number {
  return body.length + (text?.length ?? 0)
}
