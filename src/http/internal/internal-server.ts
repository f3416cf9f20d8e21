/**
 * Receives the calls of other nodes: a plain HTTP server in front of the internal service, for nobody
 * but nodes. Owns the bounds on connections and the order in which it shuts down.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import { createServer as createTlsServer, Server as TlsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import type { Clock } from '../../env/clock.ts'
import type { Logger } from '../../env/logger.ts'
import type { HeaderMap } from '../../internal/identity.ts'
import type { CallReceiver } from '../../internal/internal-handler.ts'
import { writeAnswer } from './answer-writer.ts'
import { RequestChunks } from './request-chunks.ts'

export interface InternalServerDeps {
  readonly clock: Clock
  readonly logger: Logger
  readonly service: CallReceiver
}

export interface InternalServerOptions {
  readonly host: string
  /** 0 for any that is free. */
  readonly port: number
  /** PEM. Callers must then have a certificate that `ca` vouches for. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly ca: string }
  readonly maxConnections?: number
  /** A caller that takes nothing of an answer for so long is cut. */
  readonly stallMs?: number
  /** A call must have come whole after so long. */
  readonly requestTimeoutMs?: number
  /** What is still under way so long after `close` is broken. */
  readonly closeGraceMs?: number
}

const MAX_CONNECTIONS = 4096
const STALL_MS = 20_000
const REQUEST_TIMEOUT_MS = 60_000
const HEADERS_TIMEOUT_MS = 10_000
const CHECK_INTERVAL_MS = 5_000
/** Three times that of the calling side. */
const KEEP_ALIVE_MS = 60_000
const CLOSE_GRACE_MS = 10_000

export class InternalServer {
  readonly #deps: InternalServerDeps
  readonly #options: InternalServerOptions
  readonly #server: Server
  /** Where other nodes reach this one. */
  readonly url: string
  #closing: Promise<void> | undefined

  /** The server listens already. */
  private constructor(deps: InternalServerDeps, options: InternalServerOptions, server: Server) {
    this.#deps = deps
    this.#options = options
    this.#server = server
    this.url = urlOf(options, (server.address() as AddressInfo).port)
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      this.#receive(request, response)
    })
  }

  /** Resolves when calls are taken. */
  static async listen(
    deps: InternalServerDeps,
    options: InternalServerOptions,
  ): Promise<InternalServer> {
    const { logger } = deps
    const server = makeServer(options)
    server.maxConnections = options.maxConnections ?? MAX_CONNECTIONS
    server.on('timeout', (socket: Socket) => socket.destroy())
    server.on('drop', () => logger.warn({}, 'a node was turned away: too many connections'))
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(options.port, options.host, () => {
        server.off('error', reject)
        resolve()
      })
    })
    server.on('error', (error) => logger.error({ err: error }, 'the internal server failed'))
    return new InternalServer(deps, options, server)
  }

  /** Shows these to whoever connects from now on, and checks callers by them. */
  renew(tls: NonNullable<InternalServerOptions['tls']>): void {
    if (this.#server instanceof TlsServer) this.#server.setSecureContext({ ...tls })
  }

  /** Takes no new call, finishes those under way within the grace, and breaks the rest. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const { clock, service } = this.#deps
    service.drain()
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    this.#server.closeIdleConnections()
    const timer = clock.timer(this.#options.closeGraceMs ?? CLOSE_GRACE_MS, () => {
      this.#server.closeAllConnections()
    })
    await closed
    timer.cancel()
  }

  #receive(request: IncomingMessage, response: ServerResponse): void {
    const gone = new AbortController()
    response.once('close', () => {
      if (!response.writableFinished) gone.abort()
      if (this.#closing !== undefined) this.#server.closeIdleConnections()
    })
    response.on('error', () => gone.abort())
    // Nobody reads it.
    response.sendDate = false
    if (this.#closing !== undefined) response.shouldKeepAlive = false
    if (request.method !== 'POST') {
      response.writeHead(405, { allow: 'POST' }).end()
      return
    }
    void this.#answer(request, response, gone.signal)
  }

  async #answer(
    request: IncomingMessage,
    response: ServerResponse,
    signal: AbortSignal,
  ): Promise<void> {
    const answer = await this.#deps.service.handle({
      path: request.url ?? '',
      // Only `set-cookie` is ever an array, and nobody reads it.
      headers: request.headers as HeaderMap,
      body: new RequestChunks(request),
      signal,
    })
    await writeAnswer(response, answer, this.#options.stallMs ?? STALL_MS)
  }
}

function urlOf(options: InternalServerOptions, port: number): string {
  const { host, tls } = options
  const name = host.includes(':') ? `[${host}]` : host
  return `${tls === undefined ? 'http' : 'https'}://${name}:${port}`
}

function makeServer(options: InternalServerOptions): Server {
  const requestTimeout = options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS
  const limits = {
    requestTimeout,
    headersTimeout: Math.min(HEADERS_TIMEOUT_MS, requestTimeout),
    connectionsCheckingInterval: Math.min(CHECK_INTERVAL_MS, requestTimeout),
    keepAliveTimeout: KEEP_ALIVE_MS,
    noDelay: true,
  }
  const { tls } = options
  if (tls === undefined) return createServer(limits)
  const identity = { ...tls, requestCert: true, rejectUnauthorized: true }
  return createTlsServer({ ...limits, ...identity })
}
