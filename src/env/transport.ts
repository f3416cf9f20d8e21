/** How nodes reach each other, as the rest of the code sees it. Knows nothing of what is said. */

/** One pool of connections each, so that a parked fetch never stands before an append. */
export type Lane = 'append' | 'fetch' | 'control'

/** A POST. */
export interface InternalCall {
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  /** Sent one after the other; must not change until the call has ended. */
  readonly body: readonly Uint8Array[]
}

export interface InternalAnswer {
  readonly status: number
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  /**
   * An array when all of it is there. Else to be read once, to its end or until it is left: what is
   * not read keeps its connection until the signal of the call aborts. Rejects with TransportError
   * when the connection breaks.
   */
  readonly body: AsyncIterable<Uint8Array> | readonly Uint8Array[]
}

export interface Transport {
  /**
   * Resolves when the head of the answer is there. The signal ends the call at any time, also while
   * the body comes: the peer sees the connection break.
   * @param url origin of the peer, as `http://host:port`
   * @throws TransportError, also after an abort
   */
  call(url: string, call: InternalCall, lane: Lane, signal: AbortSignal): Promise<InternalAnswer>
  /** Breaks what is under way. */
  close(): Promise<void>
}

export class TransportError extends Error {
  override readonly name = 'TransportError'
  /** False: certainly nothing of the call has reached the peer, so that trying again is safe. */
  readonly sent: boolean

  constructor(message: string, sent: boolean, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.sent = sent
  }
}
