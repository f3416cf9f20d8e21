/**
 * What happens once per request when its answer is complete or its connection lost: memory goes
 * back to the budget, the request is counted, and a body that nobody read is dealt with.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../env/clock.ts'
import type { ByteBudget } from '../lib/byte-budget.ts'

/**
 * How long bytes of a refused body are thrown away before the connection is cut. Cutting at once
 * would reset it, and the client might never see why it was refused.
 */
const LINGER_MS = 2000

const HELD = Symbol('bytes held for the body')

type Holding = ServerResponse & { [HELD]?: number }

export class RequestEnd {
  readonly #clock: Clock
  readonly #budget: ByteBudget
  /** One listener for all responses, told apart by `this`: none is allocated per request. */
  readonly #onClose: (this: ServerResponse) => void

  constructor(clock: Clock, budget: ByteBudget) {
    this.#clock = clock
    this.#budget = budget
    this.#onClose = function onClose(this: Holding) {
      budget.release(this[HELD] ?? 0)
      this[HELD] = 0
    }
  }

  /** Notes bytes taken from the budget; they return when the answer is done. */
  holds(response: ServerResponse, bytes: number): void {
    if (bytes === 0) return
    const holding: Holding = response
    if (response.destroyed || response.closed) {
      this.#budget.release(bytes)
      return
    }
    if (holding[HELD] === undefined) response.on('close', this.#onClose)
    holding[HELD] = (holding[HELD] ?? 0) + bytes
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
}
