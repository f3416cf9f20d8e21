/**
 * All open streams of events: how many there may be, how each begins, and one timer for the
 * heartbeats and life times of all.
 */
import type { FastifyReply } from 'fastify'
import type { Clock, Timer } from '../env/clock.ts'
import type { Counter, Metrics } from '../env/metrics.ts'
import type { Random } from '../env/random.ts'
import { ServiceError } from '../lib/service-error.ts'
import { commentFrame, idFrame, retryFrame } from '../wire/sse.ts'
import { streamChunk } from '../wire/stream-chunk.ts'
import type { SseConnectionOwner } from './sse-connection.ts'
import { SseConnection } from './sse-connection.ts'

export interface SseStreamsDeps {
  readonly clock: Clock
  readonly random: Random
  readonly metrics: Metrics
}

export interface SseStreamsOptions {
  readonly maxStreams: number
  /** A reader that takes nothing for so long is cut off; 20 s. */
  readonly stallMs?: number
  /** After about so long a stream ends, and its reader comes back; 15 min. */
  readonly lifeMs?: number
  /** Between two comments; 15 s. */
  readonly heartbeatMs?: number
}

/** Streams take turns in the heartbeat, so that they do not all write at once. */
const SLOTS = 15
/** Life times differ by so much to either side, so that streams opened together do not end together. */
const LIFE_SPREAD = 0.2
const RETRY_MIN_MS = 1000
const RETRY_SPREAD_MS = 2000

const HEAD = {
  'content-type': 'text/event-stream',
  'cache-control': 'no-cache, no-transform',
  'x-accel-buffering': 'no',
} as const

export class SseStreams implements SseConnectionOwner {
  readonly stallMs: number
  readonly #deps: SseStreamsDeps
  readonly #maxStreams: number
  readonly #lifeMs: number
  readonly #tickMs: number
  readonly #slots: Set<SseConnection>[] = Array.from({ length: SLOTS }, () => new Set())
  /** Of streams whose life is short. */
  readonly #lives = new Map<SseConnection, Timer>()
  readonly #stalls: Counter
  #slot = 0
  #open = 0
  #timer: Timer | undefined

  constructor(deps: SseStreamsDeps, options: SseStreamsOptions) {
    this.#deps = deps
    this.#maxStreams = options.maxStreams
    this.stallMs = options.stallMs ?? 20_000
    this.#lifeMs = options.lifeMs ?? 15 * 60_000
    this.#tickMs = (options.heartbeatMs ?? 15_000) / SLOTS
    this.#stalls = deps.metrics.counter(
      'curlew_stream_stalls_total',
      'Streams cut off because their reader took nothing.',
    )
  }

  get open(): number {
    return this.#open
  }

  /**
   * Sends the head of a stream and its first frames, which name the reader's place if it has one.
   * `lifeMs` is for streams that live less than others.
   * @throws ServiceError `overloaded`, before anything is sent
   */
  start(
    reply: FastifyReply,
    traceId: string,
    cursor: string | undefined,
    lifeMs?: number,
  ): SseConnection {
    if (this.#open >= this.#maxStreams) {
      throw new ServiceError('overloaded', `${this.#maxStreams} streams are open already`, {
        retryAfterMs: this.#retryMs(),
      })
    }
    reply.headers(HEAD)
    reply.hijack()
    const { raw } = reply
    raw.writeHead(200, reply.getHeaders() as Record<string, string>)
    raw.flushHeaders()
    const endsAtMs = this.#endsAtMs(lifeMs ?? this.#lifeMs)
    const connection = new SseConnection(raw, this, { traceId, endsAtMs })
    this.#keep(connection)
    if (lifeMs !== undefined) this.#endInTime(connection)
    const frames = [retryFrame(this.#retryMs()), commentFrame('curlew')]
    if (cursor !== undefined) frames.push(idFrame(cursor))
    connection.write([streamChunk(frames)])
    return connection
  }

  stalled(): void {
    this.#stalls.increment()
  }

  over(connection: SseConnection): void {
    this.#lives.get(connection)?.cancel()
    this.#lives.delete(connection)
    for (const slot of this.#slots) if (slot.delete(connection)) this.#open--
  }

  close(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    for (const life of this.#lives.values()) life.cancel()
  }

  #keep(connection: SseConnection): void {
    if (connection.isOver) return
    this.#slots[this.#slot]?.add(connection)
    this.#open++
    this.#timer ??= this.#deps.clock.timer(this.#tickMs, this.#onTick)
  }

  readonly #onTick = (): void => {
    this.#timer = undefined
    this.#slot = (this.#slot + 1) % SLOTS
    const nowMs = this.#deps.clock.monotonicMs()
    for (const connection of [...(this.#slots[this.#slot] as Set<SseConnection>)]) {
      if (nowMs >= connection.endsAtMs) connection.end('renew')
      else connection.beat()
    }
    if (this.#open > 0) this.#timer = this.#deps.clock.timer(this.#tickMs, this.#onTick)
  }

  #endsAtMs(lifeMs: number): number {
    const { clock, random } = this.#deps
    const spread = 1 - LIFE_SPREAD + 2 * LIFE_SPREAD * random.float()
    return clock.monotonicMs() + lifeMs * spread
  }

  /** A short life ends on time, not with the next heartbeat. */
  #endInTime(connection: SseConnection): void {
    const { clock } = this.#deps
    if (connection.isOver) return
    const leftMs = connection.endsAtMs - clock.monotonicMs()
    this.#lives.set(
      connection,
      clock.timer(leftMs, () => connection.end('renew')),
    )
  }

  #retryMs(): number {
    return RETRY_MIN_MS + Math.floor(RETRY_SPREAD_MS * this.#deps.random.float())
  }
}
