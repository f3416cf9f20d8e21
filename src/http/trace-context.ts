/** Names of a request: the id that is echoed, and the trace that it belongs to (W3C Trace Context). */
import type { IncomingMessage } from 'node:http'
import type { FastifyRequest } from 'fastify'
import type { Random } from '../env/random.ts'

/** RFC 9110 token, bounded: what may be echoed in a header without a thought. */
const REQUEST_ID = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$/
const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?$/
const TRACE_ID = /^[0-9a-f]{32}$/
const NO_TRACE = '0'.repeat(32)
const NO_SPAN = '0'.repeat(16)

/** Makes request ids: 16 random digits of the process, then a count. Such an id is a trace id, too. */
export class RequestIds {
  readonly #prefix: string
  #count: number

  constructor(random: Random) {
    this.#prefix = hex(random.uint32()) + hex(random.uint32() || 1)
    this.#count = 0
  }

  /** The client's id if it is one, else a new one. */
  of(request: IncomingMessage): string {
    const given = request.headers['request-id']
    if (typeof given === 'string' && REQUEST_ID.test(given)) return given
    this.#count += 1
    return this.#prefix + this.#count.toString(16).padStart(16, '0')
  }
}

/** The header `traceparent` if it is valid (version ff and all-zero ids are not). */
export function traceparentOf(request: FastifyRequest): string | undefined {
  const text = request.headers['traceparent']
  if (typeof text !== 'string' || text.length > 512) return undefined
  const match = TRACEPARENT.exec(text)
  if (match === null || match[1] === NO_TRACE || match[2] === NO_SPAN) return undefined
  const version = text.slice(0, 2)
  if (version === 'ff' || (version === '00' && text.length !== 55)) return undefined
  return text
}

/** What error answers and log lines of a request name: the caller's trace, else the request's id. */
export function traceIdOf(request: FastifyRequest): string {
  const traceparent = traceparentOf(request)
  if (traceparent !== undefined) return traceparent.slice(3, 35)
  return TRACE_ID.test(request.id) ? request.id : request.id.slice(0, 128)
}

function hex(word: number): string {
  return word.toString(16).padStart(8, '0')
}
