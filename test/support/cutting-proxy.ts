/** A TCP proxy between a client and a server that breaks connections where a test says. */
import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { connect, createServer } from 'node:net'

/** What happens to the next answer, or to all while it stays so. */
export type Cut = 'none' | 'answer' | 'request'

export class CuttingProxy {
  readonly #server = createServer((client) => this.#serve(client))
  readonly #target: { readonly port: number; readonly host: string }
  readonly #sockets = new Set<Socket>()
  /** `answer`: requests arrive, and their answers are cut off; `request`: nothing arrives. */
  cut: Cut = 'none'
  /** Answers that were kept from the client. */
  cuts = 0

  private constructor(url: string) {
    const { hostname, port } = new URL(url)
    this.#target = { host: hostname, port: Number(port) }
  }

  static async start(url: string): Promise<CuttingProxy> {
    const proxy = new CuttingProxy(url)
    proxy.#server.listen(0, '127.0.0.1')
    await once(proxy.#server, 'listening')
    return proxy
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Breaks every connection that stands; new ones are served. */
  breakAll(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  async close(): Promise<void> {
    this.breakAll()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #serve(client: Socket): void {
    const server = connect(this.#target)
    const end = () => {
      client.destroy()
      server.destroy()
    }
    for (const socket of [client, server]) {
      this.#sockets.add(socket)
      socket.once('close', () => {
        this.#sockets.delete(socket)
        end()
      })
      socket.on('error', end)
    }
    client.on('data', (bytes) => {
      if (this.cut === 'request') end()
      else server.write(bytes)
    })
    server.on('data', (bytes) => {
      if (this.cut === 'answer') {
        this.cuts++
        end()
      } else client.write(bytes)
    })
  }
}
