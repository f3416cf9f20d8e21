/**
 * What happens to every request before its route sees it, in one synchronous hook: it is counted
 * and named, and refused if the server drains, is full, or a browser may not do this.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { ServiceError } from '../lib/service-error.ts'
import type { BrowserRules } from './browser-rules.ts'
import type { ConnectionLimit } from './connection-limit.ts'
import type { RequestEnd } from './request-end.ts'

/** Paths that answer to the last: probes and measurements tell how the drain goes. */
const OPERATIONS: ReadonlySet<string> = new Set(['/healthz', '/readyz', '/metrics'])

export interface EntranceDeps {
  readonly requestEnd: RequestEnd
  readonly connections: ConnectionLimit
  readonly browserRules: BrowserRules
  /** Whether the node takes no new work. */
  readonly draining: () => boolean
}

export class Entrance {
  readonly #deps: EntranceDeps

  constructor(deps: EntranceDeps) {
    this.#deps = deps
  }

  /** Fastify's `onRequest` hook. */
  readonly onRequest = (
    request: FastifyRequest,
    reply: FastifyReply,
    done: (error?: Error) => void,
  ): void => {
    const { requestEnd, browserRules } = this.#deps
    const { raw } = request
    requestEnd.begin(reply.raw)
    request.response = reply.raw
    reply.header('request-id', request.id)
    reply.header('x-content-type-options', 'nosniff')
    const refusal = browserRules.check(raw, reply) ?? malformed(raw) ?? this.#noRoom(request, reply)
    if (refusal !== undefined) {
      done(refusal)
      return
    }
    if (raw.method === 'OPTIONS') {
      const preflight = browserRules.preflight(raw)
      if (preflight !== undefined) {
        reply.headers(preflight).code(204).send()
        return
      }
    }
    done()
  }

  /**
   * Whether a request that says nothing of origins may have its answer without the hook; if so, it
   * is counted.
   */
  letsPass(request: IncomingMessage, response: ServerResponse): boolean {
    const { requestEnd, connections, browserRules, draining } = this.#deps
    if (draining() || connections.refuses(request.socket)) return false
    if (!browserRules.isHostAllowed(request.headers.host)) return false
    if (malformed(request) !== undefined) return false
    requestEnd.begin(response)
    return true
  }

  #noRoom(request: FastifyRequest, reply: FastifyReply): ServiceError | undefined {
    const { connections, draining } = this.#deps
    if (connections.refuses(request.raw.socket)) {
      reply.raw.shouldKeepAlive = false
      return new ServiceError('overloaded', 'the server has as many connections as it may')
    }
    if (!draining()) return undefined
    reply.raw.shouldKeepAlive = false
    return OPERATIONS.has(request.url.split('?', 1)[0] ?? '')
      ? undefined
      : new ServiceError('draining', 'the node is shutting down')
  }
}

/** What Node and the router let pass, though it is not what HTTP allows. */
function malformed({ headers, httpVersion, url = '' }: IncomingMessage): ServiceError | undefined {
  if (headers.host === undefined && httpVersion === '1.1') {
    return new ServiceError('malformed-request', 'a request in HTTP/1.1 must name its Host')
  }
  if (!url.includes('%')) return undefined
  try {
    decodeURIComponent(url)
    return undefined
  } catch {
    // The router would take the escape itself for the text.
    return new ServiceError('malformed-request', 'the query is not percent-encoded UTF-8')
  }
}
