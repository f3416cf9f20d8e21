/** One SSE connection of a test: events are taken one by one, each within a deadline. */
import type { IncomingHttpHeaders } from 'node:http'
import { Agent, request } from 'undici'
import { within } from './eventually.ts'
import type { SseEvent } from './sse-parser.ts'
import { SseParser } from './sse-parser.ts'

export interface StreamOptions {
  readonly headers?: Readonly<Record<string, string>>
  readonly deadlineMs?: number
}

export class EventStream {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly #parser = new SseParser()
  readonly #source: AsyncIterator<Uint8Array>
  readonly #abort: AbortController
  readonly #agent: Agent
  readonly #deadlineMs: number
  #taken = 0
  #raw = ''

  private constructor(
    answer: { statusCode: number; headers: IncomingHttpHeaders; body: AsyncIterable<Uint8Array> },
    abort: AbortController,
    agent: Agent,
    deadlineMs: number,
  ) {
    this.status = answer.statusCode
    this.headers = answer.headers
    this.#source = answer.body[Symbol.asyncIterator]()
    this.#abort = abort
    this.#agent = agent
    this.#deadlineMs = deadlineMs
  }

  static async open(
    baseUrl: string,
    path: string,
    options: StreamOptions = {},
  ): Promise<EventStream> {
    const agent = new Agent({ headersTimeout: 30_000, bodyTimeout: 0, allowH2: false })
    const abort = new AbortController()
    const answer = await request(`${baseUrl}${path}`, {
      headers: { accept: 'text/event-stream', ...options.headers },
      signal: abort.signal,
      dispatcher: agent,
    })
    return new EventStream(answer, abort, agent, options.deadlineMs ?? 20_000)
  }

  /** The next event of any name; undefined when the server ended the stream. */
  async next(): Promise<SseEvent | undefined> {
    while (this.#taken === this.#parser.events.length) {
      if (!(await this.#more())) return undefined
    }
    return this.#parser.events[this.#taken++]
  }

  /** The next `count` events; fails when the stream ends before. */
  async take(count: number): Promise<SseEvent[]> {
    const events: SseEvent[] = []
    while (events.length < count) {
      const event = await this.next()
      if (event === undefined) throw new Error(`the stream ended after ${events.length} events`)
      events.push(event)
    }
    return events
  }

  /** All that comes until the server ends the stream or the connection breaks. */
  async rest(): Promise<SseEvent[]> {
    const events: SseEvent[] = []
    for (;;) {
      const event = await this.next().catch((error: unknown) => {
        if (error instanceof Error && 'code' in error) return undefined
        throw error
      })
      if (event === undefined) return events
      events.push(event)
    }
  }

  /** Waits for the first bytes behind which `found` holds of all bytes so far. */
  async until(what: string, found: (raw: string) => boolean): Promise<void> {
    while (!found(this.#raw)) {
      if (!(await this.#more())) throw new Error(`the stream ended before ${what}`)
    }
  }

  get comments(): readonly string[] {
    return this.#parser.comments
  }

  get retryMs(): number | undefined {
    return this.#parser.retryMs
  }

  get lastEventId(): string {
    return this.#parser.lastEventId
  }

  /** Everything received, as text. */
  get raw(): string {
    return this.#raw
  }

  async close(): Promise<void> {
    this.#abort.abort()
    await this.#agent.destroy()
  }

  async #more(): Promise<boolean> {
    const chunk = await within('more of the event stream', this.#deadlineMs, this.#source.next())
    if (chunk.done === true) return false
    this.#raw += Buffer.from(chunk.value).toString('utf8')
    this.#parser.push(chunk.value)
    return true
  }
}
