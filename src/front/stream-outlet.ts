/** What a subscriber writes to: a connection that takes frames as fast as its reader does. */
import type { ServiceError } from '../lib/service-error.ts'
import type { ControlEvent } from '../wire/sse.ts'
import type { StreamChunk } from '../wire/stream-chunk.ts'

/** Why a stream ended, as its last event says. */
export type StreamEndReason = 'renew' | 'draining' | 'deleted' | 'rebalance' | 'fenced' | 'error'

export interface StreamOutlet {
  /** Whether the connection is gone or its end was sent; what is written then goes nowhere. */
  readonly isOver: boolean
  /** Calls `run` once, when it is over; one may wait for that. */
  whenOver(run: () => void): void
  /** False: it holds enough unsent bytes; wait for `whenDrained` before the next. */
  write(chunks: readonly StreamChunk[]): boolean
  /** Whether it holds so many unsent bytes that `write` would return false. */
  readonly isFull: boolean
  /** Calls `run` once, when there is room again. Not at all once it is over. */
  whenDrained(run: () => void): void
  /** The control event `name`; `cursor` is where a reader that reconnects goes on. */
  event(name: ControlEvent, data: object, cursor: string): void
  /** The control event `error`; without `cursor` a reader that reconnects goes on as before. */
  error(error: ServiceError, cursor: string | undefined): void
  /** Sends the last event, and closes. */
  end(reason: StreamEndReason): void
}
