/**
 * One connection of another node: reads one call after the other (RFC 9112, as far as nodes speak it),
 * each when the one before is answered, and has the service answer it.
 */
import type { Socket } from 'node:net'
import type { Clock } from '../../env/clock.ts'
import { HEAD_BYTES_MAX, HeaderReader, readLength } from '../../env/http-head.ts'
import type { HeaderMap } from '../../internal/identity.ts'
import type { CallReceiver, IncomingCall, OutgoingAnswer } from '../../internal/internal-handler.ts'
import { writeAnswer } from './answer-writer.ts'
import { CallBody } from './call-body.ts'

export interface CallLimits {
  /** A caller that takes nothing of an answer for so long is cut. */
  readonly stallMs: number
  /** The head of a call must have come whole after so long, and all of it. */
  readonly headTimeoutMs: number
  readonly requestTimeoutMs: number
  /** How long a connection may be without a call. */
  readonly keepAliveMs: number
}

interface CallHead {
  readonly isPost: boolean
  readonly path: string
  readonly headers: HeaderMap
  readonly bytes: number
}

const NOTHING = Buffer.alloc(0)
const REQUEST_LINE = /^([A-Z]{1,16}) (\/\S*) HTTP\/1\.1$/
const ONLY_POST: OutgoingAnswer = { status: 405, headers: { allow: 'POST' }, body: [] }

export class CallConnection {
  readonly #socket: Socket
  readonly #deps: { readonly clock: Clock; readonly service: CallReceiver }
  readonly #limits: CallLimits
  /** One for all its calls: whoever called is gone when the connection is. */
  readonly #gone = new AbortController()
  readonly #headers = new HeaderReader()
  /** Of a head that has not come to its end. */
  #held: Buffer = NOTHING
  /** Of the call under way, if it does not come with its head. */
  #body: CallBody | undefined
  #isAnswering: boolean = false
  #isLast: boolean = false
  #dueMs: number

  constructor(
    socket: Socket,
    deps: { readonly clock: Clock; readonly service: CallReceiver },
    limits: CallLimits,
  ) {
    this.#socket = socket
    this.#deps = deps
    this.#limits = limits
    this.#dueMs = deps.clock.monotonicMs() + limits.headTimeoutMs
    socket.on('data', (bytes: Buffer) => this.#take(bytes))
    socket.on('timeout', () => socket.destroy())
    socket.on('error', () => socket.destroy())
    socket.on('close', () => {
      this.#body?.break()
      this.#gone.abort()
    })
  }

  /** Whether what must have come by now has not. */
  isOverdue(nowMs: number): boolean {
    return nowMs > this.#dueMs
  }

  /** Takes no more calls: ends at once, or with the answer to the one under way. */
  end(): void {
    this.#isLast = true
    if (!this.#isAnswering) this.#socket.destroy()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  #take(bytes: Buffer): void {
    let rest = bytes
    if (this.#body !== undefined) {
      rest = this.#body.push(bytes)
      this.#settle()
      // What nobody took may have the next call behind it, as its caller has the answer.
      if (rest.length === 0) return
    }
    const received = this.#held.length === 0 ? rest : Buffer.concat([this.#held, rest])
    const at = received.indexOf('\r\n\r\n', 0, 'latin1')
    // Nobody may call before the call before is answered.
    const isFaulty = this.#isAnswering || (at === -1 ? received.length : at) > HEAD_BYTES_MAX
    if (isFaulty) this.#socket.destroy()
    else if (at !== -1) this.#begin(received.toString('latin1', 0, at), received.subarray(at + 4))
    else {
      if (this.#held.length === 0) this.#due(this.#limits.headTimeoutMs)
      this.#held = received
    }
  }

  #begin(text: string, rest: Buffer): void {
    const head = readHead(text, this.#headers)
    if (head === undefined || rest.length > head.bytes) {
      this.#socket.destroy()
      return
    }
    this.#held = NOTHING
    this.#isAnswering = true
    if (head.headers['connection']?.toLowerCase() === 'close') this.#isLast = true
    this.#dueMs = Number.POSITIVE_INFINITY
    let body: IncomingCall['body'] = rest.length === 0 ? [] : [rest]
    if (rest.length < head.bytes) {
      this.#due(this.#limits.requestTimeoutMs)
      this.#body = new CallBody(this.#socket, head.bytes)
      this.#body.push(rest)
      body = this.#body
    }
    void this.#answer(head, body)
  }

  async #answer({ isPost, path, headers }: CallHead, body: IncomingCall['body']): Promise<void> {
    const { signal } = this.#gone
    const answer = isPost
      ? await this.#deps.service.handle({ path, headers, body, signal })
      : ONLY_POST
    const isLast = this.#isLast
    await writeAnswer(this.#socket, answer, { isLast, stallMs: this.#limits.stallMs })
    this.#isAnswering = false
    // What nobody has taken must not be taken for the next call.
    this.#body?.leave()
    this.#settle()
    if (this.#isLast) this.#socket.end()
  }

  /** The next call may come when this one has come whole, and is answered. */
  #settle(): void {
    if (this.#body?.isWhole === false) return
    this.#dueMs = Number.POSITIVE_INFINITY
    if (this.#isAnswering) return
    this.#body = undefined
    this.#due(this.#limits.keepAliveMs)
  }

  #due(inMs: number): void {
    this.#dueMs = this.#deps.clock.monotonicMs() + inMs
  }
}

function readHead(text: string, reader: HeaderReader): CallHead | undefined {
  const [first = '', ...lines] = text.split('\r\n')
  const request = REQUEST_LINE.exec(first)
  if (request === null) return undefined
  const headers = reader.read(lines)
  if (headers === undefined || headers['transfer-encoding'] !== undefined) return undefined
  const bytes = readLength(headers['content-length'] ?? '0')
  if (bytes === undefined) return undefined
  return { isPost: request[1] === 'POST', path: request[2] as string, headers, bytes }
}
