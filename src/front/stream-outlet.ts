/** What a subscriber writes to: a connection that takes frames as fast as its reader does. */
import type { ServiceError } from '../lib/service-error.ts'
import type { ControlEvent } from '../wire/sse.ts'
import type { StreamChunk } from '../wire/stream-chunk.ts'

/** Why a stream ended, as its last event says. */
export type StreamEndReason = 'renew' | 'draining' | 'deleted' | 'error'

export interface StreamOutlet {
  /** Aborts when the connection is gone or its end was sent. */
  readonly signal: AbortSignal
  /** False: it holds enough unsent bytes; wait for `whenDrained` before the next. */
  write(chunks: readonly StreamChunk[]): boolean
  /** Calls `run` once, when there is room again; not at all once `signal` has aborted. */
  whenDrained(run: () => void): void
  /** The control event `name`; `cursor` is where a reader that reconnects goes on. */
  event(name: ControlEvent, data: object, cursor: string): void
  /** The control event `error`; without `cursor` a reader that reconnects goes on as before. */
  error(error: ServiceError, cursor: string | undefined): void
  /** Sends the last event, and closes. */
  end(reason: StreamEndReason): void
}
