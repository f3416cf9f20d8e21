/** Tells when the peer of a socket takes nothing any more. */
import type { Socket } from 'node:net'

/**
 * Emits `timeout` on the socket when for so long neither a byte came nor one of an earlier write has
 * left; 0 for never.
 */
export function stallAfter(socket: Socket, stallMs: number): void {
  socket.setTimeout(stallMs)
}

/**
 * Calls `onStall` when nothing was written for `stallMs` and no byte of an earlier write has left,
 * also of a large one that is still under way: only the socket itself knows that. Returns how to
 * stop watching.
 */
export function watchStall(socket: Socket, stallMs: number, onStall: () => void): () => void {
  socket.setTimeout(stallMs)
  socket.on('timeout', onStall)
  return () => socket.off('timeout', onStall)
}
