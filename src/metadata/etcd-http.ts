/** What the etcd client asks of HTTP: one POST, its answer, and whether it can have been received. */
export interface EtcdHttpCall {
  /** Origin of the member, as `https://host:port`. */
  readonly endpoint: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  /** The answer goes on without end. */
  readonly isStream: boolean
}

export interface EtcdHttpAnswer {
  readonly status: number
  /** To be read once, to its end or until it is left. */
  readonly body: AsyncIterable<Uint8Array>
}

export interface EtcdHttp {
  /**
   * Resolves when the head of the answer is there. The signal ends the call at any time, also while
   * the body comes; then that, or this promise, rejects.
   * @throws NotSentError when certainly nothing of the call has left
   */
  post(call: EtcdHttpCall, signal: AbortSignal): Promise<EtcdHttpAnswer>
  /** Breaks what is under way. */
  close(): Promise<void>
}

/** The member was not reached, so the call has had no effect. */
export class NotSentError extends Error {
  override readonly name = 'NotSentError'
}
