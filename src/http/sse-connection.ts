/**
 * One open stream of events. Writes ready-made chunks straight to the socket, past the response
 * object, and never holds more than a bound of them.
 */
import type { ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { watchStall } from '../env/socket-stall.ts'
import { ServiceError } from '../lib/service-error.ts'
import { problemOf } from '../wire/problem.ts'
import type { ControlEvent } from '../wire/sse.ts'
import { commentFrame, controlFrame } from '../wire/sse.ts'
import type { StreamChunk } from '../wire/stream-chunk.ts'
import { streamChunk } from '../wire/stream-chunk.ts'

export interface SseConnectionOptions {
  /** Names the stream in error events and in the log. */
  readonly traceId: string
  /** A reader that takes nothing for so long is cut off. */
  readonly stallMs: number
  /** Called once, when the reader was cut off. */
  readonly onStall: () => void
}

/** With so many unsent bytes it takes no more; with the last chunk on top it stays below 1 MiB. */
const FULL_BYTES = 512 * 1024

export class SseConnection {
  readonly #response: ServerResponse
  /** Undefined when chunks must go through the response: HTTP/1.0, and requests that are pipelined. */
  readonly #socket: Socket | undefined
  readonly #traceId: string
  readonly #ended = new AbortController()
  #drained: (() => void)[] = []

  /** The head of the answer was sent. */
  constructor(response: ServerResponse, options: SseConnectionOptions) {
    const { socket } = response
    this.#response = response
    this.#traceId = options.traceId
    this.#socket = socket instanceof Socket && response.chunkedEncoding ? socket : undefined
    const out = this.#socket ?? response
    out.on('drain', this.#onDrain)
    const unwatch =
      socket === null
        ? ignore
        : watchStall(socket, options.stallMs, () => {
            options.onStall()
            response.destroy()
          })
    response.once('close', () => {
      out.off('drain', this.#onDrain)
      unwatch()
      this.#abort('the client is gone')
    })
    if (response.closed) this.#abort('the client is gone')
  }

  /** Aborts when the connection is gone or its end was sent. */
  get signal(): AbortSignal {
    return this.#ended.signal
  }

  write(chunks: readonly StreamChunk[]): boolean {
    if (this.signal.aborted) return true
    const out = this.#socket ?? this.#response
    if (chunks.length > 1) out.cork()
    for (const { framed, payload } of chunks) {
      out.write(this.#socket === undefined ? payload : framed)
    }
    if (chunks.length > 1) out.uncork()
    return out.writableLength < FULL_BYTES
  }

  whenDrained(run: () => void): void {
    this.#drained.push(run)
  }

  event(name: ControlEvent, data: object, cursor: string): void {
    this.#frame(controlFrame(name, data, cursor))
  }

  error(error: ServiceError, cursor: string | undefined): void {
    this.#frame(controlFrame('error', problemOf(error, this.#traceId), cursor))
  }

  end(reason: string): void {
    if (this.signal.aborted) return
    this.#frame(controlFrame('end', { reason }))
    this.#response.end()
    this.#abort('the stream has ended')
  }

  /** Keeps proxies from closing a quiet connection; one with unsent bytes is not quiet. */
  beat(): void {
    const out = this.#socket ?? this.#response
    if (out.writableLength === 0 && !this.signal.aborted) this.write([HEARTBEAT])
  }

  #frame(frame: Uint8Array): void {
    this.write([streamChunk([frame])])
  }

  readonly #onDrain = (): void => {
    const drained = this.#drained
    this.#drained = []
    if (this.signal.aborted) return
    for (const run of drained) run()
  }

  #abort(why: string): void {
    this.#drained = []
    this.#ended.abort(new ServiceError('request-timeout', why))
  }
}

const HEARTBEAT = streamChunk([commentFrame()])

function ignore(): void {}
