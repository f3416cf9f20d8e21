/** Tells when the client of an answer takes nothing any more. */
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/**
 * Emits `timeout` on the socket when for so long neither a byte came nor one of an earlier write has
 * left; 0 for never.
 */
export function stallAfter(socket: Socket, stallMs: number): void {
  socket.setTimeout(stallMs)
}

/**
 * Watches an answer until it has no unsent bytes for `stallMs`, and then calls `onIdle`; or calls
 * `onStall`, when it has some, nothing was written for so long and no byte has left, also of a large
 * write that is still under way: only the socket itself knows that.
 */
export function watchStall(
  response: ServerResponse,
  stallMs: number,
  onStall: () => void,
  onIdle: () => void,
): void {
  const onTimeout = () => {
    if (response.writableLength > 0) {
      onStall()
      return
    }
    response.off('timeout', onTimeout)
    response.setTimeout(0)
    onIdle()
  }
  response.on('timeout', onTimeout)
  response.setTimeout(stallMs)
}
