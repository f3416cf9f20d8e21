/**
 * The head of a 200 that many are given, each with its own `Request-Id`. Node assembles and checks
 * it once a second, as it has the time in it; meanwhile the others get the same text.
 */
import type { ServerResponse } from 'node:http'

const REQUEST_ID = 'request-id'

/** Node's text of the head, empty line included; once it is set there is no more to assemble. */
type Headed = ServerResponse & { _header: string | null }

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
    const second = Math.floor(nowMs / 1000)
    // Node says in the head that it is going to close the connection.
    if (second === this.#second && response.shouldKeepAlive) {
      headed._header = this.#before + requestId + this.#after
      return
    }
    this.#fields[this.#fields.length - 1] = requestId
    response.writeHead(200, this.#fields)
    if (response.shouldKeepAlive) this.#learn(headed._header ?? '', requestId, second)
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
