/** What serves a path of the internal protocol, and what it is given. */
import type { HeaderMap, Sender } from './identity.ts'

export interface InternalRequest {
  /** Authenticated. */
  readonly sender: Sender
  /** Whole. The handler owns it: nobody else keeps or changes it. */
  readonly body: Uint8Array
  /** On this node's monotonic clock: work that has not begun by then must not begin. */
  readonly deadlineMs: number
  /** Aborts when the caller is gone. */
  readonly signal: AbortSignal
}

/** `parts` make up the answer, one after the other; a `stream` is pulled as fast as the caller reads. */
export type InternalReply =
  | { readonly parts: readonly Uint8Array[] }
  | { readonly stream: AsyncIterable<Uint8Array> }

/** @throws ServiceError, InternalRefusal: answered as such. Anything else is an `internal-error`. */
export type InternalHandler = (request: InternalRequest) => InternalReply | Promise<InternalReply>

export interface RegisterOptions {
  /** Whether callers may not know yet which cluster and process they speak to. */
  readonly bootstrap?: boolean
}

/** A call as it arrives, from whatever transport. */
export interface IncomingCall {
  readonly path: string
  readonly headers: HeaderMap
  /** An array of chunks will do. */
  readonly body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>
  /** Aborts when the caller is gone. */
  readonly signal: AbortSignal
}

/** What a server or a simulated network hands calls to. */
export interface CallReceiver {
  /** Never rejects; the body of the answer may, when a stream breaks off. */
  handle(call: IncomingCall): Promise<OutgoingAnswer>
  /** From now on calls are refused; those under way go on. */
  drain(): void
}

export interface OutgoingAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** An array when the answer is whole: `for await` takes both. */
  readonly body: AsyncIterable<Uint8Array> | readonly Uint8Array[]
}
