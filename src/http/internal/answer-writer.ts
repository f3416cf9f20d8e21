/** Writes answers no faster than the caller reads them, and cuts a caller that takes nothing. */
import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import { stallAfter } from '../../env/socket-stall.ts'
import type { OutgoingAnswer } from '../../internal/internal-handler.ts'
import { joinParts } from '../../lib/join-parts.ts'

/** Whole answers up to this size leave in one piece with their head, which is cheaper than two. */
const MAX_JOINED_BYTES = 256 * 1024
const CHUNK_END = Buffer.from('\r\n')
const LAST_CHUNK = Buffer.from('0\r\n\r\n')

export interface AnswerOptions {
  /** The connection takes no more calls. */
  readonly isLast: boolean
  /** A caller that takes no byte for so long is cut. */
  readonly stallMs: number
}

/** Resolves when all was given to the socket, or the connection is gone. Never rejects. */
export async function writeAnswer(
  socket: Socket,
  answer: OutgoingAnswer,
  options: AnswerOptions,
): Promise<void> {
  const { body } = answer
  const { isLast, stallMs } = options
  if (!isWhole(body)) {
    const head = headOf(answer, 'transfer-encoding: chunked', isLast)
    return await writeStream(socket, body, head, stallMs)
  }
  let bytes = 0
  for (const part of body) bytes += part.length
  const head = headOf(answer, `content-length: ${bytes}`, isLast)
  const size = head.length + bytes
  const pieces =
    size <= MAX_JOINED_BYTES ? [Buffer.concat([head, ...body], size)] : [head, ...joinParts(body)]
  for (const piece of pieces) if (!socket.write(piece)) await drained(socket, stallMs)
}

/** In chunks, as nobody knows how much it is. */
async function writeStream(
  socket: Socket,
  body: AsyncIterable<Uint8Array>,
  head: Buffer,
  stallMs: number,
): Promise<void> {
  // With what is there to follow in the same turn, so that both leave in one write.
  socket.cork()
  socket.write(head)
  process.nextTick(() => socket.uncork())
  try {
    for await (const chunk of body) {
      if (socket.destroyed) return
      if (chunk.length > 0 && !writeChunk(socket, chunk)) await drained(socket, stallMs)
    }
  } catch {
    // The stream broke off: that must not look like its end.
    socket.destroy()
    return
  }
  if (!socket.write(LAST_CHUNK)) await drained(socket, stallMs)
}

function writeChunk(socket: Socket, chunk: Uint8Array): boolean {
  socket.cork()
  socket.write(`${chunk.length.toString(16)}\r\n`, 'latin1')
  socket.write(chunk)
  const goesOn = socket.write(CHUNK_END)
  socket.uncork()
  return goesOn
}

async function drained(socket: Socket, stallMs: number): Promise<void> {
  if (socket.destroyed) return
  stallAfter(socket, stallMs)
  await new Promise<void>((resolve) => {
    const done = () => {
      socket.off('drain', done)
      socket.off('close', done)
      resolve()
    }
    socket.on('drain', done)
    socket.on('close', done)
  })
  stallAfter(socket, 0)
}

function headOf({ status, headers }: OutgoingAnswer, framing: string, isLast: boolean): Buffer {
  let head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${framing}\r\n`
  for (const name in headers) {
    if (name !== 'content-length') head += `${name}: ${headers[name]}\r\n`
  }
  return Buffer.from(`${head}${isLast ? 'connection: close\r\n' : ''}\r\n`, 'latin1')
}

function isWhole(body: OutgoingAnswer['body']): body is readonly Uint8Array[] {
  return Array.isArray(body)
}
