/** One call through undici: knows whether it was sent, and holds its answer back while nobody reads. */
import type { Dispatcher } from 'undici'
import type { InternalAnswer } from './transport.ts'
import { TransportError } from './transport.ts'

/** The connection is not read on while so much of the answer waits to be taken. */
const PAUSE_BYTES = 256 * 1024

export class UndiciExchange implements Dispatcher.DispatchHandler {
  readonly #signal: AbortSignal
  readonly #onEnd: () => void
  readonly #head = Promise.withResolvers<InternalAnswer>()
  #controller: Dispatcher.DispatchController | undefined
  #chunks: Uint8Array[] = []
  #queuedBytes = 0
  #state: 'running' | 'complete' | TransportError = 'running'
  #wake: () => void = () => undefined
  readonly answer: Promise<InternalAnswer> = this.#head.promise

  /** `onEnd` is called once, when the connection is free again or lost. */
  constructor(signal: AbortSignal, onEnd: () => void) {
    this.#signal = signal
    this.#onEnd = onEnd
    signal.addEventListener('abort', this.#abort, { once: true })
  }

  /** Bytes go out right after this. */
  onRequestStart(controller: Dispatcher.DispatchController): void {
    // Thrown rather than aborted, so that the connection stays of use.
    if (this.#state instanceof TransportError) throw this.#state
    this.#controller = controller
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    // An array is what repeated headers make, and nodes repeat none.
    const single = headers as Record<string, string>
    this.#head.resolve({ status, headers: single, body: { [Symbol.asyncIterator]: this.#read } })
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Uint8Array): void {
    this.#chunks.push(chunk)
    this.#queuedBytes += chunk.length
    if (this.#queuedBytes >= PAUSE_BYTES) controller.pause()
    this.#wake()
  }

  onResponseEnd(): void {
    this.#end('complete')
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.fail(error)
  }

  fail(error: unknown): void {
    const sent = this.#controller !== undefined
    const why = error instanceof Error ? error.message : 'the call failed'
    this.#end(new TransportError(why, sent, error))
  }

  readonly #abort = (): void => {
    const controller = this.#controller
    this.fail(this.#signal.reason)
    controller?.abort(new Error('the call was given up'))
  }

  #end(state: 'complete' | TransportError): void {
    if (this.#state !== 'running') return
    this.#state = state
    this.#signal.removeEventListener('abort', this.#abort)
    if (state instanceof TransportError) {
      this.#chunks = []
      this.#head.reject(state)
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
        const controller = this.#controller
        if (this.#chunks.length === 0 && controller?.paused === true) controller.resume()
        return { done: false, value: chunk }
      }
      if (this.#state instanceof TransportError) throw this.#state
      return { done: true, value: undefined }
    },
    return: async () => {
      if (this.#state === 'running') {
        const controller = this.#controller
        this.fail(new Error('the answer was not read to its end'))
        controller?.abort(new Error('the answer was not read to its end'))
      }
      return { done: true, value: undefined }
    },
  })
}
