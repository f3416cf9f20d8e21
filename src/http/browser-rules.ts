/**
 * What browsers may do: pages of which origins may read and write (CORS and protection against
 * forged requests), and which names the server answers to on loopback (DNS rebinding).
 */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type { FastifyReply } from 'fastify'
import { ServiceError } from '../lib/service-error.ts'

export interface BrowserRulesOptions {
  /** Origins such as `https://app.example`; `*` is every one. */
  readonly corsOrigins: readonly string[]
  /** Further names for `Host`, with or without a port. */
  readonly allowedHosts: readonly string[]
  /** Whether the server is bound to loopback only, where a foreign `Host` is an attack. */
  readonly loopback: boolean
}

const LOOPBACK_NAMES: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '[::1]'])
const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])

/** Request headers that a page may set; `Record-Header-<name>` is added as it is asked for. */
const ALLOWED_HEADERS = [
  'Accept',
  'Accept-Encoding',
  'Authorization',
  'Cache-Control',
  'Content-Encoding',
  'Content-Type',
  'Idempotency-Key',
  'If-Match',
  'If-None-Match',
  'Last-Event-ID',
  'Prefer',
  'Producer-Epoch',
  'Producer-Id',
  'Producer-Seq',
  'Record-Key',
  'Record-Key-Base64',
  'Record-Timestamp',
  'Request-Id',
  'Traceparent',
  'Tracestate',
  'Transaction',
]
const RECORD_HEADER = /^record-header-[a-z0-9!#$%&'*+.^_`|~-]{1,256}$/i
const RECORD_HEADERS_MAX = 100

/** Answer headers that a page may see; `*`, for requests without credentials, is `Record-Header-<name>`. */
const EXPOSED_HEADERS = [
  'Accept-Encoding',
  'Allow',
  'Content-Encoding',
  'Content-Length',
  'Cursor',
  'ETag',
  'Idempotent-Replayed',
  'Link',
  'Location',
  'Producer-Partition',
  'Record-Headers-Omitted',
  'Record-Key',
  'Record-Key-Base64',
  'Record-Offset',
  'Record-Partition',
  'Record-Timestamp',
  'Record-Tombstone',
  'Record-Topic',
  'Request-Id',
  'Retry-After',
  'Server-Timing',
  'Traceparent',
  '*',
].join(', ')

const PREFLIGHT_SECONDS = '7200'
const HOSTS_REMEMBERED = 64

export function isLoopbackAddress(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host)
}

export class BrowserRules {
  readonly #anyOrigin: boolean
  readonly #origins: ReadonlySet<string>
  readonly #hosts: ReadonlySet<string> | undefined
  /** `Host` headers that were found good, as they came. */
  readonly #goodHosts = new Set<string>()

  constructor({ corsOrigins, allowedHosts, loopback }: BrowserRulesOptions) {
    this.#anyOrigin = corsOrigins.includes('*')
    this.#origins = new Set(corsOrigins.map((origin) => origin.toLowerCase()))
    this.#hosts = loopback
      ? new Set([...LOOPBACK_NAMES, ...allowedHosts.map((host) => host.toLowerCase())])
      : undefined
  }

  /** Sets what the answer must say about origins; an error means that the request is refused. */
  check(
    { headers, method = 'GET' }: IncomingMessage,
    reply: FastifyReply,
  ): ServiceError | undefined {
    if (!this.isHostAllowed(headers.host)) {
      return new ServiceError(
        'host-not-allowed',
        'the Host header names neither localhost nor an allowed host',
      )
    }
    const { origin } = headers
    if (this.#origins.size > 0 && !this.#anyOrigin) reply.header('vary', 'Origin')
    if (origin === undefined) {
      return headers['sec-fetch-site'] === 'cross-site' && !SAFE_METHODS.has(method)
        ? this.#refuse('another site')
        : undefined
    }
    if (this.#originAllowed(origin)) {
      reply.header('access-control-allow-origin', this.#anyOrigin ? '*' : origin)
      reply.header('access-control-expose-headers', EXPOSED_HEADERS)
      return undefined
    }
    if (SAFE_METHODS.has(method) || isSameOrigin(origin, headers.host)) return undefined
    return this.#refuse(originForPeople(origin))
  }

  /** The headers of a positive answer to a preflight request, or undefined when it is none. */
  preflight({ headers, method }: IncomingMessage): Record<string, string> | undefined {
    if (method !== 'OPTIONS' || headers['access-control-request-method'] === undefined)
      return undefined
    const { origin } = headers
    if (origin === undefined || !this.#originAllowed(origin)) return undefined
    return {
      'access-control-allow-methods': 'GET, HEAD, POST, PUT, PATCH, DELETE',
      'access-control-allow-headers': allowedHeaders(headers),
      'access-control-max-age': PREFLIGHT_SECONDS,
      vary: 'Origin, Access-Control-Request-Headers',
    }
  }

  /** Whether the server answers to what the header `Host` says. */
  isHostAllowed(host: string | undefined): boolean {
    // Only HTTP/1.0 may leave it out, which no browser speaks.
    if (this.#hosts === undefined || host === undefined || this.#goodHosts.has(host)) return true
    const lower = host.toLowerCase()
    const good = this.#hosts.has(lower) || this.#hosts.has(nameOf(lower))
    if (good && this.#goodHosts.size < HOSTS_REMEMBERED) this.#goodHosts.add(host)
    return good
  }

  #refuse(who: string): ServiceError | undefined {
    if (this.#anyOrigin) return undefined
    return new ServiceError('origin-not-allowed', `pages of ${who} may not write here`)
  }

  #originAllowed(origin: string): boolean {
    return this.#anyOrigin || this.#origins.has(origin)
  }
}

/** Host without port; an IPv6 address keeps its brackets. */
function nameOf(host: string): string {
  return host.replace(/:\d*$/, '')
}

/** The scheme is left out: a proxy in front may have taken TLS away. */
function isSameOrigin(origin: string, host: string | undefined): boolean {
  const schemeEnd = origin.indexOf('://')
  return schemeEnd > 0 && host !== undefined && origin.slice(schemeEnd + 3) === host.toLowerCase()
}

function originForPeople(origin: string): string {
  return origin.length <= 256 ? `origin ${origin}` : 'this origin'
}

function allowedHeaders(headers: IncomingHttpHeaders): string {
  const asked = (headers['access-control-request-headers'] ?? '')
    .split(',', RECORD_HEADERS_MAX)
    .map((name) => name.trim())
    .filter((name) => RECORD_HEADER.test(name))
  return [...ALLOWED_HEADERS, ...asked].join(', ')
}
