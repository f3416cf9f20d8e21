/** One connection to a peer: carries one call after the other, and none again. */
import type { Socket } from 'node:net'
import { joinParts } from '../lib/join-parts.ts'
import { AnswerParser } from './answer-parser.ts'
import type { HttpExchange } from './http-exchange.ts'
import type { InternalCall } from './transport.ts'

export interface HttpConnectionDeps {
  readonly socket: Socket
  /** Of the peer, as its calls name it. */
  readonly host: string
  /** The answer has come whole: the connection may carry the next call. */
  readonly onFree: (connection: HttpConnection) => void
  /** It will carry no call any more. */
  readonly onLost: (connection: HttpConnection) => void
}

/** Bodies up to this size leave in one piece with their head, which is cheaper than two. */
const MAX_JOINED_BYTES = 256 * 1024
/** What must not stand in a header: it could end it. */
const NOT_IN_HEADER = /[^\t\x20-\x7e]/

export class HttpConnection {
  readonly #deps: HttpConnectionDeps
  #exchange: HttpExchange | undefined
  #isLost: boolean = false

  /** The socket is connected. Idle for `keepAliveMs`, it is closed. */
  constructor(deps: HttpConnectionDeps, keepAliveMs: number) {
    this.#deps = deps
    const { socket } = deps
    const parser = new AnswerParser({
      onHead: (status, headers) => this.#current().head(status, headers),
      onData: (bytes) => this.#current().data(bytes),
      onEnd: (isLast) => this.#answered(isLast),
    })
    socket.setTimeout(keepAliveMs)
    socket.on('timeout', () => {
      if (this.#exchange === undefined) socket.destroy()
    })
    socket.on('data', (bytes: Buffer) => {
      try {
        parser.push(bytes)
        this.#exchange?.deliver()
      } catch (error) {
        this.#lose(error)
      }
    })
    socket.on('end', () => this.#lose(new Error('the peer has closed the connection')))
    socket.on('error', (error) => this.#lose(error))
    socket.on('close', () => this.#lose(new Error('the connection was closed')))
  }

  /** The connection must be free. */
  send(call: InternalCall, exchange: HttpExchange): void {
    const { socket, host } = this.#deps
    const pieces = piecesOf(call, host)
    this.#exchange = exchange
    exchange.begin(socket)
    if (pieces.length === 1) socket.write(pieces[0] as Uint8Array)
    else {
      socket.cork()
      for (const piece of pieces) socket.write(piece)
      socket.uncork()
    }
  }

  destroy(): void {
    this.#lose(new Error('the transport is closed'))
  }

  #current(): HttpExchange {
    if (this.#exchange === undefined) throw new Error('an answer came that nobody asked for')
    return this.#exchange
  }

  #answered(isLast: boolean): void {
    const exchange = this.#current()
    this.#exchange = undefined
    if (isLast) this.#lose(new Error('the peer closes the connection'))
    // Before the caller knows, whose next call may use it.
    else this.#deps.onFree(this)
    exchange.complete()
  }

  #lose(error: unknown): void {
    if (this.#isLost) return
    this.#isLost = true
    const exchange = this.#exchange
    this.#exchange = undefined
    this.#deps.socket.destroy()
    this.#deps.onLost(this)
    exchange?.fail(error)
  }
}

/** The head, with the body if that is small. */
function piecesOf({ path, headers, body }: InternalCall, host: string): Uint8Array[] {
  let bodyBytes = 0
  for (const part of body) bodyBytes += part.length
  let head = `POST ${path} HTTP/1.1\r\nhost: ${host}\r\n`
  for (const name in headers) {
    const value = headers[name] as string
    if (NOT_IN_HEADER.test(value)) throw new Error(`the header ${name} cannot be sent`)
    head += `${name}: ${value}\r\n`
  }
  const start = Buffer.from(`${head}content-length: ${bodyBytes}\r\n\r\n`, 'latin1')
  if (bodyBytes > MAX_JOINED_BYTES) return [start, ...joinParts(body)]
  return [Buffer.concat([start, ...body], start.length + bodyBytes)]
}
