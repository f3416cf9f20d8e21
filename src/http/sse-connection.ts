/**
 * One open stream of events. Writes ready-made chunks straight to the socket, past the response
 * object, and never holds more than a bound of them.
 */
import type { ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { watchStall } from '../env/socket-stall.ts'
import type { ServiceError } from '../lib/service-error.ts'
import { problemOf } from '../wire/problem.ts'
import type { ControlEvent } from '../wire/sse.ts'
import { commentFrame, controlFrame } from '../wire/sse.ts'
import type { StreamChunk } from '../wire/stream-chunk.ts'
import { streamChunk } from '../wire/stream-chunk.ts'

/** What all connections have in common. */
export interface SseConnectionOwner {
  /** A reader that takes nothing for so long is cut off. */
  readonly stallMs: number
  /** The reader was cut off. */
  stalled(): void
  /** The connection is gone or its end was sent. */
  over(connection: SseConnection): void
}

/** With so many unsent bytes it takes no more; with the last chunk on top it stays below 1 MiB. */
const FULL_BYTES = 512 * 1024

export class SseConnection {
  /** When its life is over, on the monotonic clock. */
  readonly endsAtMs: number
  readonly #owner: SseConnectionOwner
  readonly #response: ServerResponse
  /** The response itself when chunks must go through it: HTTP/1.0, and requests that are pipelined. */
  readonly #out: Socket | ServerResponse
  /** Names the stream in error events. */
  readonly #traceId: string
  #isOver: boolean = false
  #isWatched: boolean = false
  #onOver: (() => void) | undefined

  /** The head of the answer was sent. */
  constructor(
    response: ServerResponse,
    owner: SseConnectionOwner,
    { traceId, endsAtMs }: { readonly traceId: string; readonly endsAtMs: number },
  ) {
    const { socket } = response
    this.endsAtMs = endsAtMs
    this.#owner = owner
    this.#response = response
    this.#out = socket instanceof Socket && response.chunkedEncoding ? socket : response
    this.#traceId = traceId
    if (response.closed) this.#isOver = true
    else response.on('close', () => this.#over())
  }

  /** Whether the connection is gone or its end was sent; what is written then goes nowhere. */
  get isOver(): boolean {
    return this.#isOver
  }

  /** Calls `run` once, when it is over; one may wait for that. */
  whenOver(run: () => void): void {
    if (this.#isOver) run()
    else this.#onOver = run
  }

  /** False: it holds enough unsent bytes; wait for `whenDrained` before the next. */
  write(chunks: readonly StreamChunk[]): boolean {
    if (this.#isOver) return true
    const out = this.#out
    const isFramed = out !== this.#response
    if (chunks.length > 1) out.cork()
    for (let i = 0; i < chunks.length; i++) {
      const { framed, payload } = chunks[i] as StreamChunk
      out.write(isFramed ? framed : payload)
    }
    if (chunks.length > 1) out.uncork()
    const unsentBytes = out.writableLength
    if (unsentBytes === 0) return true
    this.#watch()
    return unsentBytes < FULL_BYTES
  }

  /** Whether it holds so many unsent bytes that `write` would return false. */
  get isFull(): boolean {
    return this.#out.writableLength >= FULL_BYTES
  }

  /** Calls `run` once, when there is room again. Not at all once it is over. */
  whenDrained(run: () => void): void {
    this.#out.once('drain', () => {
      if (!this.#isOver) run()
    })
  }

  event(name: ControlEvent, data: object, cursor: string): void {
    this.#frame(controlFrame(name, data, cursor))
  }

  error(error: ServiceError, cursor: string | undefined): void {
    this.#frame(controlFrame('error', problemOf(error, this.#traceId), cursor))
  }

  end(reason: string): void {
    if (this.#isOver) return
    this.#frame(controlFrame('end', { reason }))
    this.#response.end()
    this.#over()
  }

  /** Keeps proxies from closing a quiet connection; one with unsent bytes is not quiet. */
  beat(): void {
    if (this.#out.writableLength === 0) this.write(HEARTBEAT)
  }

  #frame(frame: Uint8Array): void {
    this.write([streamChunk([frame])])
  }

  /** Only while there are unsent bytes: a timer that each write starts anew would cost as much as the rest. */
  #watch(): void {
    if (this.#isWatched) return
    this.#isWatched = true
    const onStall = () => {
      this.#owner.stalled()
      this.#response.destroy()
    }
    const onIdle = () => {
      this.#isWatched = false
    }
    watchStall(this.#response, this.#owner.stallMs, onStall, onIdle)
  }

  #over(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#owner.over(this)
    this.#onOver?.()
    this.#onOver = undefined
  }
}

const HEARTBEAT = [streamChunk([commentFrame()])]
