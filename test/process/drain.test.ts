/** SIGTERM: nothing is cut off that can be finished, and every client is told. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { EventStream } from '../support/event-stream.ts'
import { eventually, within } from '../support/eventually.ts'
import { History } from '../support/history-checker.ts'
import { call, callJson } from '../support/http-client.ts'
import { Load, readTopic } from '../support/load.ts'
import { RawConnection } from '../support/raw-connection.ts'
import { seededRandom } from '../support/seeded-random.ts'
import { TempServer } from '../support/temp-server.ts'

const TOPIC = 'drained'
let server: TempServer

beforeEach(async () => {
  server = await TempServer.start('drain')
  const made = await callJson(server.baseUrl, 'PUT', `/v1/topics/${TOPIC}`, { partitions: 2 })
  expect(made.status, made.text).toBe(201)
})
afterEach(() => server.close())

/** Resolves once the server takes no new work. */
const draining = (): Promise<true> =>
  eventually('draining', async () => {
    const status = await call(server.baseUrl, 'GET', '/readyz').then(
      (answer) => answer.status,
      () => 'refused',
    )
    return status === 503 || status === 'refused' ? true : undefined
  })

describe('SIGTERM', () => {
  it('ends an idle server with code 0, which starts again with all it had', async () => {
    await callJson(server.baseUrl, 'POST', `/v1/topics/${TOPIC}/records`, {
      records: [{ value: 'a' }, { value: 'b' }],
    })
    const before = await readTopic(server.baseUrl, TOPIC)
    expect(await server.process.stop()).toEqual({ code: 0, signal: null })
    await server.startAgain()
    expect(await readTopic(server.baseUrl, TOPIC)).toEqual(before)
  })

  it('answers a long-poll at once, with a cursor that goes on after the restart', async () => {
    const waiting = call(server.baseUrl, 'GET', `/v1/topics/${TOPIC}/records?wait=55`)
    const parked = await RawConnection.open(server.process.port)
    parked.write(`GET /v1/topics/${TOPIC}/records?wait=55 HTTP/1.1\r\nHost: localhost\r\n\r\n`)
    await parkedReaders(2)
    const stopped = server.process.stop()
    const answer = await within('answered', 10_000, waiting)
    const { records, cursor } = answer.json<{ records: unknown[]; cursor: string }>()
    expect([answer.status, records]).toEqual([200, []])
    expect(
      (await parked.until('an answer', (text) => text.includes('\r\n\r\n'))).toLowerCase(),
    ).toContain('connection: close')
    await stopped
    await server.startAgain()
    await call(server.baseUrl, 'POST', `/v1/topics/${TOPIC}/publish`, { body: 'next' })
    const next = await call(server.baseUrl, 'GET', `/v1/topics/${TOPIC}/records?cursor=${cursor}`)
    expect(next.json<{ records: { value: string }[] }>().records[0]?.value).toBe('next')
  })

  it('ends a stream with the reason and the cursor to go on from', async () => {
    await call(server.baseUrl, 'POST', `/v1/topics/${TOPIC}/publish`, { body: 'first' })
    const stream = await EventStream.open(
      server.baseUrl,
      `/v1/topics/${TOPIC}/stream?from=earliest`,
    )
    const [first] = await stream.take(1)
    const stopped = server.process.stop()
    const rest = await stream.rest()
    const end = rest.at(-1)
    expect(end?.event).toBe('end')
    expect(JSON.parse(end?.data ?? '')).toMatchObject({ reason: 'draining' })
    await stopped
    await server.startAgain()
    await call(server.baseUrl, 'POST', `/v1/topics/${TOPIC}/publish`, { body: 'second' })
    const again = await EventStream.open(
      server.baseUrl,
      `/v1/topics/${TOPIC}/stream?from=earliest`,
      { headers: { 'last-event-id': stream.lastEventId } },
    )
    expect(stream.lastEventId).toBe(first?.id)
    const [second] = await again.take(1)
    expect(JSON.parse(second?.data ?? '')).toMatchObject({ value: 'second' })
    await again.close()
  })

  it('finishes a produce whose body is still arriving', async () => {
    const producer = await RawConnection.open(server.process.port)
    producer.write(
      `POST /v1/topics/${TOPIC}/publish HTTP/1.1\r\nHost: localhost\r\n` +
        'Content-Type: text/plain\r\nContent-Length: 10\r\n\r\nhello',
    )
    // The server has begun with it when it has answered a later request of another connection.
    await call(server.baseUrl, 'GET', '/healthz')
    const stopped = server.process.stop()
    await draining()
    producer.write('world')
    expect(await producer.status()).toBe(201)
    expect(await stopped).toEqual({ code: 0, signal: null })
    await server.startAgain()
    const values = (await readTopic(server.baseUrl, TOPIC)).map(({ value }) => value)
    expect(values).toEqual(['helloworld'])
  })

  it('under load loses nothing that was acknowledged, and says the truth of the rest', async () => {
    const history = new History()
    const load = new Load({
      baseUrl: server.baseUrl,
      topics: [TOPIC],
      writers: 8,
      readers: 2,
      history: () => history,
      random: seededRandom('SIGTERM under load'),
      round: 0,
    })
    await load.acknowledged(200)
    expect(await server.process.stop()).toEqual({ code: 0, signal: null })
    await load.finish()
    await server.startAgain()
    expect(history.anomalies(await readTopic(server.baseUrl, TOPIC))).toEqual([])
    expect(history.count('written')).toBeGreaterThan(200)
  })

  it('sent twice ends at once what would not end by itself', async () => {
    const stuck = await RawConnection.open(server.process.port)
    stuck.write(
      `POST /v1/topics/${TOPIC}/publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhel`,
    )
    await call(server.baseUrl, 'GET', '/healthz')
    server.process.signal('SIGTERM')
    await draining()
    server.process.signal('SIGTERM')
    const exit = await within('the end', 5_000, server.process.exited)
    expect(exit).not.toEqual({ code: 0, signal: null })
    await server.startAgain()
    expect(await readTopic(server.baseUrl, TOPIC)).toEqual([])
  })

  it('works alike by SIGINT', async () => {
    server.process.signal('SIGINT')
    const exit = await within('the end', 20_000, server.process.exited)
    expect(exit).toEqual({ code: 0, signal: null })
  })
})

/** Resolves once so many reads are parked, as the server counts them. */
async function parkedReaders(count: number): Promise<void> {
  await eventually('readers parked', async () => {
    const { text } = await call(server.baseUrl, 'GET', '/metrics')
    const parked = /^curlew_waiting_reads(?:\{[^}]*\})? (\d+)$/m.exec(text)?.[1]
    return Number(parked) >= count ? true : undefined
  })
}
