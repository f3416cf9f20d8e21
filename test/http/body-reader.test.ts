/** Bodies on real connections: whole and in pieces, inflated, too large, cut off, refused. */
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { afterEach, describe, expect, test } from 'vitest'
import type { App, AppDeps, AppOptions } from '../../src/http/app.ts'
import { rawBody, streamedBody } from '../../src/http/body-reader.ts'
import { RawSocket } from './raw-socket.ts'
import { listen, ManualClock, testApp } from './test-app.ts'

type Body = string | Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array>

const LIMIT = 256 * 1024
let app: App | undefined
const kept: Buffer[] = []

afterEach(async () => {
  kept.length = 0
  app?.server.closeAllConnections()
  await app?.close()
  app = undefined
})

async function serve(deps: Partial<AppDeps> = {}, options: Partial<AppOptions> = {}) {
  app = testApp(deps, { maxRequestBytes: LIMIT, ...options })
  app.post('/raw', { config: { body: 'raw' } }, (request, reply) => {
    const body = rawBody(request)
    kept.push(body)
    reply.send({ bytes: body.length, sum: sum(body) })
  })
  app.post('/stream', { config: { body: 'stream' } }, async (request) => {
    let bytes = 0
    for await (const piece of streamedBody(request)) {
      bytes += piece.length
      if (bytes > 10 * LIMIT) return { stopped: true }
    }
    return { bytes }
  })
  app.post('/json', (request) => ({ body: request.body }))
  const port = await listen(app)
  const url = `http://127.0.0.1:${port}`
  const post = async (path: string, body: Body, headers: Record<string, string> = {}) => {
    const init: RequestInit & { duplex: 'half' } = { method: 'POST', body, headers, duplex: 'half' }
    const answer = await fetch(url + path, init)
    return {
      status: answer.status,
      headers: answer.headers,
      json: (await answer.json()) as Record<string, unknown>,
    }
  }
  return { port, post }
}

function sum(bytes: Uint8Array): number {
  let total = 0
  for (const byte of bytes) total = (total + byte) % 65_521
  return total
}

function someBytes(length: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8)) & 0xff)
}

/** The same bytes without a length, in pieces. */
function chunked(bytes: Uint8Array, pieceBytes: number): ReadableStream<Uint8Array> {
  let at = 0
  return new ReadableStream({
    pull(controller) {
      controller.enqueue(bytes.subarray(at, at + pieceBytes))
      at += pieceBytes
      if (at >= bytes.length) controller.close()
    },
  })
}

describe('whole bodies', () => {
  test.each([0, 1, 1000, 70_000, LIMIT])('%i bytes arrive as they are', async (length) => {
    const { post } = await serve()
    const bytes = someBytes(length)
    const answer = await post('/raw', bytes, { 'content-type': 'application/octet-stream' })
    expect(answer.json).toEqual({ bytes: length, sum: sum(bytes) })
  })

  test('of unknown length', async () => {
    const { post } = await serve()
    const bytes = someBytes(200_000)
    const answer = await post('/raw', chunked(bytes, 7_001))
    expect(answer.json).toEqual({ bytes: bytes.length, sum: sum(bytes) })
  })

  test('a body that was kept is not touched by those that follow on the connection', async () => {
    const { port } = await serve()
    const socket = await RawSocket.open(port)
    const letters = 'abcdefghij'
    for (const letter of letters) {
      socket.write(
        `POST /raw HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n${letter.repeat(1000)}`,
      )
    }
    await socket.until(/(?:HTTP.*){10}/s)
    expect(kept.map((body) => body.toString('latin1'))).toEqual(
      [...letters].map((letter) => letter.repeat(1000)),
    )
    socket.destroy()
  })
})

