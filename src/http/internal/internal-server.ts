/**
 * Receives the calls of other nodes: a plain HTTP server in front of the internal service, for nobody
 * but nodes. Owns the bounds on connections and the order in which it shuts down.
 */
import type { AddressInfo, Server, Socket } from 'node:net'
import { createServer } from 'node:net'
import { createServer as createTlsServer, Server as TlsServer } from 'node:tls'
import type { Clock, Timer } from '../../env/clock.ts'
import type { Logger } from '../../env/logger.ts'
import type { CallReceiver } from '../../internal/internal-handler.ts'
import type { CallLimits } from './call-connection.ts'
import { CallConnection } from './call-connection.ts'

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
  /** How long a connection may be without a call. */
  readonly keepAliveMs?: number
  /** What is still under way so long after `close` is broken. */
  readonly closeGraceMs?: number
}

const MAX_CONNECTIONS = 4096
const STALL_MS = 20_000
const REQUEST_TIMEOUT_MS = 60_000
const HEAD_TIMEOUT_MS = 10_000
const CHECK_INTERVAL_MS = 5_000
/** Three times that of the calling side. */
const KEEP_ALIVE_MS = 60_000
const CLOSE_GRACE_MS = 10_000

export class InternalServer {
  readonly #deps: InternalServerDeps
  readonly #options: InternalServerOptions
  readonly #limits: CallLimits
  readonly #server: Server
  readonly #connections = new Set<CallConnection>()
  /** Where other nodes reach this one. */
  readonly url: string
  #check: Timer
  #closing: Promise<void> | undefined

  /** The server listens already. */
  private constructor(deps: InternalServerDeps, options: InternalServerOptions, server: Server) {
    const { requestTimeoutMs = REQUEST_TIMEOUT_MS, keepAliveMs = KEEP_ALIVE_MS } = options
    this.#deps = deps
    this.#options = options
    this.#limits = {
      stallMs: options.stallMs ?? STALL_MS,
      requestTimeoutMs,
      headTimeoutMs: Math.min(HEAD_TIMEOUT_MS, requestTimeoutMs),
      keepAliveMs,
    }
    this.#server = server
    this.url = urlOf(options, (server.address() as AddressInfo).port)
    const event = options.tls === undefined ? 'connection' : 'secureConnection'
    server.on(event, (socket: Socket) => this.#receive(socket))
    this.#check = this.#checkLater()
  }

  /** Resolves when calls are taken. */
  static async listen(
    deps: InternalServerDeps,
    options: InternalServerOptions,
  ): Promise<InternalServer> {
    const { logger } = deps
    const server = makeServer(options)
    server.maxConnections = options.maxConnections ?? MAX_CONNECTIONS
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
    this.#check.cancel()
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    for (const connection of this.#connections) connection.end()
    const timer = clock.timer(this.#options.closeGraceMs ?? CLOSE_GRACE_MS, () => {
      for (const connection of this.#connections) connection.destroy()
    })
    await closed
    timer.cancel()
  }

  #receive(socket: Socket): void {
    const connection = new CallConnection(socket, this.#deps, this.#limits)
    this.#connections.add(connection)
    socket.on('close', () => this.#connections.delete(connection))
    if (this.#closing !== undefined) connection.end()
  }

  /** Cuts callers that take too long to call. */
  #checkLater(): Timer {
    const { clock } = this.#deps
    const { requestTimeoutMs, keepAliveMs } = this.#limits
    const intervalMs = Math.min(CHECK_INTERVAL_MS, requestTimeoutMs, keepAliveMs)
    return clock.timer(intervalMs, () => {
      const nowMs = clock.monotonicMs()
      for (const connection of this.#connections) {
        if (connection.isOverdue(nowMs)) connection.destroy()
      }
      this.#check = this.#checkLater()
    })
  }
}

function urlOf(options: InternalServerOptions, port: number): string {
  const { host, tls } = options
  const name = host.includes(':') ? `[${host}]` : host
  return `${tls === undefined ? 'http' : 'https'}://${name}:${port}`
}

function makeServer({ tls }: InternalServerOptions): Server {
  if (tls === undefined) return createServer({ noDelay: true })
  const identity = { ...tls, requestCert: true, rejectUnauthorized: true }
  return createTlsServer({ ...identity, noDelay: true, handshakeTimeout: HEAD_TIMEOUT_MS })
}
