/**
 * Bounds the connections. Those beyond the bound are told so with their first request and closed;
 * far beyond it they are dropped unheard.
 */
import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import type { Metrics } from '../env/metrics.ts'

/** Connections beyond the bound that may be open for as long as it takes to refuse them. */
const REFUSALS_MAX = 256

export class ConnectionLimit {
  readonly #limit: number
  #open = 0
  readonly #beyond = new Set<Socket>()

  constructor(limit: number, metrics: Metrics) {
    this.#limit = limit
    metrics.gauge('curlew_http_connections', 'Open connections.', () => this.#open)
  }

  attach(server: Server): void {
    server.maxConnections = this.#limit + REFUSALS_MAX
    server.on('connection', (socket: Socket) => {
      this.#open += 1
      const beyond = this.#open > this.#limit
      if (beyond) this.#beyond.add(socket)
      socket.once('close', () => {
        this.#open -= 1
        if (beyond) this.#beyond.delete(socket)
      })
    })
  }

  /** Whether requests on this connection must be refused. */
  refuses(socket: Socket): boolean {
    return this.#beyond.size > 0 && this.#beyond.has(socket)
  }
}
