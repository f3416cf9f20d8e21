/** A thousand followers lose their connections at the same moment and come back at once, again and again. */
import type { ClientRequest } from 'node:http'
import { get } from 'node:http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { call, callJson } from '../support/http-client.ts'
import { SseParser } from '../support/sse-parser.ts'
import { TempServer } from '../support/temp-server.ts'

const FOLLOWERS = 1000
const STORMS = 5
const RECORDS_BETWEEN = 40
/** What the storms may leave behind in the server, all together. */
const GROWTH_BYTES = 64 * 1024 * 1024

let server: TempServer

beforeAll(async () => {
  server = await TempServer.start('storm')
  const made = await callJson(server.baseUrl, 'PUT', '/v1/topics/storm', { partitions: 1 })
  expect(made.status, made.text).toBe(201)
})
afterAll(() => server.close())

/** A reader that goes on where it was, as a browser does. */
class Follower {
  readonly values: number[] = []
  #lastEventId = ''
  #request: ClientRequest | undefined

  /** Resolves when the server has begun to answer. */
  connect(): Promise<void> {
    const parser = new SseParser()
    const headers: Record<string, string> = { accept: 'text/event-stream' }
    if (this.#lastEventId !== '') headers['last-event-id'] = this.#lastEventId
    const path = `${server.baseUrl}/v1/topics/storm/stream?data=value&from=earliest`
    return new Promise((resolve, reject) => {
      const request = get(path, { agent: false, headers }, (response) => {
        if (response.statusCode !== 200) reject(new Error(`status ${response.statusCode}`))
        response.on('error', () => undefined)
        response.on('data', (bytes: Buffer) => {
          if (this.#request !== request) return
          parser.push(bytes)
          for (const { event, data } of parser.events.splice(0)) {
            if (event === 'message') this.values.push(Number(data))
          }
          if (parser.lastEventId !== '') this.#lastEventId = parser.lastEventId
          resolve()
        })
      })
      request.on('error', reject)
      this.#request = request
    })
  }

  cut(): void {
    const request = this.#request
    this.#request = undefined
    request?.destroy()
  }
}

/** Publishes the numbers from 0 on, each when the one before is acknowledged. */
class Counter {
  next = 0

  async run(count: number): Promise<void> {
    for (const end = this.next + count; this.next < end; this.next++) {
      const body = String(this.next)
      const answer = await call(server.baseUrl, 'POST', '/v1/topics/storm/publish', { body })
      expect(answer.status, answer.text).toBe(201)
    }
  }
}

const streams = async (): Promise<number> => {
  const { text } = await call(server.baseUrl, 'GET', '/metrics')
  return Number(/^curlew_streams(?:\{[^}]*\})? (\d+)$/m.exec(text)?.[1])
}

describe('a reconnect storm', () => {
  it(`of ${FOLLOWERS} followers loses no record, gives none twice and leaves nothing behind`, async () => {
    const followers = Array.from({ length: FOLLOWERS }, () => new Follower())
    const counter = new Counter()
    const all = (act: (follower: Follower) => unknown) => Promise.all(followers.map(act))
    const caughtUp = () =>
      eventually('all have all', () =>
        followers.every(({ values }) => values.length >= counter.next) ? true : undefined,
      )
    await all((follower) => follower.connect())
    await counter.run(RECORDS_BETWEEN)
    await caughtUp()
    let settled = 0
    for (let storm = 0; storm < STORMS; storm++) {
      const writing = counter.run(RECORDS_BETWEEN)
      for (const follower of followers) follower.cut()
      await all((follower) => follower.connect())
      await writing
      await caughtUp()
      await eventually('no stream of the last storm is left', async () =>
        (await streams()) === FOLLOWERS ? true : undefined,
      )
      if (storm === 0) settled = await server.process.residentBytes()
    }
    expect((await server.process.residentBytes()) - settled).toBeLessThan(GROWTH_BYTES)

    // The same when it was the server that went.
    await server.process.killHard()
    await server.startAgain()
    await all((follower) => follower.connect())
    await counter.run(RECORDS_BETWEEN)
    await caughtUp()
    const expected = [...Array(counter.next).keys()]
    for (const { values } of followers) expect(values).toEqual(expected)
    for (const follower of followers) follower.cut()
    await eventually('every stream is gone', async () =>
      (await streams()) === 0 ? true : undefined,
    )
  })
})
