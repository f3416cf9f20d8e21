/** Clients that stall, dawdle, break off and come in crowds: the server stays up, small and open to others. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { call, callJson } from '../support/http-client.ts'
import { RawConnection } from '../support/raw-connection.ts'
import { TempServer } from '../support/temp-server.ts'

const MIB = 1024 * 1024
const STALLED_READERS = 500
/** Much more than the sockets hold, so that what stalled readers do not take would pile up. */
const TOPIC_BYTES = 96 * MIB
/** A reader may hold at most 1 MiB; readers of the same records are expected to share most of it. */
const GROWTH_BYTES = 300 * MIB

let server: TempServer

beforeAll(async () => {
  server = await TempServer.start('hostile')
  await callJson(server.baseUrl, 'PUT', '/v1/topics/large', { partitions: 1 })
  const body = `{"value":"${'x'.repeat(10_000)}"}\n`.repeat(800)
  for (let sent = 0; sent < TOPIC_BYTES; sent += body.length) {
    const answer = await call(server.baseUrl, 'POST', '/v1/topics/large/records', {
      headers: { 'content-type': 'application/x-ndjson' },
      body,
    })
    expect(answer.status, answer.text.slice(0, 300)).toBe(200)
  }
}, 120_000)
afterAll(() => server.close())

const open = (text: string): Promise<RawConnection> =>
  RawConnection.open(server.process.port).then((connection) => {
    connection.write(text)
    return connection
  })

const serves = async (): Promise<void> => {
  const answer = await call(server.baseUrl, 'POST', '/v1/topics/others/publish', { body: 'x' })
  expect(answer.status, answer.text).toBe(201)
}

describe('hostile clients', () => {
  it.concurrent(`${STALLED_READERS} streams that nobody reads cost little memory and are closed`, async () => {
    const before = await server.process.residentBytes()
    const request = 'GET /v1/topics/large/stream?from=earliest HTTP/1.1\r\nHost: localhost\r\n\r\n'
    const readers = await Promise.all(
      Array.from({ length: STALLED_READERS }, async () => {
        const reader = await open(request)
        await reader.until('the first bytes', (text) => text.length > 0)
        reader.stall()
        return reader
      }),
    )
    let peak = 0
    const streams = async (): Promise<number> => {
      peak = Math.max(peak, await server.process.residentBytes())
      const { text } = await call(server.baseUrl, 'GET', '/metrics')
      return Number(/^curlew_streams(?:\{[^}]*\})? (\d+)$/m.exec(text)?.[1])
    }
    expect(await streams()).toBeGreaterThan(0)
    await serves()
    await eventually(
      'all stalled streams closed',
      async () => (await streams()) === 0 || undefined,
      60_000,
    )
    console.info(`resident: ${before / MIB} MiB before, at most ${peak / MIB} MiB`)
    expect(peak - before).toBeLessThan(GROWTH_BYTES)
    for (const reader of readers) reader.destroy()
    await serves()
  }, 120_000)

  it.concurrent('closes connections whose request does not come, and answers 408 where the body stops', async () => {
    const silent = await open('')
    const dawdling = await open('GET /v1/cluster HTTP/1.1\r\nHost: loc')
    const halfBody = await open(
      'POST /v1/topics/others/publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc',
    )
    expect(await halfBody.status(60_000)).toBe(408)
    for (const connection of [silent, dawdling]) {
      await connection.until('closed', () => connection.isClosed, 90_000)
      expect(connection.isClosed).toBe(true)
    }
    const { text } = await call(server.baseUrl, 'GET', '/v1/topics/others/records?limit=10000')
    expect(text).not.toContain('abc')
  }, 120_000)

  it('stays as large as it is, however many clients come, ask and break off', async () => {
    const requests = [
      'GET /v1/topics/large/records?from=latest&wait=55 HTTP/1.1\r\nHost: localhost\r\n\r\n',
      'GET /v1/topics/large/records?maxBytes=8388608 HTTP/1.1\r\nHost: localhost\r\n\r\n',
      'GET /v1/topics/large/stream HTTP/1.1\r\nHost: localhost\r\n\r\n',
      'GET /v1/topics/large/stream?from=earliest HTTP/1.1\r\nHost: localhost\r\n\r\n',
      `POST /v1/topics/others/records HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nContent-Length: 9000000\r\n\r\n${'{"value":1}\n'.repeat(20_000)}`,
      'POST /v1/topics/others/records HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 3\r\n\r\n{{{',
      `GET /${'a'.repeat(8_000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`,
    ]
    const wave = async (): Promise<void> => {
      for (let i = 0; i < 40; i++) {
        const crowd = await Promise.all(requests.flatMap((text) => [open(text), open(text)]))
        // Some go before they are answered, some in the middle, some behind the answer.
        if (i % 2 === 0) await serves()
        for (const connection of crowd) connection.destroy()
      }
      await eventually('all have gone', async () => {
        const { text } = await call(server.baseUrl, 'GET', '/metrics')
        const left = [...text.matchAll(/^curlew_(?:streams|waiting_reads)(?:\{[^}]*\})? (\d+)$/gm)]
        expect(left.length).toBeGreaterThan(0)
        return left.every(([, count]) => count === '0') ? true : undefined
      })
    }
    await wave()
    await wave()
    const settled = await server.process.residentBytes()
    for (let i = 0; i < 4; i++) await wave()
    const later = await server.process.residentBytes()
    console.info(`resident: ${settled / MIB} MiB, after more of the same ${later / MIB} MiB`)
    expect(later - settled).toBeLessThan(64 * MIB)
  }, 180_000)

  it('refuses connections beyond its bound, and takes them again once others went', async () => {
    const bounded = await TempServer.start('bounded', ['--max-connections=50'])
    try {
      const idle = await Promise.all(
        Array.from({ length: 60 }, () => RawConnection.open(bounded.process.port)),
      )
      const refused = await call(bounded.baseUrl, 'GET', '/v1/cluster').then(
        (answer) => answer.status,
        () => 503,
      )
      expect(refused).toBe(503)
      for (const connection of idle) connection.destroy()
      await eventually('open again', async () => {
        const status = await call(bounded.baseUrl, 'GET', '/v1/cluster').then((a) => a.status)
        return status === 200 || undefined
      })
    } finally {
      await bounded.close()
    }
  })
})
