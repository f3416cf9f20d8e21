/** The body of a call that does not come with its head: the socket is not read on while nobody takes it. */
import type { Socket } from 'node:net'

/** So much waits to be taken at most, and what one read brings. */
const PAUSE_BYTES = 256 * 1024

export class CallBody implements AsyncIterable<Uint8Array> {
  readonly #socket: Socket
  #chunks: Uint8Array[] = []
  #queuedBytes = 0
  #bytesLeft: number
  #isBroken: boolean = false
  #isLeft: boolean = false
  #wake: () => void = () => undefined

  constructor(socket: Socket, bytes: number) {
    this.#socket = socket
    this.#bytesLeft = bytes
  }

  get isWhole(): boolean {
    return this.#bytesLeft === 0
  }

  /** Takes what is the body's, and gives back what comes behind it. */
  push(bytes: Buffer): Buffer {
    const chunk = bytes.subarray(0, this.#bytesLeft)
    const rest = bytes.subarray(chunk.length)
    this.#bytesLeft -= chunk.length
    if (this.#isLeft || chunk.length === 0) return rest
    this.#chunks.push(chunk)
    this.#queuedBytes += chunk.length
    if (this.#queuedBytes >= PAUSE_BYTES) this.#socket.pause()
    this.#wake()
    return rest
  }

  /** Nobody takes more of it: what comes is dropped. */
  leave(): void {
    this.#isLeft = true
    this.#chunks = []
    this.#socket.resume()
  }

  /** The connection is gone. */
  break(): void {
    this.#isBroken = true
    this.#wake()
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return {
      next: async () => {
        while (this.#chunks.length === 0 && !this.isWhole) {
          if (this.#isBroken) throw new Error('the connection broke while the body came')
          await new Promise<void>((resolve) => {
            this.#wake = resolve
          })
        }
        const chunk = this.#chunks.shift()
        if (chunk === undefined) return { done: true, value: undefined }
        this.#queuedBytes -= chunk.length
        if (this.#chunks.length === 0) this.#socket.resume()
        return { done: false, value: chunk }
      },
      return: async () => {
        this.leave()
        return { done: true, value: undefined }
      },
    }
  }
}
