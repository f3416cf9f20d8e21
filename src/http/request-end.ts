/**
 * What happens once per request when its answer is complete or its connection lost: memory goes
 * back to the budget, the request is counted, and a body that nobody read is dealt with.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../env/clock.ts'
import type { Metrics } from '../env/metrics.ts'
import type { ByteBudget } from '../lib/byte-budget.ts'

/**
 * How long bytes of a refused body are thrown away before the connection is cut. Cutting at once
 * would reset it, and the client might never see why it was refused.
 */
const LINGER_MS = 2000

/** By first digit of the status; the answer to an aborted request was never complete. */
const STATUS_CLASSES = ['aborted', '1xx', '2xx', '3xx', '4xx', '5xx']
const ABORTED = 0

const HELD = Symbol('bytes held for the body')

type Counted = ServerResponse & { [HELD]?: number }

export class RequestEnd {
  readonly #clock: Clock
  readonly #budget: ByteBudget
  /** One listener for all responses, told apart by `this`: none is allocated per request. */
  readonly #onClose: (this: ServerResponse) => void
  #inFlight = 0
  #idle: PromiseWithResolvers<void> | undefined

  constructor(clock: Clock, budget: ByteBudget, metrics: Metrics) {
    this.#clock = clock
    this.#budget = budget
    const counters = STATUS_CLASSES.map((status) =>
      metrics.counter('curlew_http_requests_total', 'Requests that ended, by status.', { status }),
    )
    metrics.gauge('curlew_http_requests_in_flight', 'Requests under way.', () => this.#inFlight)
    metrics.gauge('curlew_http_body_bytes', 'Bytes of request bodies held.', () => budget.used)
    const end = (response: Counted): void => {
      this.#inFlight -= 1
      if (this.#inFlight === 0) this.#idle?.resolve()
      budget.release(response[HELD] ?? 0)
      response[HELD] = 0
      const index = response.writableFinished ? Math.floor(response.statusCode / 100) : ABORTED
      counters[index]?.increment()
    }
    this.#onClose = function onClose(this: ServerResponse) {
      end(this)
    }
  }

  /** To be called once for every request. */
  begin(response: ServerResponse): void {
    this.#inFlight += 1
    response.on('close', this.#onClose)
  }

  /** Resolves at a moment at which no request is under way. */
  async whenIdle(): Promise<void> {
    if (this.#inFlight === 0) return
    this.#idle = Promise.withResolvers<void>()
    await this.#idle.promise
  }

  /** Notes bytes taken from the budget; they return when the answer is done. */
  holds(response: ServerResponse, bytes: number): void {
    if (response.closed) {
      this.#budget.release(bytes)
      return
    }
    const counted: Counted = response
    counted[HELD] = (counted[HELD] ?? 0) + bytes
  }

  /** To be called for answers that may be complete before their request is. */
  watchUnread(request: IncomingMessage, response: ServerResponse): void {
    response.once('finish', () => {
      if (request.complete || request.destroyed) return
      request.resume()
      const timer = this.#clock.timer(LINGER_MS, () => request.destroy())
      request.once('close', () => timer.cancel())
    })
  }

  /**
   * To be called before an answer is sent to a request that still comes. It must not be the last one
   * of its connection: Node would close that at once, under a client that still sends. A client that
   * asked for the end gets it when it has sent all.
   */
  answersEarly(request: IncomingMessage, response: ServerResponse): void {
    this.watchUnread(request, response)
    if (response.shouldKeepAlive || !hasBody(request)) return
    response.shouldKeepAlive = true
    request.once('end', () => request.socket.end())
  }
}

function hasBody({ headers }: IncomingMessage): boolean {
  const { 'content-length': length = '0', 'transfer-encoding': encoding } = headers
  return encoding !== undefined || length !== '0'
}
