/** What holds for every answer: names that are given back, methods, and HTTP that is broken or hostile. */
import { describe, expect, it } from 'vitest'
import { RawConnection } from '../support/raw-connection.ts'
import type { Api } from './api.ts'
import type { Problem } from './shapes.ts'

const TRACEPARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'

export function describeErrors(api: Api): void {
  describe('every answer', () => {
    describeNames(api)
    describeMethods(api)
  })
  describe('broken HTTP', () => describeBroken(api))
}

function describeNames(api: Api): void {
  it('gives Request-Id back, on success and on failure, and makes one up where there is none', async () => {
    for (const path of ['/v1/cluster', '/v1/nothing']) {
      const named = await api.call('GET', path, { headers: { 'request-id': 'my-request-7' } })
      expect(named.header('request-id')).toBe('my-request-7')
      const unnamed = await api.call('GET', path)
      expect(unnamed.header('request-id')).toMatch(/\S/)
    }
  })

  it('does not give back a Request-Id that is not one', async () => {
    const headers = { 'request-id': 'a b"<script>' }
    const answer = await api.call('GET', '/v1/cluster', { headers })
    expect(answer.header('request-id')).not.toContain('<script>')
  })

  it('names the trace of the caller in a problem', async () => {
    const answer = await api.call('GET', '/v1/nothing', { headers: { traceparent: TRACEPARENT } })
    expect(answer.json<Problem>().traceId).toBe('0af7651916cd43dd8448eb211c80319c')
  })

  it('ignores a traceparent that is none', async () => {
    for (const traceparent of ['x', TRACEPARENT.replace(/^00/, 'ff'), '00-00-00-00']) {
      const answer = await api.call('GET', '/v1/nothing', { headers: { traceparent } })
      expect(answer.json<Problem>().traceId).not.toBe('0af7651916cd43dd8448eb211c80319c')
    }
  })

  it.each(['/v1/topics', '/v1/cluster', '/healthz', '/metrics', '/docs', '/openapi.json'])(
    '%s says nosniff',
    async (path) => {
      const answer = await api.call('GET', path)
      expect(answer.header('x-content-type-options')).toBe('nosniff')
    },
  )
}

function describeMethods(api: Api): void {
  it('answers 405 with the methods that there are', async () => {
    const topic = await api.makeTopic('method')
    const answer = await api.callJson('POST', `/v1/topics/${topic}`, {})
    api.expectProblem(answer, 'method-not-allowed')
    const allowed = (answer.header('allow') ?? '').split(/,\s*/)
    expect(allowed).toEqual(expect.arrayContaining(['GET', 'PUT', 'PATCH', 'DELETE']))
    expect(allowed).not.toContain('POST')
  })

  it('answers OPTIONS with the methods that there are', async () => {
    const answer = await api.call('OPTIONS', '/v1/topics/x/publish')
    expect(answer.status).toBe(204)
    expect(answer.header('allow')).toContain('POST')
  })
}

function describeBroken(api: Api): void {
  const open = (): Promise<RawConnection> => {
    const { hostname, port } = new URL(api.directUrl)
    return RawConnection.open(Number(port || 80), hostname)
  }
  const host = (): string => new URL(api.baseUrl).host

  it.each([
    ['no HTTP', 'hello\r\n\r\n'],
    [
      'two lengths',
      'POST /v1/topics/x/publish HTTP/1.1\r\nHost: HOST\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef',
    ],
    [
      'a length and chunks',
      'POST /v1/topics/x/publish HTTP/1.1\r\nHost: HOST\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    ['a bare CR in a header', 'GET /v1/cluster HTTP/1.1\r\nHost: HOST\r\nX: a\rb\r\n\r\n'],
    ['a space before the colon', 'GET /v1/cluster HTTP/1.1\r\nHost: HOST\r\nX : a\r\n\r\n'],
    [
      'headers above 32 KiB',
      `GET /v1/cluster HTTP/1.1\r\nHost: HOST\r\nX: ${'a'.repeat(40_000)}\r\n\r\n`,
    ],
  ])('refuses %s and closes the connection', async (_, text) => {
    const connection = await open()
    connection.write(text.replace('HOST', host()))
    const status = await connection.status()
    expect(status).toBe(text.length > 32 * 1024 ? 431 : 400)
    await connection.until('closed', () => connection.isClosed)
    expect(connection.isClosed).toBe(true)
  })

  it('answers a body whose chunks are broken, closes the connection and writes nothing', async () => {
    const topic = await api.makeTopic('chunk')
    const connection = await open()
    connection.write(
      `POST /v1/topics/${topic}/records HTTP/1.1\r\nHost: ${host()}\r\n` +
        'Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n' +
        'c\r\n{"value":1}\n\r\nzz\r\n',
    )
    await connection.until('closed', () => connection.isClosed)
    expect(await connection.status()).toBe(400)
    expect(connection.text).toContain('application/problem+json')
    expect(connection.text).toContain('"code":"malformed-request"')
    await api.expectEmpty(topic)
  })

  it('refuses HTTP/1.1 without Host', async () => {
    const connection = await open()
    connection.write('GET /v1/cluster HTTP/1.1\r\n\r\n')
    expect(await connection.status()).toBe(400)
    connection.destroy()
  })

  it('refuses a path that does not decode', async () => {
    const connection = await open()
    connection.write(`GET /v1/topics/%ZZ HTTP/1.1\r\nHost: ${host()}\r\nConnection: close\r\n\r\n`)
    expect(await connection.status()).toBe(400)
    await connection.closed
  })

  it('writes nothing of a body that breaks off', async () => {
    const topic = await api.makeTopic('half')
    const connection = await open()
    connection.write(
      `POST /v1/topics/${topic}/records HTTP/1.1\r\nHost: ${host()}\r\n` +
        'Content-Type: application/x-ndjson\r\nContent-Length: 1000\r\n\r\n{"value":1}\n{"value":2}\n',
    )
    connection.endWriting()
    await connection.until('closed', () => connection.isClosed)
    await api.expectEmpty(topic)
  })

  it('says 100 Continue to a client that asks before it sends', async () => {
    const topic = await api.makeTopic('continue')
    const connection = await open()
    connection.write(
      `POST /v1/topics/${topic}/publish HTTP/1.1\r\nHost: ${host()}\r\nConnection: close\r\n` +
        'Content-Type: text/plain\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n',
    )
    await connection.until('100 Continue', (text) => text.includes('100 Continue'))
    connection.write('hello')
    const text = await connection.until('the answer', (all) => all.includes('HTTP/1.1 201'))
    expect(text).toContain('HTTP/1.1 201')
    connection.destroy()
  })

  it('answers requests that are sent one behind the other in their order', async () => {
    const topic = await api.makeTopic('pipelined')
    const connection = await open()
    const post = (body: string): string =>
      `POST /v1/topics/${topic}/publish HTTP/1.1\r\nHost: ${host()}\r\nContent-Length: ${body.length}\r\n\r\n${body}`
    connection.write(post('a') + post('b') + post('c'))
    await connection.until(
      'three answers',
      (text) => (text.match(/HTTP\/1\.1 201/g)?.length ?? 0) === 3,
    )
    connection.destroy()
    expect((await api.read(topic)).records.map(({ value }) => value)).toEqual(['a', 'b', 'c'])
  })
}
