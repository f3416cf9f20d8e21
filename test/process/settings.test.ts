/** What the settings of a standalone server change: origins, hosts, and topics that produce makes. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { call } from '../support/http-client.ts'
import { RawConnection } from '../support/raw-connection.ts'
import { TempServer } from '../support/temp-server.ts'

const ALLOWED = 'https://shop.example'
let server: TempServer

beforeAll(async () => {
  server = await TempServer.start('browser-rules', [
    `--cors-origin=${ALLOWED}`,
    '--allowed-host=log.example',
  ])
})
afterAll(() => server.close())

describe('an allowed origin', () => {
  const headers = { origin: ALLOWED, 'sec-fetch-site': 'cross-site' }

  it('may write and read, and sees the headers that it needs', async () => {
    const published = await call(server.baseUrl, 'POST', '/v1/topics/cors/publish', {
      headers,
      body: 'x',
    })
    expect(published.status, published.text).toBe(201)
    expect(published.header('access-control-allow-origin')).toBe(ALLOWED)
    expect(published.header('vary')?.toLowerCase()).toContain('origin')
    const exposed = (published.header('access-control-expose-headers') ?? '').toLowerCase()
    for (const name of ['location', 'request-id', 'retry-after', 'cursor', 'etag', 'link']) {
      expect(exposed).toContain(name)
    }
    const read = await call(server.baseUrl, 'GET', '/v1/topics/cors/records', { headers })
    expect(read.header('access-control-allow-origin')).toBe(ALLOWED)
  })

  it('passes the preflight for every method and header of the interface', async () => {
    const wanted = [
      'content-type',
      'record-key',
      'record-timestamp',
      'if-match',
      'last-event-id',
      'prefer',
      'request-id',
      'traceparent',
      'content-encoding',
    ]
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
      const answer = await call(server.baseUrl, 'OPTIONS', '/v1/topics/cors', {
        headers: {
          ...headers,
          'access-control-request-method': method,
          'access-control-request-headers': wanted.join(', '),
        },
      })
      expect(answer.status).toBe(204)
      expect(answer.header('access-control-allow-methods')).toContain(method)
      const allowed = (answer.header('access-control-allow-headers') ?? '').toLowerCase()
      for (const name of wanted) expect(allowed).toContain(name)
    }
  })

  it('sees errors, too', async () => {
    const answer = await call(server.baseUrl, 'GET', '/v1/topics/missing', { headers })
    expect([answer.status, answer.header('access-control-allow-origin')]).toEqual([404, ALLOWED])
  })

  it('may follow', async () => {
    await call(server.baseUrl, 'POST', '/v1/topics/followed/publish', { body: 'x' })
    const connection = await RawConnection.open(server.process.port)
    connection.write(
      `GET /v1/topics/followed/stream?from=earliest HTTP/1.1\r\nHost: localhost\r\nOrigin: ${ALLOWED}\r\n\r\n`,
    )
    const text = await connection.until('a record', (all) => all.includes('data:'))
    expect(text.toLowerCase()).toContain(`access-control-allow-origin: ${ALLOWED}`)
    connection.destroy()
  })

  it('is matched whole', async () => {
    for (const origin of [
      `${ALLOWED}.evil`,
      'http://shop.example',
      `${ALLOWED}:8443`,
      'shop.example',
    ]) {
      const answer = await call(server.baseUrl, 'POST', '/v1/topics/cors/publish', {
        headers: { origin },
        body: 'x',
      })
      expect(answer.status, origin).toBe(403)
      expect(answer.header('access-control-allow-origin')).toBeUndefined()
    }
  })
})

describe('Host, while bound to loopback', () => {
  const ask = async (host: string): Promise<number | undefined> => {
    const connection = await RawConnection.open(server.process.port)
    connection.write(`GET /v1/cluster HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)
    const status = await connection.status()
    connection.destroy()
    return status
  }

  it.each(['localhost', 'localhost:9999', '127.0.0.1', '[::1]', 'log.example', 'LOG.example:80'])(
    'takes %s',
    async (host) => expect(await ask(host)).toBe(200),
  )

  it.each([
    'evil.example',
    'localhost.evil.example',
    'xlog.example',
    '127.0.0.1.nip.io',
    '10.0.0.1',
  ])('refuses %s', async (host) => expect(await ask(host)).toBe(403))

  it('refuses also a stream and a probe for another host', async () => {
    for (const path of ['/v1/topics/cors/stream', '/metrics', '/openapi.json']) {
      const answer = await call(server.baseUrl, 'GET', path, { headers: { host: 'evil.example' } })
      expect(answer.json<{ code: string }>().code, path).toBe('host-not-allowed')
    }
  })
})

describe('a topic that is not there', () => {
  it('is made by the first produce, with one partition, and only by a produce', async () => {
    expect((await call(server.baseUrl, 'GET', '/v1/topics/auto/records')).status).toBe(404)
    const published = await call(server.baseUrl, 'POST', '/v1/topics/auto/publish', { body: 'x' })
    expect(published.status, published.text).toBe(201)
    const second = await call(server.baseUrl, 'POST', '/v1/topics/auto/publish?partition=1', {
      body: 'x',
    })
    expect(second.status).toBe(404)
    const records = await call(server.baseUrl, 'POST', '/v1/topics/auto-2/records', {
      headers: { 'content-type': 'application/json' },
      body: '{"records":[{"value":1}]}',
    })
    expect(records.status, records.text).toBe(200)
  })

  it('is not made by a produce that is refused', async () => {
    const refused = await call(server.baseUrl, 'POST', '/v1/topics/never/publish', {
      headers: { 'content-type': 'application/json' },
      body: '{',
    })
    expect(refused.status).toBe(422)
    expect((await call(server.baseUrl, 'GET', '/v1/topics/never')).status).toBe(404)
  })
})
