/** What shows only on real connections: bad HTTP, too many connections, draining, a client that leaves. */
import { afterEach, describe, expect, test } from 'vitest'
import type { App } from '../../src/http/app.ts'
import { RawSocket } from './raw-socket.ts'
import { listen, testApp } from './test-app.ts'

let app: App | undefined

afterEach(async () => {
  app?.server.closeAllConnections()
  await app?.close()
  app = undefined
})

describe('what is not HTTP', () => {
  test.each([
    ['GARBAGE\r\n\r\n', 400, 'malformed-request'],
    [
      `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(40_000)}\r\n\r\n`,
      431,
      'headers-too-large',
    ],
    [
      'GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n',
      400,
      'malformed-request',
    ],
    [
      'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
      400,
      'malformed-request',
    ],
  ])('is answered with a problem and closed', async (bytes, status, code) => {
    app = testApp()
    const socket = await RawSocket.open(await listen(app))
    socket.write(bytes)
    const text = await socket.closed()
    expect(text).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    expect(text).toContain('application/problem+json')
    expect(text).toContain(`"code":"${code}"`)
  })

  test.each([
    ['a chunk whose size is none', 'zz\r\n', 400, 'malformed-request'],
    ['a chunk that is longer than it says', '3\r\nabcdef\r\n', 400, 'malformed-request'],
    [
      'trailers that are too large',
      `0\r\nX: ${'x'.repeat(40_000)}\r\n\r\n`,
      431,
      'headers-too-large',
    ],
  ])('a body with %s is answered with a problem and closed', async (_, rest, status, code) => {
    app = testApp()
    app.post('/v1/take', { config: { body: 'raw' } }, (request) => ({ got: String(request.body) }))
    const socket = await RawSocket.open(await listen(app))
    socket.write('POST /v1/take HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n')
    socket.write(`3\r\nabc\r\n${rest}`)
    const text = await socket.closed()
    expect(text).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    expect(text).toContain('application/problem+json')
    expect(text).toContain(`"code":"${code}"`)
    expect(text.match(/^HTTP\/1\.1 \d/gm)).toHaveLength(1)
  })

  test('garbage behind a request does not take the place of its answer', async () => {
    app = testApp()
    const { promise, resolve } = Promise.withResolvers<void>()
    app.get('/v1/slow', async () => {
      await promise
      return { fine: true }
    })
    const socket = await RawSocket.open(await listen(app))
    socket.write('GET /v1/slow HTTP/1.1\r\nHost: localhost\r\n\r\nGARBAGE\r\n\r\n')
    expect(await socket.closed()).toBe('')
    resolve()
  })

  test('a request without Host is answered with a problem', async () => {
    app = testApp()
    const socket = await RawSocket.open(await listen(app))
    socket.write('GET / HTTP/1.1\r\n\r\n')
    const text = await socket.until(/traceId/)
    expect(text).toMatch(/^HTTP\/1\.1 400 /)
    expect(text).toContain('"code":"malformed-request"')
    socket.destroy()
  })

  test('an expectation that nobody knows is ignored', async () => {
    app = testApp()
    app.get('/v1/read', () => ({ fine: true }))
    const socket = await RawSocket.open(await listen(app))
    socket.write('GET /v1/read HTTP/1.1\r\nHost: localhost\r\nExpect: wonders\r\n\r\n')
    expect(await socket.until(/fine/)).toMatch(/^HTTP\/1\.1 200 /)
    socket.destroy()
  })

  test('a line break in a header never reaches the answer', async () => {
    app = testApp()
    const socket = await RawSocket.open(await listen(app))
    socket.write('GET /x HTTP/1.1\r\nHost: localhost\r\nRequest-Id: a\nEvil: 1\r\n\r\n')
    const text = await socket.until(/\r\n\r\n/)
    expect(text).not.toMatch(/^evil/im)
    socket.destroy()
  })

  test('an upgrade to another protocol is not taken', async () => {
    app = testApp()
    app.get('/v1/read', () => ({ fine: true }))
    const socket = await RawSocket.open(await listen(app))
    socket.write(
      'GET /v1/read HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
    )
    expect(await socket.until(/fine/)).toMatch(/^HTTP\/1\.1 200 /)
    socket.destroy()
  })
})

