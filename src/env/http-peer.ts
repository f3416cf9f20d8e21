/** The connections to one peer for calls of one kind: as many as calls need, up to a bound. */
import type { Socket } from 'node:net'
import type { buildConnector } from 'undici'
import { Gate } from '../lib/gate.ts'
import { HttpConnection } from './http-connection.ts'
import { HttpExchange } from './http-exchange.ts'
import type { InternalAnswer, InternalCall } from './transport.ts'
import { TransportError } from './transport.ts'

export interface HttpPeerOptions {
  readonly url: URL
  readonly connect: buildConnector.connector
  /** Connections at once. */
  readonly connections: number
  /** Calls that wait for one; more are refused. */
  readonly maxWaiting: number
  readonly keepAliveMs: number
}

export class HttpPeer {
  readonly #options: HttpPeerOptions
  /** As wide as there may be connections, so that calls wait here, where they can be given up. */
  readonly #gate: Gate
  readonly #open = new Set<HttpConnection>()
  /** The one used last is used next, so that those which nobody needs are closed. */
  readonly #free: HttpConnection[] = []
  #underWay = 0
  #isClosed: boolean = false

  constructor(options: HttpPeerOptions) {
    this.#options = options
    this.#gate = new Gate(options.connections)
  }

  get isIdle(): boolean {
    return this.#underWay === 0 && this.#gate.waiting === 0
  }

  /** Rejects with TransportError. */
  call(call: InternalCall, signal: AbortSignal): Promise<InternalAnswer> {
    if (this.#gate.waiting >= this.#options.maxWaiting) {
      return Promise.reject(notSent('too many calls wait for a connection'))
    }
    // Mostly there is a connection: nothing is awaited that is there.
    if (signal.aborted || !this.#gate.tryEnter()) return this.#callLater(call, signal)
    return this.#call(call, signal)
  }

  async #callLater(call: InternalCall, signal: AbortSignal): Promise<InternalAnswer> {
    try {
      await this.#gate.enter(signal)
    } catch (error) {
      throw notSent('the call was given up before it was sent', error)
    }
    return await this.#call(call, signal)
  }

  /** Behind the gate. */
  #call(call: InternalCall, signal: AbortSignal): Promise<InternalAnswer> {
    if (signal.aborted || this.#isClosed) {
      this.#gate.leave()
      const error = notSent('the call was given up before it was sent', signal.reason)
      return Promise.reject(error)
    }
    this.#underWay++
    const free = this.#free.pop()
    const exchange = new HttpExchange(signal, () => {
      if (!isConnecting) this.#leave()
    })
    let isConnecting = free === undefined
    if (free !== undefined) this.#send(free, call, exchange)
    else {
      this.#connect((connection, error) => {
        isConnecting = false
        if (exchange.hasEnded) this.#leave()
        else if (connection === undefined) exchange.fail(error)
        else this.#send(connection, call, exchange)
      })
    }
    return exchange.answer
  }

  close(): void {
    this.#isClosed = true
    for (const connection of this.#open) connection.destroy()
  }

  #leave(): void {
    this.#underWay--
    this.#gate.leave()
  }

  #send(connection: HttpConnection, call: InternalCall, exchange: HttpExchange): void {
    take(this.#free, connection)
    try {
      connection.send(call, exchange)
    } catch (error) {
      exchange.fail(error)
      connection.destroy()
    }
  }

  /** `done` gets a connection that is free, or why there is none. */
  #connect(done: (connection: HttpConnection | undefined, error?: unknown) => void): void {
    const { url, connect, keepAliveMs } = this.#options
    const { host, hostname, protocol, port } = url
    const target = { host, hostname: hostname.replace(/^\[(.*)\]$/, '$1'), protocol, port }
    connect(target, (error, socket) => {
      if (error !== null) done(undefined, error)
      else if (this.#isClosed) {
        socket.destroy()
        done(undefined, new Error('the transport is closed'))
      } else done(this.#add(socket, host, keepAliveMs))
    })
  }

  #add(socket: Socket, host: string, keepAliveMs: number): HttpConnection {
    const deps = {
      socket,
      host,
      onFree: (connection: HttpConnection) => this.#free.push(connection),
      onLost: (connection: HttpConnection) => {
        this.#open.delete(connection)
        take(this.#free, connection)
      },
    }
    const connection = new HttpConnection(deps, keepAliveMs)
    this.#open.add(connection)
    this.#free.push(connection)
    return connection
  }
}

/** Out of the list, if it is in there. */
function take(list: HttpConnection[], connection: HttpConnection): void {
  const at = list.lastIndexOf(connection)
  if (at !== -1) list.splice(at, 1)
}

export function notSent(message: string, cause?: unknown): TransportError {
  return new TransportError(message, false, cause)
}
