/**
 * The answer to a call of several requests as a stream: results leave as they settle, all that
 * settled since the last piece in one.
 */
import { assert } from '../lib/assert.ts'
import type { InternalReply } from './internal-handler.ts'

export class ResultStream<T> implements AsyncIterable<Uint8Array> {
  #open: number
  #frames: Uint8Array[] = []
  #wake: () => void = () => undefined
  readonly #first = Promise.withResolvers<void>()
  readonly #last = Promise.withResolvers<void>()
  /** Resolves when a result is there, none will come, or it is to be waited for no longer. */
  readonly first: Promise<void> = this.#first.promise
  /** Resolves when all results are there. */
  readonly last: Promise<void> = this.#last.promise

  /** The promises never reject. */
  constructor(
    results: readonly Promise<T>[],
    encode: (frame: { readonly index: number; readonly result: T }) => Uint8Array,
  ) {
    this.#open = results.length
    if (results.length === 0) this.#end()
    results.forEach((promise, index) => {
      promise.then(
        (result) => this.#settle(encode({ index, result })),
        () => assert(false, 'results settle with a value'),
      )
    })
  }

  /** Whoever waits for the first result goes on without. */
  hurry(): void {
    this.#first.resolve()
  }

  /** Whole if all of it is there, which costs both sides less; else to be streamed. */
  get reply(): InternalReply {
    return this.#open === 0 ? { parts: this.#frames } : { stream: this }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    while (this.#open > 0 || this.#frames.length > 0) {
      if (this.#frames.length === 0) {
        const { promise, resolve } = Promise.withResolvers<void>()
        this.#wake = resolve
        await promise
      }
      const frames = this.#frames
      this.#frames = []
      yield frames.length === 1 ? (frames[0] as Uint8Array) : Buffer.concat(frames)
    }
  }

  #settle(frame: Uint8Array): void {
    this.#open--
    this.#frames.push(frame)
    this.#first.resolve()
    if (this.#open === 0) this.#end()
    this.#wake()
  }

  #end(): void {
    this.#first.resolve()
    this.#last.resolve()
  }
}
