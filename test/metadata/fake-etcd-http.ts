/** HTTP to members of etcd that answer as a test says, call by call. */
import type { EtcdHttp, EtcdHttpAnswer, EtcdHttpCall } from '../../src/metadata/etcd-http.ts'

export type Respond = (
  call: EtcdHttpCall,
  signal: AbortSignal,
) => Promise<EtcdHttpAnswer> | EtcdHttpAnswer

export class FakeEtcdHttp implements EtcdHttp {
  readonly calls: EtcdHttpCall[] = []
  readonly #respond: Respond

  constructor(respond: Respond) {
    this.#respond = respond
  }

  async post(call: EtcdHttpCall, signal: AbortSignal): Promise<EtcdHttpAnswer> {
    signal.throwIfAborted()
    this.calls.push(call)
    return await this.#respond(call, signal)
  }

  async close(): Promise<void> {}
}

export const HEADER = { cluster_id: '1', member_id: '2', revision: '7', raft_term: '3' }

export function answer(body: unknown, status = 200): EtcdHttpAnswer {
  return { status, body: chunksOf([JSON.stringify(body)]) }
}

/** Nothing comes until the signal aborts. */
export function never(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}

export async function* chunksOf(texts: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text)
}

/** An answer that a test writes while it is read. */
export class FakeStream {
  /** undefined: the end. */
  readonly #chunks: (Uint8Array | undefined)[] = []
  #wake: (() => void) | undefined

  /** Bytes as they come from the network: any part of a line, or several. */
  write(text: string): void {
    this.#chunks.push(Buffer.from(text))
    this.#wake?.()
  }

  send(...messages: readonly object[]): void {
    for (const message of messages) this.write(`${JSON.stringify({ result: message })}\n`)
  }

  end(): void {
    this.#chunks.push(undefined)
    this.#wake?.()
  }

  answer(signal: AbortSignal): EtcdHttpAnswer {
    return { status: 200, body: this.#read(signal) }
  }

  async *#read(signal: AbortSignal): AsyncGenerator<Uint8Array> {
    signal.addEventListener('abort', () => this.#wake?.(), { once: true })
    for (;;) {
      signal.throwIfAborted()
      if (this.#chunks.length === 0) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
        continue
      }
      const chunk = this.#chunks.shift()
      if (chunk === undefined) return
      yield chunk
    }
  }
}
