/**
 * The real transport: HTTP/1.1 over sockets of its own, a pool for each peer and lane. Calls are never
 * pipelined and never repeated: an append is not idempotent. A general client does more than nodes
 * need of each other, and a call between them costs twice as much with it.
 */
import { buildConnector } from 'undici'
import { HttpPeer, notSent } from './http-peer.ts'
import type { LiveTls } from './live-tls.ts'
import { liveConnector } from './live-tls.ts'
import type { InternalAnswer, InternalCall, Lane, Transport } from './transport.ts'

export interface TlsCredentials {
  /** PEM. */
  readonly cert: string
  readonly key: string
  /** Whom to trust. */
  readonly ca: string
}

export interface HttpTransportOptions {
  /** Connections to one peer. */
  readonly connections?: Partial<Readonly<Record<Lane, number>>>
  /** Calls that wait for a connection of one peer and lane; more are refused. */
  readonly maxWaiting?: number
  readonly connectTimeoutMs?: number
  readonly tls?: Pick<LiveTls<TlsCredentials>, 'current'>
}

const CONNECTIONS: Readonly<Record<Lane, number>> = { append: 64, fetch: 256, control: 8 }
const MAX_WAITING = 4096
const CONNECT_TIMEOUT_MS = 5_000
/** Below the receiving side's, which would otherwise close a connection just as it is used. */
export const CLIENT_KEEP_ALIVE_MS = 20_000
/** Peers come and go with their addresses: the pools of those that were left are given up. */
const MAX_POOLS = 512

export class HttpTransport implements Transport {
  readonly #options: HttpTransportOptions
  readonly #connect: buildConnector.connector
  readonly #peers = new Map<string, HttpPeer>()
  #closed: boolean = false

  constructor(options: HttpTransportOptions = {}) {
    this.#options = options
    const { tls, connectTimeoutMs: timeout = CONNECT_TIMEOUT_MS } = options
    this.#connect =
      tls === undefined
        ? buildConnector({ timeout, allowH2: false })
        : liveConnector(tls, { timeout })
  }

  call(url: string, call: InternalCall, lane: Lane, signal: AbortSignal): Promise<InternalAnswer> {
    try {
      return this.#peer(url, lane).call(call, signal)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    const peers = [...this.#peers.values()]
    this.#peers.clear()
    for (const peer of peers) peer.close()
  }

  #peer(url: string, lane: Lane): HttpPeer {
    if (this.#closed) throw notSent('the transport is closed')
    const key = `${lane} ${url}`
    const known = this.#peers.get(key)
    if (known !== undefined) return known
    this.#forgetIdle()
    const { connections, maxWaiting = MAX_WAITING } = this.#options
    const peer = new HttpPeer({
      url: originOf(url),
      connect: this.#connect,
      connections: connections?.[lane] ?? CONNECTIONS[lane],
      maxWaiting,
      keepAliveMs: CLIENT_KEEP_ALIVE_MS,
    })
    this.#peers.set(key, peer)
    return peer
  }

  #forgetIdle(): void {
    if (this.#peers.size < MAX_POOLS) return
    for (const [key, peer] of this.#peers) {
      if (!peer.isIdle) continue
      this.#peers.delete(key)
      peer.close()
      return
    }
    throw notSent('too many peers are called at once')
  }
}

function originOf(url: string): URL {
  const origin = URL.parse(url)
  if (origin?.protocol === 'http:' || origin?.protocol === 'https:') return origin
  throw notSent(`${url} is not an address that can be called`)
}
