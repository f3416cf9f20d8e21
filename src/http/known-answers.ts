/**
 * Answers that many readers are given, word for word. One that stays the same for a while is kept by
 * the target of its request: whoever asks for the same, and for nothing particular, gets it before
 * the router, at little more than what it costs to write it.
 */
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Clock } from '../env/clock.ts'
import { GenerationCache } from '../lib/generation-cache.ts'
import type { Entrance } from './entrance.ts'
import type { HeldAnswer } from './shared-head.ts'
import { SharedHead } from './shared-head.ts'
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
/** Up to here Node writes head and body as one piece, if the body is a string, for less than as two. */
const SHORT_BODY_BYTES = 4096

interface KnownAnswer {
  readonly accept: string | undefined
  readonly head: SharedHead
  /** Shared: never written to. */
  readonly body: Buffer
  /** The bytes of a short body as `latin1`. */
  readonly text: string | undefined
  readonly isCurrent: () => boolean
}

/** Read off a request while there is time. */
export interface ExpectedAnswer extends HeldAnswer {
  readonly target: string
  readonly accept: string | undefined
}

export interface KnownAnswersDeps {
  readonly clock: Clock
  readonly entrance: Entrance
  readonly requestIds: RequestIds
}

export class KnownAnswers {
  readonly #deps: KnownAnswersDeps
  readonly #answers: GenerationCache<KnownAnswer>
  /** Of the request that was expected last: those who wait for the same share the text. */
  #expected = ''

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
    this.#write(response, known, requestIds.of(request))
    return true
  }

  /**
   * What it takes to answer a request that reached its route all the same, as one does that will
   * wait with many others; undefined if it asks for something particular, or its connection is not
   * to be kept or has another answer to give first.
   */
  expect(request: FastifyRequest, { raw: response }: FastifyReply): ExpectedAnswer | undefined {
    const { headers, method, raw, id: requestId } = request
    const { socket, shouldKeepAlive } = response
    if (method !== 'GET' || socket === null || !shouldKeepAlive || !isPlain(headers)) {
      return undefined
    }
    if (raw.url !== this.#expected) this.#expected = raw.url ?? ''
    return { socket, requestId, target: this.#expected, accept: headers.accept, response }
  }

  /** Answers if the known answer has this very body; the reply is to be hijacked then. */
  sendExpected(expected: ExpectedAnswer, body: Buffer): boolean {
    const known = this.#answers.get(expected.target, sizeOf)
    if (known?.body !== body || known.accept !== expected.accept) return false
    const { head, text } = known
    if (text === undefined || !head.writeThrough(expected, text, this.#deps.clock.nowMs())) {
      this.#write(expected.response, known, expected.requestId)
    }
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
      const known = { accept, head: new SharedHead(lasting(head)), body, text, isCurrent }
      this.#answers.set(raw.url ?? '', known, sizeOf(known))
    }
    reply.hijack()
    reply.raw.writeHead(200, head).end(body)
    return reply
  }

  #write(response: ServerResponse, { head, body, text }: KnownAnswer, requestId: string): void {
    head.write(response, requestId, this.#deps.clock.nowMs())
    if (text === undefined) response.end(body)
    else response.end(text, 'latin1')
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

/** Without what is true of the first of those who are given the answer. */
function lasting(head: readonly string[]): string[] {
  const at = head.indexOf('server-timing')
  return at === -1 ? [...head] : head.toSpliced(at, 2)
}

function sizeOf({ body, text }: KnownAnswer): number {
  return body.length + (text?.length ?? 0)
}