describe('connections', () => {
  test('beyond the bound hear 503 and are closed; one that ends makes room', async () => {
    app = testApp({}, { maxConnections: 2 })
    app.get('/v1/read', () => ({ fine: true }))
    const port = await listen(app)
    const ask = 'GET /v1/read HTTP/1.1\r\nHost: localhost\r\n\r\n'
    const sockets = [await RawSocket.open(port), await RawSocket.open(port)]
    for (const socket of sockets) {
      socket.write(ask)
      await socket.until(/fine/)
    }
    const third = await RawSocket.open(port)
    third.write(ask)
    const text = await third.closed()
    expect(text).toMatch(/^HTTP\/1\.1 503 /)
    expect(text).toMatch(/"code":"overloaded"/)
    expect(text).toMatch(/retry-after: 1/i)
    sockets[0]?.end()
    await sockets[0]?.closed()
    const fourth = await RawSocket.open(port)
    fourth.write(ask)
    expect(await fourth.until(/\}$/)).toMatch(/^HTTP\/1\.1 200 /)
    for (const socket of [...sockets, fourth]) socket.destroy()
  })
})

describe('draining', () => {
  test('new work is 503 and the connection closed; probes are still answered', async () => {
    let draining = false
    app = testApp({ draining: () => draining })
    app.get('/v1/read', () => ({ fine: true }))
    app.get('/healthz', () => ({ status: 'ok' }))
    const port = await listen(app)
    const ask = (path: string) => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`
    const socket = await RawSocket.open(port)
    socket.write(ask('/v1/read'))
    await socket.until(/fine/)
    draining = true
    socket.write(ask('/v1/read'))
    const text = await socket.closed()
    expect(text).toMatch(/HTTP\/1\.1 200 .*HTTP\/1\.1 503 /s)
    expect(text).toMatch(/"code":"draining".*"retryable":true.*"committed":"no"/)
    expect(text).toMatch(/Connection: close/i)
    const probe = await RawSocket.open(port)
    probe.write(ask('/healthz?from=probe'))
    expect(await probe.closed()).toMatch(/^HTTP\/1\.1 200 .*Connection: close/is)
  })
})

describe('request.signal', () => {
  test('aborts when the client leaves, and not when the body has been read or the answer sent', async () => {
    app = testApp()
    const signals: AbortSignal[] = []
    let answer: () => void = () => undefined
    app.post('/v1/wait', { config: { body: 'raw' } }, async (request) => {
      signals.push(request.signal)
      expect(request.signal).toBe(signals.at(-1))
      await new Promise<void>((resolve) => {
        answer = resolve
      })
      return { fine: true }
    })
    const port = await listen(app)
    const ask = 'POST /v1/wait HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nok'
    const stays = await RawSocket.open(port)
    stays.write(ask)
    await until(() => signals.length === 1)
    // Another round trip: time enough for a signal that is tied to the request to fire.
    await fetch(`http://127.0.0.1:${port}/nothing`)
    expect(signals[0]?.aborted).toBe(false)
    answer()
    await stays.until(/fine/)
    expect(signals[0]?.aborted).toBe(false)

    const leaves = await RawSocket.open(port)
    leaves.write(ask)
    await until(() => signals.length === 2)
    expect(signals[1]?.aborted).toBe(false)
    leaves.destroy()
    await until(() => signals[1]?.aborted === true)
    answer()
    stays.destroy()
    expect(signals[0]?.aborted).toBe(false)
  })
})

/** Turns the event loop until the condition holds; the time limit of the test is the bound. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve))
}
