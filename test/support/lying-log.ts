/** A log in memory behind HTTP that lies on request: what the judges of the real one are tried on. */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export type Lie = 'none' | 'forgets' | 'repeats' | 'swaps' | 'refuses but writes'

export class LyingLog {
  readonly #server: Server
  readonly #values: string[] = []
  readonly #lie: Lie
  #requests = 0

  private constructor(lie: Lie) {
    this.#lie = lie
    this.#server = createServer((request, response) => {
      void this.#answer(request, response)
    })
  }

  static start(lie: Lie): Promise<LyingLog> {
    const log = new LyingLog(lie)
    return new Promise((resolve) => {
      log.#server.listen(0, '127.0.0.1', () => resolve(log))
    })
  }

  get baseUrl(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  close(): void {
    this.#server.closeAllConnections()
    this.#server.close()
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const body = Buffer.concat(chunks).toString('utf8')
    const url = new URL(request.url ?? '', 'http://localhost')
    const reply = (status: number, answer: object): void => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer))
    }
    if (request.method === 'GET') {
      const from = Number(url.searchParams.get('cursor') ?? 0)
      const records = this.#values
        .slice(from, from + 100)
        .map((value, i) => ({ partition: 0, offset: from + i, value }))
      reply(200, { records, cursor: String(from + records.length) })
      return
    }
    const isLie = this.#requests++ % 10 === 9
    if (url.pathname.endsWith('/publish')) {
      reply(201, this.#append(body, isLie))
      return
    }
    const records = readRecords(body, request.headers['content-type'] ?? '')
    if (isLie && this.#lie === 'refuses but writes') {
      for (const { value } of records) this.#values.push(value)
      reply(503, { committed: 'no' })
      return
    }
    reply(200, { records: records.map(({ value }) => this.#append(value, isLie)) })
  }

  #append(value: string, isLie: boolean): { partition: number; offset: number } {
    const offset = this.#values.length
    if (isLie && this.#lie === 'forgets') return { partition: 0, offset }
    this.#values.push(value)
    if (isLie && this.#lie === 'repeats') this.#values.push(value)
    if (isLie && this.#lie === 'swaps' && offset > 0) {
      this.#values[offset] = this.#values[offset - 1] ?? ''
      this.#values[offset - 1] = value
    }
    return { partition: 0, offset }
  }
}

function readRecords(body: string, type: string): { value: string }[] {
  if (type === 'application/json') {
    return (JSON.parse(body) as { records: { value: string }[] }).records
  }
  return body.split('\n').map((line) => JSON.parse(line) as { value: string })
}
