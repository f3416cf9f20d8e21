/** One SSE connection that only counts: bytes, and the mark that every event holds once. */
import { connect } from 'node:net'
import { EVENT_MARK } from '../lib/payload.ts'
import type { ReadBuffer } from './http-connection.ts'

export interface EventStreamOptions {
  readonly port: number
  readonly path: string
  readonly localAddress: string
  readonly buffer: ReadBuffer
  /** Called once per read from the socket. */
  readonly onEvents: (events: number, bytes: number) => void
}

const MARK = EVENT_MARK.charCodeAt(0)

/** Resolves when the server has begun its answer. */
export function openStream(options: EventStreamOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    let begun = false
    function begin(chunk: Uint8Array): void {
      const head = Buffer.from(chunk).toString('latin1').split('\r\n', 1)[0] as string
      if (!head.startsWith('HTTP/1.1 200')) throw new Error(`stream refused: ${head}`)
      begun = true
      resolve()
    }
    const socket = connect({
      port: options.port,
      host: '127.0.0.1',
      localAddress: options.localAddress,
      onread: {
        buffer: options.buffer,
        callback: (bytes, chunk) => {
          if (!begun) begin(chunk.subarray(0, bytes))
          else options.onEvents(countMarks(chunk, bytes), bytes)
          return true
        },
      },
    })
    socket.on('error', reject)
    socket.on('close', () => {
      throw new Error('a stream was closed')
    })
    socket.write(
      `GET ${options.path} HTTP/1.1\r\nHost: 127.0.0.1:${options.port}\r\nAccept: text/event-stream\r\n\r\n`,
    )
  })
}

function countMarks(chunk: Uint8Array, end: number): number {
  let count = 0
  for (let at = chunk.indexOf(MARK); at >= 0 && at < end; at = chunk.indexOf(MARK, at + 1)) count++
  return count
}
