/**
 * The head of a 200 that many are given, each with its own `Request-Id`. Node assembles and checks
 * it once a second, as it has the time in it; meanwhile the others get the same text.
 */
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

const REQUEST_ID = 'request-id'

/**
 * Node's text of the head, empty line included; once it is set there is no more to assemble, and once
 * it was sent it is not sent again.
 */
type Headed = ServerResponse & { _header: string | null; _headerSent: boolean }

/** An answer whose turn it is, on a connection that is to be kept. */
export interface HeldAnswer {
  readonly socket: Socket
  readonly requestId: string
  readonly response: ServerResponse
}

export class SharedHead {
  /** Names and values in turn; the last is the id of the request. */
  readonly #fields: string[]
  #before = ''
  #after = ''
  /** When it was assembled, -1 if it never was. */
  #second = -1

  /** Names and values in turn; a request id among them is not shared. */
  constructor(fields: readonly string[]) {
    const at = fields.indexOf(REQUEST_ID)
    this.#fields = [...(at === -1 ? fields : fields.toSpliced(at, 2)), REQUEST_ID, '']
  }

  /** Takes the place of `writeHead`; `requestId` must be one that may be sent. */
  write(response: ServerResponse, requestId: string, nowMs: number): void {
    const headed = response as Headed
    const known = this.#textFor(response, requestId, nowMs)
    if (known !== undefined) {
      headed._header = known
      return
    }
    this.#fields[this.#fields.length - 1] = requestId
    response.writeHead(200, this.#fields)
    if (response.shouldKeepAlive) this.#learn(headed._header ?? '', requestId, secondOf(nowMs))
  }

  /**
   * Writes the whole answer straight to the connection, of which Node hears once that is done, at the
   * earliest when what runs now is over: of many answers the last is written sooner. Nothing else of
   * the response is looked at before, as its memory is out of the cache by then. False if Node has to
   * write it, for then the head is not known. `body` has the bytes as `latin1`.
   */
  writeThrough(held: HeldAnswer, body: string, nowMs: number): boolean {
    const { socket, requestId } = held
    if (secondOf(nowMs) !== this.#second || !socket.writable) return false
    const head = this.#before + requestId + this.#after
    socket.write(head + body, 'latin1', (error) => {
      // Of a lost connection Node tells the response itself.
      if (error != null) return
      const headed = held.response as Headed
      headed._header = head
      headed._headerSent = true
      headed.end()
    })
    return true
  }

  #textFor(response: ServerResponse, requestId: string, nowMs: number): string | undefined {
    // Node says in the head that it is going to close the connection.
    if (secondOf(nowMs) !== this.#second || !response.shouldKeepAlive) return undefined
    return this.#before + requestId + this.#after
  }

  #learn(head: string, requestId: string, second: number): void {
    const field = `\r\n${REQUEST_ID}: `
    const from = head.indexOf(`${field}${requestId}\r\n`)
    if (from === -1) return
    const at = from + field.length
    this.#before = head.slice(0, at)
    this.#after = head.slice(at + requestId.length)
    this.#second = second
  }
}

function secondOf(nowMs: number): number {
  return Math.floor(nowMs / 1000)
}
