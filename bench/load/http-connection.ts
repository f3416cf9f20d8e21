/** One keep-alive HTTP/1.1 connection, as cheap as Node allows: one exchange at a time, a known length. */
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { connect } from 'node:net'

export interface Reply {
  readonly status: number
  /** Valid until the callback returns. */
  readonly body: Buffer
}

/** All sockets of a process read into the same buffer: each chunk is used up in its callback. */
export type ReadBuffer = Buffer<ArrayBuffer>

export function readBuffer(): ReadBuffer {
  return Buffer.allocUnsafeSlow(256 * 1024)
}

/** What a listening socket queues is limited, often to 511. */
const OPENED_AT_ONCE = 200

/** Opens many connections, some at a time. */
export async function openAll<T>(count: number, open: (index: number) => Promise<T>): Promise<T[]> {
  const opened: T[] = []
  while (opened.length < count) {
    const first = opened.length
    const some = { length: Math.min(OPENED_AT_ONCE, count - first) }
    opened.push(...(await Promise.all(Array.from(some, (_, index) => open(first + index)))))
  }
  return opened
}

/** Opens connections for one round only: a server may close those that idle while others are measured. */
export async function withConnections<Result>(
  port: number,
  count: number,
  run: (connections: readonly HttpConnection[]) => Promise<Result>,
): Promise<Result> {
  const buffer = readBuffer()
  const connections = await openAll(count, () => HttpConnection.open(port, buffer))
  try {
    return await run(connections)
  } finally {
    for (const connection of connections) connection.close()
  }
}

export class HttpConnection {
  readonly #socket: Socket
  #pieces: Buffer[] = []
  #answered: ((reply: Reply) => void) | undefined

  private constructor(port: number, buffer: ReadBuffer) {
    this.#socket = connect({
      port,
      host: '127.0.0.1',
      noDelay: true,
      onread: {
        buffer,
        callback: (bytes, chunk) => {
          this.#read(Buffer.from(chunk.buffer, chunk.byteOffset, bytes))
          return true
        },
      },
    })
  }

  static async open(port: number, buffer: ReadBuffer): Promise<HttpConnection> {
    const connection = new HttpConnection(port, buffer)
    await once(connection.#socket, 'connect')
    connection.#socket.on('error', fail).on('close', hungUp)
    return connection
  }

  exchange(request: Buffer, answered: (reply: Reply) => void): void {
    if (this.#answered !== undefined) throw new Error('the connection is busy')
    this.#answered = answered
    this.#socket.write(request)
  }

  close(): void {
    this.#socket.off('close', hungUp).destroy()
  }

  #read(chunk: Buffer): void {
    const held = this.#pieces.length > 0
    const data = held ? Buffer.concat([...this.#pieces, chunk]) : chunk
    const reply = parseReply(data)
    if (reply === undefined) {
      this.#pieces = [held ? data : Buffer.from(data)]
      return
    }
    this.#pieces = []
    const answered = this.#answered
    this.#answered = undefined
    answered?.(reply)
  }
}

/** The bytes of a request; the same ones serve again and again. */
export function requestBytes(
  method: 'GET' | 'POST',
  port: number,
  path: string,
  body?: { readonly contentType: string; readonly content: string | Buffer },
): Buffer {
  const content = Buffer.from(body?.content ?? '')
  const head =
    `${method} ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n` +
    (body === undefined
      ? '\r\n'
      : `Content-Type: ${body.contentType}\r\nContent-Length: ${content.length}\r\n\r\n`)
  return Buffer.concat([Buffer.from(head), content])
}

/** Undefined while bytes are missing. Every answer we measure has a length or, as 204, no body. */
function parseReply(data: Buffer): Reply | undefined {
  const headEnd = data.indexOf('\r\n\r\n')
  if (headEnd < 0) return undefined
  const head = data.toString('latin1', 0, headEnd)
  const length = /\r\ncontent-length: *(\d+)/i.exec(head)
  const status = Number(head.slice(9, 12))
  if (length === null && status !== 204) throw new Error(`an answer without a length: ${head}`)
  const bodyStart = headEnd + 4
  const bodyEnd = bodyStart + Number(length?.[1] ?? 0)
  return data.length < bodyEnd ? undefined : { status, body: data.subarray(bodyStart, bodyEnd) }
}

/** A connection that breaks spoils the round: the helper ends and the harness reports its log. */
function fail(error: Error): never {
  throw error
}

function hungUp(): never {
  throw new Error('the server hung up')
}
