/**
 * The answer to an append call as a stream: results leave as they settle, all that settled since the
 * last piece in one. The stream begins, and with it the head of the answer leaves, when the requests
 * are admitted.
 */
import { assert } from '../lib/assert.ts'
import { encodeAppendFrame } from '../wire/append-frames.ts'
import type { Appended, Refusal } from '../wire/internal.ts'

export class AppendResults implements AsyncIterable<Uint8Array> {
  #open: number
  #frames: Uint8Array[] = []
  #wake: () => void = () => undefined

  /** The promises never reject. */
  constructor(results: readonly Promise<Appended | Refusal>[]) {
    this.#open = results.length
    results.forEach((promise, index) => {
      promise.then(
        (result) => this.#settle(encodeAppendFrame({ index, result })),
        () => assert(false, 'appends settle with a value'),
      )
    })
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
    this.#wake()
  }
}
