/** Plain HTTP calls for tests: nothing is followed, inflated, retried or parsed unless asked. */
import { Readable } from 'node:stream'
import { Agent, request } from 'undici'

/** One connection per call, so that no test meets what another one left behind. */
const agent = new Agent({
  pipelining: 0,
  headersTimeout: 90_000,
  bodyTimeout: 90_000,
  allowH2: false,
})

export type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'OPTIONS'

export interface CallOptions {
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array | AsyncIterable<Uint8Array>
  readonly signal?: AbortSignal
  readonly agent?: Agent
}

/** A whole answer. */
export class Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: Buffer

  constructor(status: number, headers: Answer['headers'], body: Buffer) {
    this.status = status
    this.headers = headers
    this.body = body
  }

  get text(): string {
    return this.body.toString('utf8')
  }

  /** The body as JSON, of the shape that the caller then checks. */
  json<T>(): T {
    return JSON.parse(this.text) as T
  }

  header(name: string): string | undefined {
    const value = this.headers[name.toLowerCase()]
    return Array.isArray(value) ? value.join(', ') : value
  }

  /** The media type without its parameters. */
  get mediaType(): string | undefined {
    return this.header('content-type')?.split(';')[0]?.trim()
  }
}

export async function call(
  baseUrl: string,
  method: Method,
  path: string,
  options: CallOptions = {},
): Promise<Answer> {
  const answer = await request(`${baseUrl}${path}`, {
    method,
    headers: options.headers ?? {},
    body: sendable(options.body),
    signal: options.signal ?? null,
    dispatcher: options.agent ?? agent,
  })
  const chunks: Buffer[] = []
  for await (const chunk of answer.body) chunks.push(chunk as Buffer)
  return new Answer(answer.statusCode, answer.headers, Buffer.concat(chunks))
}

function sendable(body: CallOptions['body']): string | Uint8Array | Readable | null {
  if (body === undefined || typeof body === 'string' || body instanceof Uint8Array) {
    return body ?? null
  }
  return Readable.from(body, { objectMode: false })
}

const JSON_HEADERS = { 'content-type': 'application/json' }

/** Calls with a JSON body. */
export function callJson(
  baseUrl: string,
  method: Method,
  path: string,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  return call(baseUrl, method, path, {
    headers: { ...JSON_HEADERS, ...headers },
    body: JSON.stringify(body),
  })
}