describe('the bound', () => {
  test('a declared length beyond it is refused before a byte is sent', async () => {
    const { port } = await serve()
    const socket = await RawSocket.open(port)
    socket.write(
      `POST /raw HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: ${LIMIT + 1}\r\n\r\n`,
    )
    const text = await socket.closed()
    expect(text).toMatch(/^HTTP\/1\.1 413 /)
    expect(text).not.toContain('100 Continue')
    expect(text).toContain(`"limit":${LIMIT}`)
  })

  test('a body that is within it is asked for', async () => {
    const { port } = await serve()
    const socket = await RawSocket.open(port)
    socket.write(
      'POST /raw HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n',
    )
    await socket.until(/^HTTP\/1\.1 100 Continue\r\n\r\n$/)
    socket.write('abcd')
    expect(await socket.until(/"bytes":4/)).toMatch(/HTTP\/1\.1 200 /)
    socket.destroy()
  })

  test('a body of unknown length is refused as soon as it is beyond', async () => {
    const { post } = await serve()
    const answer = await post('/raw', chunked(someBytes(LIMIT + 1), 50_000))
    expect(answer.status).toBe(413)
    expect(answer.json).toMatchObject({ code: 'body-too-large', limit: LIMIT, committed: 'no' })
  })

  test('a client that sends everything before it looks still reads why it was refused', async () => {
    const { port } = await serve()
    const socket = await RawSocket.open(port)
    socket.write(`POST /raw HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${LIMIT * 8}\r\n\r\n`)
    socket.write(Buffer.alloc(LIMIT * 8))
    socket.write('POST /raw HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nok')
    const text = await socket.until(/"bytes":2/)
    expect(text).toMatch(/^HTTP\/1\.1 413 .*HTTP\/1\.1 200 /s)
    socket.destroy()
  })

  test('also a client that asks for the end of the connection reads why, and gets the end', async () => {
    const { port } = await serve()
    const socket = await RawSocket.open(port)
    socket.write(
      `POST /raw HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: ${LIMIT * 8}\r\n\r\n`,
    )
    await socket.until(/"limit"/)
    socket.write(Buffer.alloc(LIMIT * 8))
    expect(await socket.closed()).toMatch(/^HTTP\/1\.1 413 /)
    expect(socket.failed).toBe(false)
  })

  test('JSON bodies have a smaller one', async () => {
    const { post } = await serve({}, { maxRequestBytes: 4 * LIMIT })
    const body = JSON.stringify('x'.repeat(LIMIT))
    const answer = await post('/json', body, { 'content-type': 'application/json' })
    expect(answer.status).toBe(413)
    expect(answer.json).toMatchObject({ limit: LIMIT })
  })
})

describe('compressed bodies', () => {
  const encodings = [
    ['gzip', gzipSync],
    ['x-gzip', gzipSync],
    ['zstd', zstdCompressSync],
  ] as const

  test.each(encodings)('%s is inflated', async (name, compress) => {
    const { post } = await serve()
    const bytes = someBytes(LIMIT)
    const headers = { 'content-encoding': name, 'content-type': 'text/plain' }
    const raw = await post('/raw', new Uint8Array(compress(bytes)), headers)
    expect(raw.json).toEqual({ bytes: LIMIT, sum: sum(bytes) })
    const streamed = await post('/stream', new Uint8Array(compress(bytes)), headers)
    expect(streamed.json).toEqual({ bytes: LIMIT })
  })

  test.each(encodings)('a bomb in %s is 413 and its memory never taken', async (name, compress) => {
    const { post } = await serve()
    const bomb = new Uint8Array(compress(Buffer.alloc(512 * LIMIT)))
    expect(bomb.length).toBeLessThan(LIMIT)
    const answer = await post('/raw', bomb, { 'content-encoding': name })
    expect(answer.status).toBe(413)
    expect(answer.json).toMatchObject({ code: 'body-too-large', limit: LIMIT })
    // The buffers that grew on the way are bounded by the limit, too: none was kept for the handler.
    expect(kept).toHaveLength(0)
  })

  test('a zstd frame that asks for a window of 128 MiB is refused', async () => {
    const { post } = await serve()
    // Magic, frame header (no checksum, no content size), window descriptor 2^27, an empty last block.
    const frame = Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0x00, (27 - 10) << 3, 0x01, 0x00, 0x00)
    const answer = await post('/raw', frame, { 'content-encoding': 'zstd' })
    expect(answer.status).toBe(400)
    expect(answer.json).toMatchObject({ code: 'malformed-request' })
    const small = Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0x00, (20 - 10) << 3, 0x01, 0x00, 0x00)
    expect((await post('/raw', small, { 'content-encoding': 'zstd' })).json['bytes']).toBe(0)
  })

  test.each(['/raw', '/stream'])('%s: what is cut off or not compressed is 400', async (path) => {
    const { post } = await serve()
    const whole = gzipSync(someBytes(50_000))
    for (const body of [whole.subarray(0, whole.length >> 1), Buffer.from('not gzip')]) {
      const answer = await post(path, new Uint8Array(body), { 'content-encoding': 'gzip' })
      expect(answer.status).toBe(400)
      expect(answer.json).toMatchObject({ code: 'malformed-request' })
    }
  })

  test('an unknown encoding is 415 and says what is taken', async () => {
    const { post } = await serve()
    const answer = await post('/raw', 'x', { 'content-encoding': 'br' })
    expect(answer.status).toBe(415)
    expect(answer.json).toMatchObject({ code: 'unsupported-content-encoding' })
    expect(answer.headers.get('accept-encoding')).toBe('gzip, zstd')
  })
})

