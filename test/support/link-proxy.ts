/**
 * One network link as a TCP proxy in front of a server: slow, cut, half-closed or silent, by the seed
 * and by the sender, whom it tells by the header that nodes send with each call.
 */
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { connect, createServer } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type { SeededRandom } from './seeded-random.ts'

/** What is wrong on the way; nothing where absent. */
export interface LinkFaults {
  /** Nothing passes and nobody is told; what was sent comes late, when it is mended. */
  readonly holdsRequests?: boolean
  readonly holdsAnswers?: boolean
  /** Each piece takes up to so long. */
  readonly delayMs?: number
  /** A connection breaks once so many bytes, at most, have passed. */
  readonly cutWithinBytes?: number
  /** One side is told that no more comes once so many bytes, at most, have passed. */
  readonly halfCloseWithinBytes?: number
}

type Direction = 'requests' | 'answers'

interface Connection {
  readonly client: Socket
  readonly server: Socket
  sender: string
}

const ANYBODY = 'anybody'

export class LinkProxy {
  readonly url: string
  readonly #server = createServer({ allowHalfOpen: true }, (client) => this.#serve(client))
  readonly #target: { readonly port: number; readonly host: string }
  readonly #random: SeededRandom
  readonly #connections = new Set<Connection>()
  readonly #faults = new Map<string, LinkFaults>()
  #changed = Promise.withResolvers<void>()

  private constructor(target: string, port: number, random: SeededRandom) {
    const { hostname, port: targetPort } = new URL(target)
    this.#target = { host: hostname, port: Number(targetPort) }
    this.url = `http://127.0.0.1:${port}`
    this.#random = random
  }

  static async start(target: string, port: number, random: SeededRandom): Promise<LinkProxy> {
    const proxy = new LinkProxy(target, port, random)
    proxy.#server.listen(port, '127.0.0.1')
    await once(proxy.#server, 'listening')
    return proxy
  }

  /** From now on, for one sender; by default for all that have none of their own. */
  set(faults: LinkFaults, sender = ANYBODY): void {
    this.#faults.set(sender, { ...this.#faults.get(sender), ...faults })
    this.#wake()
  }

  /** What was held passes. */
  mend(): void {
    this.#faults.clear()
    this.#wake()
  }

  /** Breaks every connection that stands. */
  breakAll(): void {
    for (const connection of this.#connections) end(connection)
    this.#wake()
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.breakAll()
    await closed
  }

  #wake(): void {
    const { resolve } = this.#changed
    this.#changed = Promise.withResolvers<void>()
    resolve()
  }

  #serve(client: Socket): void {
    const server = connect({ ...this.#target, allowHalfOpen: true })
    const connection = { client, server, sender: ANYBODY }
    this.#connections.add(connection)
    for (const socket of [client, server]) {
      socket.setNoDelay(true)
      socket.on('error', () => end(connection))
    }
    const both = [
      this.#pump(connection, 'requests', client, server),
      this.#pump(connection, 'answers', server, client),
    ]
    void Promise.allSettled(both).then(() => {
      end(connection)
      this.#connections.delete(connection)
    })
  }

  async #pump(
    connection: Connection,
    direction: Direction,
    from: Socket,
    to: Socket,
  ): Promise<void> {
    let passed = 0
    let isClosed = false
    const share = this.#random.float()
    try {
      for await (const piece of from as AsyncIterable<Buffer>) {
        if (direction === 'requests' && connection.sender === ANYBODY) {
          connection.sender = senderOf(piece)
        }
        await this.#passage(connection, direction)
        const { delayMs = 0, cutWithinBytes, halfCloseWithinBytes } = this.#faultsOf(connection)
        if (delayMs > 0) await delay(this.#random.between(0, delayMs))
        if (isClosed) continue
        const limit = Math.floor(share * (cutWithinBytes ?? halfCloseWithinBytes ?? Infinity))
        if (passed + piece.length > limit) {
          to.end(piece.subarray(0, Math.max(0, limit - passed)))
          if (cutWithinBytes !== undefined) return end(connection)
          isClosed = true
          continue
        }
        passed += piece.length
        if (!to.write(piece)) await Promise.race([once(to, 'drain'), once(to, 'close')])
      }
      to.end()
    } catch {
      end(connection)
    }
  }

  /** Until the way is free. */
  async #passage(connection: Connection, direction: Direction): Promise<void> {
    for (;;) {
      const { holdsRequests = false, holdsAnswers = false } = this.#faultsOf(connection)
      const isHeld = direction === 'requests' ? holdsRequests : holdsAnswers
      if (!isHeld || connection.client.destroyed) return
      await this.#changed.promise
    }
  }

  #faultsOf({ sender }: Connection): LinkFaults {
    return this.#faults.get(sender) ?? this.#faults.get(ANYBODY) ?? {}
  }
}

function end({ client, server }: Connection): void {
  client.destroy()
  server.destroy()
}

/** Connections are pooled by process, so the first call on one tells whose it is. */
function senderOf(head: Buffer): string {
  return /\r\ncurlew-node: ?(\w+)\r\n/i.exec(head.toString('latin1'))?.[1] ?? ANYBODY
}
