/** What every conformance test needs of the server under test: calls, fresh topics, checks of problems. */
import { randomBytes } from 'node:crypto'
import { expect } from 'vitest'
import type { StreamOptions } from '../support/event-stream.ts'
import { EventStream } from '../support/event-stream.ts'
import type { Answer, CallOptions, Method } from '../support/http-client.ts'
import { call, callJson } from '../support/http-client.ts'
import type { ErrorRow } from './error-table.ts'
import { readErrorTable } from './error-table.ts'
import type { Problem, Produced, ReadPage, WireRecord } from './shapes.ts'

export class Api {
  readonly #baseUrl: () => string
  readonly #behindProxy: () => string
  readonly #run = randomBytes(4).toString('hex')
  readonly #errors: ReadonlyMap<string, ErrorRow> = readErrorTable()
  readonly #topics: string[] = []
  readonly #groups: string[] = []

  /** `behindProxy`: where a server is reached itself, if `baseUrl` is that of a proxy. */
  constructor(baseUrl: () => string, behindProxy = baseUrl) {
    this.#baseUrl = baseUrl
    this.#behindProxy = behindProxy
  }

  get baseUrl(): string {
    return this.#baseUrl().replace(/\/$/, '')
  }

  /** For what is no HTTP: a proxy answers that itself. */
  get directUrl(): string {
    return this.#behindProxy().replace(/\/$/, '')
  }

  get errorCodes(): string[] {
    return [...this.#errors.keys()]
  }

  call(method: Method, path: string, options?: CallOptions): Promise<Answer> {
    return call(this.baseUrl, method, path, options)
  }

  callJson(
    method: Method,
    path: string,
    body: unknown,
    headers?: Record<string, string>,
  ): Promise<Answer> {
    return callJson(this.baseUrl, method, path, body, headers)
  }

  stream(path: string, options?: StreamOptions): Promise<EventStream> {
    return EventStream.open(this.baseUrl, path, options)
  }

  /** A name that no other test and no other run uses. */
  freshName(label: string): string {
    const name = `conformance-${this.#run}-${this.#topics.length}-${label}`
    this.#topics.push(name)
    return name
  }

  /** The same for groups. */
  freshGroup(label: string): string {
    const name = `conformance-${this.#run}-${this.#groups.length}-${label}`
    this.#groups.push(name)
    return name
  }

  async makeTopic(label: string, settings: Record<string, unknown> = {}): Promise<string> {
    const name = this.freshName(label)
    const answer = await this.callJson('PUT', `/v1/topics/${name}`, { partitions: 1, ...settings })
    expect(answer.status, answer.text).toBe(201)
    return name
  }

  /** Removes what the run has made. */
  async cleanUp(): Promise<void> {
    for (const name of this.#groups) await this.#removeGroup(name)
    for (const name of this.#topics) await this.call('DELETE', `/v1/topics/${name}`)
  }

  async #removeGroup(name: string): Promise<void> {
    const answer = await this.call('GET', `/v1/groups/${name}`)
    if (answer.status !== 200) return
    const { members } = answer.json<{ members: { memberId: string }[] }>()
    for (const { memberId } of members) {
      await this.call('DELETE', `/v1/groups/${name}/members/${memberId}`)
    }
    await this.call('DELETE', `/v1/groups/${name}`)
  }

  async publish(
    topic: string,
    body: string | Uint8Array,
    options: { query?: string; headers?: Record<string, string> } = {},
  ): Promise<Answer> {
    return this.call('POST', `/v1/topics/${topic}/publish${options.query ?? ''}`, {
      headers: options.headers ?? {},
      body,
    })
  }

  /** Produces and expects that every record was written. */
  async produce(topic: string, records: readonly object[]): Promise<Produced> {
    const answer = await this.callJson('POST', `/v1/topics/${topic}/records`, { records })
    expect(answer.status, answer.text).toBe(200)
    return answer.json<Produced>()
  }

  /** Produces records whose values are 0, 1, … count-1. */
  async produceNumbers(topic: string, count: number, more: object = {}): Promise<Produced> {
    return this.produce(
      topic,
      Array.from({ length: count }, (_, value) => ({ value, ...more })),
    )
  }

  /** Reads one page and expects success. */
  async read(topic: string, query = ''): Promise<ReadPage> {
    const answer = await this.call('GET', `/v1/topics/${topic}/records${query}`)
    expect(answer.status, answer.text).toBe(200)
    return answer.json<ReadPage>()
  }

  /** Follows the cursor from `query` on until a page is empty. */
  async readAll(topic: string, query = ''): Promise<WireRecord[]> {
    const records: WireRecord[] = []
    let page = await this.read(topic, query)
    while (page.records.length > 0) {
      records.push(...page.records)
      page = await this.read(topic, `?cursor=${encodeURIComponent(page.cursor)}`)
    }
    return records
  }

  async expectEmpty(topic: string): Promise<void> {
    expect((await this.read(topic)).records).toEqual([])
  }

  /** Expects a whole and truthful problem document of this code. */
  expectProblem(answer: Answer, code: string): Problem {
    const row = this.#errors.get(code)
    expect(row, `${code} is in the error table`).toBeDefined()
    expect(answer.mediaType, answer.text).toBe('application/problem+json')
    const problem = answer.json<Problem>()
    expect(problem).toMatchObject({
      type: `/problems/${code}`,
      status: row?.status,
      code,
      retryable: row?.retryable,
      committed: row?.committed,
    })
    expect(answer.status).toBe(row?.status)
    expect(problem.title).toMatch(/\S/)
    expect(problem.detail).toMatch(/\S/)
    expect(problem.traceId).toMatch(/\S/)
    expect(answer.header('x-content-type-options')).toBe('nosniff')
    return problem
  }
}