describe('bodies in pieces', () => {
  test('have no bound but are pulled only as they are used', async () => {
    const { post } = await serve()
    const answer = await post('/stream', chunked(someBytes(8 * LIMIT), 100_000))
    expect(answer.json).toEqual({ bytes: 8 * LIMIT })
  })

  test('may be left in the middle; the answer arrives and the connection is cut in the end', async () => {
    const clock = new ManualClock()
    const { port } = await serve({ clock })
    const socket = await RawSocket.open(port)
    socket.write('POST /stream HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n')
    const piece = Buffer.alloc(64 * 1024)
    for (let i = 0; i < 50; i++)
      socket.write(Buffer.concat([Buffer.from('10000\r\n'), piece, Buffer.from('\r\n')]))
    await socket.until(/"stopped":true/)
    clock.advance(2_000)
    await socket.closed()
    expect(socket.received).toMatch(/^HTTP\/1\.1 200 /)
  })
})

describe('bodies that stop', () => {
  test('are 408 after the idle time, and no handler sees them', async () => {
    const clock = new ManualClock()
    const { port } = await serve({ clock }, { bodyIdleMs: 1000 })
    const socket = await RawSocket.open(port)
    socket.write('POST /raw HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc')
    const other = await RawSocket.open(port)
    other.write('POST /raw HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc')
    await other.until(/"bytes":3/)
    clock.advance(1500)
    const text = await socket.closed()
    expect(text).toMatch(/^HTTP\/1\.1 408 /)
    expect(text).toContain('"committed":"no"')
    expect(kept).toHaveLength(1)
    other.destroy()
  })

  test('are given up when the client leaves', async () => {
    const { port } = await serve()
    const socket = await RawSocket.open(port)
    socket.write('POST /raw HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc')
    socket.end()
    await socket.closed()
    expect(kept).toHaveLength(0)
  })
})

describe('the memory of all bodies', () => {
  test('is bounded: 503 at the bound, and free again afterwards', async () => {
    const { port, post } = await serve({}, { maxBodyMemoryBytes: 1000 })
    const holder = await RawSocket.open(port)
    holder.write('POST /raw HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900\r\n\r\nabc')
    // Its place in the budget is taken as soon as the server answers a later request.
    await post('/raw', 'x')
    const refused = await post('/raw', someBytes(200))
    expect(refused.status).toBe(503)
    expect(refused.json).toMatchObject({ code: 'overloaded', retryable: true, committed: 'no' })
    expect(refused.headers.get('retry-after')).toBe('1')
    holder.write('x'.repeat(897))
    await holder.until(/"bytes":900/)
    expect((await post('/raw', someBytes(200))).status).toBe(200)
    holder.destroy()
  })
})
