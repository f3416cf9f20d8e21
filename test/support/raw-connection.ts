/** A bare TCP connection: for half bodies, slow clients, broken HTTP and readers that stop reading. */
import type { Socket } from 'node:net'
import { connect } from 'node:net'
import { within } from './eventually.ts'

export class RawConnection {
  readonly closed: Promise<void>
  readonly #socket: Socket
  #received = Buffer.alloc(0)
  #arrived = Promise.withResolvers<void>()
  #isClosed = false

  private constructor(socket: Socket) {
    this.#socket = socket
    const { promise, resolve } = Promise.withResolvers<void>()
    this.closed = promise
    socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk])
      this.#wake()
    })
    // A reset is one of the ends that a test may want; `closed` tells of it.
    socket.on('error', () => undefined)
    socket.once('close', () => {
      this.#isClosed = true
      this.#wake()
      resolve()
    })
  }

  static open(port: number, host = '127.0.0.1'): Promise<RawConnection> {
    return new Promise((resolve, reject) => {
      const socket = connect(port, host)
      socket.once('error', reject)
      socket.once('connect', () => resolve(new RawConnection(socket)))
    })
  }

  get text(): string {
    return this.#received.toString('latin1')
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** Stops taking bytes from the kernel, so that the peer's writes back up. */
  stall(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  write(data: string | Uint8Array): void {
    this.#socket.write(data)
  }

  /** Half-closes: nothing more will be sent, answers are still read. */
  endWriting(): void {
    this.#socket.end()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  /** Resolves with all text received once `found` holds of it, or once the peer has closed. */
  async until(
    what: string,
    found: (text: string) => boolean,
    deadlineMs = 20_000,
  ): Promise<string> {
    const wait = async (): Promise<string> => {
      while (!found(this.text) && !this.#isClosed) await this.#arrived.promise
      return this.text
    }
    return within(what, deadlineMs, wait())
  }

  /** The status of the first answer on this connection; undefined when it was closed without one. */
  async status(deadlineMs?: number): Promise<number | undefined> {
    const text = await this.until('a status line', (all) => all.includes('\r\n\r\n'), deadlineMs)
    const code = /^HTTP\/1\.1 (\d{3})/.exec(text)?.[1]
    return code === undefined ? undefined : Number(code)
  }

  #wake(): void {
    const arrived = this.#arrived
    this.#arrived = Promise.withResolvers<void>()
    arrived.resolve()
  }
}
