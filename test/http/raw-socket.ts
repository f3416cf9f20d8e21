/** A bare connection, for what HTTP clients do not let one do. */
import type { Socket } from 'node:net'
import { connect } from 'node:net'

export class RawSocket {
  readonly #socket: Socket
  #received = ''
  #state: 'open' | 'closed' = 'open'
  #failed = false
  #changed: () => void = () => undefined

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.setEncoding('latin1')
    socket.on('data', (text: string) => {
      this.#received += text
      this.#changed()
    })
    socket.on('error', () => {
      this.#failed = true
    })
    socket.on('close', () => {
      this.#state = 'closed'
      this.#changed()
    })
  }

  static open(port: number): Promise<RawSocket> {
    return new Promise((resolve, reject) => {
      const socket = connect(port, '127.0.0.1', () => resolve(new RawSocket(socket)))
      socket.once('error', reject)
    })
  }

  get received(): string {
    return this.#received
  }

  /** Whether the connection was reset, as opposed to ended. */
  get failed(): boolean {
    return this.#failed
  }

  write(bytes: string | Buffer): void {
    this.#socket.write(bytes)
  }

  /** Ends our half. */
  end(): void {
    this.#socket.end()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  /** Resolves to all that came, when it matches. */
  async until(pattern: RegExp): Promise<string> {
    while (!pattern.test(this.#received)) {
      if (this.#state === 'closed') throw new Error(`closed after: ${this.#received}`)
      await this.#change()
    }
    return this.#received
  }

  /** Resolves to all that came, when the other side has closed. */
  async closed(): Promise<string> {
    while (this.#state === 'open') await this.#change()
    return this.#received
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#changed = resolve
    })
  }
}
