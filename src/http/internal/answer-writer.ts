/** Writes answers no faster than the caller reads them, and cuts a caller that takes nothing. */
import type { ServerResponse } from 'node:http'
import { stallAfter } from '../../env/socket-stall.ts'
import type { OutgoingAnswer } from '../../internal/internal-handler.ts'
import { joinParts } from '../../lib/join-parts.ts'

/**
 * Resolves when all was given to the socket, or the connection is gone. Never rejects.
 * @param stallMs a caller that takes no byte for so long is cut
 */
export async function writeAnswer(
  response: ServerResponse,
  { status, headers, body }: OutgoingAnswer,
  stallMs: number,
): Promise<void> {
  response.writeHead(status, headers)
  if (Array.isArray(body)) {
    const parts = joinParts(body)
    const last = parts.pop()
    for (const part of parts) if (!response.write(part)) await drained(response, stallMs)
    response.end(last)
  } else {
    flushHead(response)
    try {
      for await (const chunk of body) {
        if (response.destroyed) return
        if (!response.write(chunk)) await drained(response, stallMs)
      }
    } catch {
      // The stream broke off: that must not look like its end.
      response.destroy()
      return
    }
    response.end()
  }
  // Node sets its own time-out again when the answer has left.
  if (response.socket !== null) stallAfter(response.socket, stallMs)
}

/** With what is there to follow in the same turn, so that both leave in one write. */
function flushHead(response: ServerResponse): void {
  const { socket } = response
  socket?.cork()
  response.flushHeaders()
  process.nextTick(() => socket?.uncork())
}

async function drained(response: ServerResponse, stallMs: number): Promise<void> {
  const { socket } = response
  if (socket === null || response.destroyed) return
  stallAfter(socket, stallMs)
  await new Promise<void>((resolve) => {
    const done = () => {
      response.off('drain', done)
      response.off('close', done)
      resolve()
    }
    response.on('drain', done)
    response.on('close', done)
  })
  stallAfter(socket, 0)
}
