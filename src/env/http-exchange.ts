/** One call over a connection: knows whether it was sent, and holds its answer back while nobody reads. */
import type { Socket } from 'node:net'
import type { InternalAnswer } from './transport.ts'
import { TransportError } from './transport.ts'

/** The connection is not read on while so much of the answer waits to be taken. */
const PAUSE_BYTES = 256 * 1024

export class HttpExchange {
  readonly #signal: AbortSignal
  readonly #onEnd: () => void
  readonly #answer = Promise.withResolvers<InternalAnswer>()
  #head: Pick<InternalAnswer, 'status' | 'headers'> | undefined
  /** That it goes over, once it does. */
  #socket: Socket | undefined
  #chunks: Uint8Array[] = []
  #queuedBytes = 0
  #state: 'running' | 'complete' | TransportError = 'running'
  #wake: () => void = () => undefined
  readonly answer: Promise<InternalAnswer> = this.#answer.promise

  /** `onEnd` is called once, when the call needs no connection any more. */
  constructor(signal: AbortSignal, onEnd: () => void) {
    this.#signal = signal
    this.#onEnd = onEnd
    signal.addEventListener('abort', this.#abort, { once: true })
  }

  get hasEnded(): boolean {
    return this.#state !== 'running'
  }

  /** Bytes go out right after this. */
  begin(socket: Socket): void {
    this.#socket = socket
  }

  head(status: number, headers: InternalAnswer['headers']): void {
    this.#head = { status, headers }
  }

  data(chunk: Uint8Array): void {
    this.#chunks.push(chunk)
    this.#queuedBytes += chunk.length
    if (this.#queuedBytes >= PAUSE_BYTES) this.#socket?.pause()
    this.#wake()
  }

  /** All that has come so far was told: whoever waits for the head gets it. */
  deliver(): void {
    if (this.#head === undefined) return
    const body = this.#state === 'complete' ? this.#chunks : { [Symbol.asyncIterator]: this.#read }
    this.#answer.resolve({ ...this.#head, body })
    this.#head = undefined
  }

  complete(): void {
    // What is still to be taken is here; the connection is for others.
    this.#socket?.resume()
    this.#end('complete')
    this.deliver()
  }

  fail(error: unknown): void {
    const why = error instanceof Error ? error.message : 'the call failed'
    this.#end(new TransportError(why, this.#socket !== undefined, error))
  }

  readonly #abort = (): void => {
    this.fail(this.#signal.reason)
    this.#socket?.destroy()
  }

  #end(state: 'complete' | TransportError): void {
    if (this.#state !== 'running') return
    this.#state = state
    this.#signal.removeEventListener('abort', this.#abort)
    if (state instanceof TransportError) {
      this.#chunks = []
      this.#answer.reject(state)
    }
    this.#wake()
    this.#onEnd()
  }

  readonly #read = (): AsyncIterator<Uint8Array> => ({
    next: async () => {
      while (this.#chunks.length === 0 && this.#state === 'running') {
        const { promise, resolve } = Promise.withResolvers<void>()
        this.#wake = resolve
        await promise
      }
      const chunk = this.#chunks.shift()
      if (chunk !== undefined) {
        this.#queuedBytes -= chunk.length
        if (this.#chunks.length === 0 && this.#state === 'running') this.#socket?.resume()
        return { done: false, value: chunk }
      }
      if (this.#state instanceof TransportError) throw this.#state
      return { done: true, value: undefined }
    },
    return: async () => {
      if (this.#state === 'running') {
        this.fail(new Error('the answer was not read to its end'))
        this.#socket?.destroy()
      }
      return { done: true, value: undefined }
    },
  })
}
