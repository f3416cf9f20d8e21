/**
 * The real transport: HTTP/1.1 on undici's pools, one for each peer and lane. Calls are never
 * pipelined and never repeated: an append is not idempotent.
 */
import { Readable } from 'node:stream'
import type { Dispatcher } from 'undici'
import { Pool } from 'undici'
import { Gate } from '../lib/gate.ts'
import { joinParts } from '../lib/join-parts.ts'
import type { LiveTls } from './live-tls.ts'
import { liveConnector } from './live-tls.ts'
import type { InternalAnswer, InternalCall, Lane, Transport } from './transport.ts'
import { TransportError } from './transport.ts'
import { UndiciExchange } from './undici-exchange.ts'

export interface TlsCredentials {
  /** PEM. */
  readonly cert: string
  readonly key: string
  /** Whom to trust. */
  readonly ca: string
}

export interface UndiciTransportOptions {
  /** Connections to one peer. */
  readonly connections?: Partial<Readonly<Record<Lane, number>>>
  /** Calls that wait for a connection of one peer and lane; more are refused. */
  readonly maxWaiting?: number
  readonly connectTimeoutMs?: number
  readonly tls?: Pick<LiveTls<TlsCredentials>, 'current'>
}

interface Peer {
  readonly pool: Pool
  /** As wide as the pool has connections, so that calls wait here, where they can be given up. */
  readonly gate: Gate
  underWay: number
}

const CONNECTIONS: Readonly<Record<Lane, number>> = { append: 64, fetch: 256, control: 8 }
const MAX_WAITING = 4096
const CONNECT_TIMEOUT_MS = 5_000
/** Below the receiving side's, which would otherwise close a connection just as it is used. */
export const CLIENT_KEEP_ALIVE_MS = 20_000
/** Peers come and go with their addresses: the pools of those that were left are given up. */
const MAX_POOLS = 512
/** Bodies up to this size are copied into one buffer, which is cheaper than a stream. */
const MAX_JOINED_BYTES = 256 * 1024

export class UndiciTransport implements Transport {
  readonly #options: UndiciTransportOptions
  readonly #peers = new Map<string, Peer>()
  #closed: boolean = false

  constructor(options: UndiciTransportOptions = {}) {
    this.#options = options
  }

  async call(
    url: string,
    call: InternalCall,
    lane: Lane,
    signal: AbortSignal,
  ): Promise<InternalAnswer> {
    const peer = this.#peer(url, lane)
    await this.#enter(peer, signal)
    if (signal.aborted) {
      peer.gate.leave()
      throw notSent('the call was given up before it was sent', signal.reason)
    }
    peer.underWay++
    const exchange = new UndiciExchange(signal, () => {
      peer.underWay--
      peer.gate.leave()
    })
    try {
      peer.pool.dispatch(optionsOf(call), exchange)
    } catch (error) {
      exchange.fail(error)
    }
    return exchange.answer
  }

  async close(): Promise<void> {
    this.#closed = true
    const peers = [...this.#peers.values()]
    this.#peers.clear()
    await Promise.all(peers.map(({ pool }) => pool.destroy()))
  }

  async #enter({ gate }: Peer, signal: AbortSignal): Promise<void> {
    if (gate.waiting >= (this.#options.maxWaiting ?? MAX_WAITING)) {
      throw notSent('too many calls wait for a connection')
    }
    try {
      await gate.enter(signal)
    } catch (error) {
      throw notSent('the call was given up before it was sent', error)
    }
  }

  #peer(url: string, lane: Lane): Peer {
    if (this.#closed) throw notSent('the transport is closed')
    const key = `${lane} ${url}`
    const known = this.#peers.get(key)
    if (known !== undefined) return known
    this.#forgetIdle()
    const width = this.#options.connections?.[lane] ?? CONNECTIONS[lane]
    const peer = { pool: this.#open(url, width), gate: new Gate(width), underWay: 0 }
    this.#peers.set(key, peer)
    return peer
  }

  #open(url: string, connections: number): Pool {
    const { tls, connectTimeoutMs = CONNECT_TIMEOUT_MS } = this.#options
    try {
      return new Pool(url, {
        connections,
        pipelining: 1,
        allowH2: false,
        // How long an answer may take is for the signal of the call to say.
        headersTimeout: 0,
        bodyTimeout: 0,
        keepAliveTimeout: CLIENT_KEEP_ALIVE_MS,
        keepAliveMaxTimeout: CLIENT_KEEP_ALIVE_MS,
        connect:
          tls === undefined
            ? { timeout: connectTimeoutMs }
            : liveConnector(tls, { timeout: connectTimeoutMs }),
      })
    } catch (error) {
      throw notSent(`${url} is not an address that can be called`, error)
    }
  }

  #forgetIdle(): void {
    if (this.#peers.size < MAX_POOLS) return
    for (const [key, { pool, gate, underWay }] of this.#peers) {
      if (underWay > 0 || gate.waiting > 0) continue
      this.#peers.delete(key)
      void pool.destroy()
      return
    }
    throw notSent('too many peers are called at once')
  }
}

function optionsOf({ path, headers, body }: InternalCall): Dispatcher.DispatchOptions {
  let sizeBytes = 0
  for (const part of body) sizeBytes += part.length
  const parts = sizeBytes <= MAX_JOINED_BYTES ? [Buffer.concat(body, sizeBytes)] : joinParts(body)
  return {
    method: 'POST',
    path,
    headers: { ...headers, 'content-length': String(sizeBytes) },
    body:
      parts.length === 1 ? (parts[0] as Uint8Array) : Readable.from(parts, { objectMode: false }),
    idempotent: false,
    blocking: false,
  }
}

function notSent(message: string, cause?: unknown): TransportError {
  return new TransportError(message, false, cause)
}
