/** Answers that are written straight to their connections leave these as Node's own would. */
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { SharedHead } from '../../src/http/shared-head.ts'
import { RawSocket } from './raw-socket.ts'

const NOW_MS = 1_000_000
const BODY = 'to be'

function get(id: string, headers = '', version = '1.1'): string {
  return `GET /${id} HTTP/${version}\r\nHost: localhost\r\n${headers}\r\n`
}

/** Holds what it is asked; the request ids are the paths. */
async function setUp() {
  const head = new SharedHead(['content-length', String(BODY.length), 'request-id', ''])
  const held = new Map<string, ServerResponse>()
  const server = createServer((request, response) => {
    const id = request.url?.slice(1) ?? ''
    if (id === 'first') {
      // From now on the head is known.
      head.write(response, id, NOW_MS)
      response.end(BODY)
    } else held.set(id, response)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const socket = await RawSocket.open(port)
  socket.write(get('first'))
  await socket.until(/request-id: first\r\n.*to be/s)
  const hold = async (...ids: string[]) => {
    await expect.poll(() => [...held.keys()]).toEqual(ids)
    return ids.map((id) => held.get(id) as ServerResponse)
  }
  const writeThrough = (id: string, nowMs = NOW_MS) =>
    head.writeThrough(held.get(id) as ServerResponse, id, BODY, nowMs)
  const close = () => {
    server.closeAllConnections()
    return new Promise<void>((resolve) => server.close(() => resolve()))
  }
  return { port, socket, hold, writeThrough, [Symbol.asyncDispose]: close }
}

test('the answer is whole, the response finished, and the connection takes the next request', async () => {
  await using server = await setUp()
  server.socket.write(get('a'))
  const [response] = await server.hold('a')
  const closed = once(response as ServerResponse, 'close')
  expect(server.writeThrough('a')).toBe(true)
  expect([response?.headersSent, response?.writableFinished]).toEqual([true, false])
  await closed
  expect(response?.writableFinished).toBe(true)
  server.socket.write(get('b'))
  await server.hold('a', 'b')
  expect(server.writeThrough('b')).toBe(true)
  const text = await server.socket.until(/request-id: b\r\n.*to be/s)
  const [, ...answers] = text.split('HTTP/1.1 200 OK\r\n')
  const [first, a, b] = answers
  expect(a).toBe(first?.replace('request-id: first', 'request-id: a'))
  expect(b).toBe(first?.replace('request-id: first', 'request-id: b'))
})

test('an answer whose turn has not come is left to Node', async () => {
  await using server = await setUp()
  server.socket.write(get('a') + get('b'))
  const [, b] = await server.hold('a', 'b')
  expect(server.writeThrough('b')).toBe(false)
  b?.end('mine')
  expect(server.writeThrough('a')).toBe(true)
  expect(await server.socket.until(/mine/)).toMatch(/request-id: a\r\n.*to be.*mine/s)
})

test.each([
  ['the client asked for the end of the connection', 'Connection: close\r\n', '1.1', NOW_MS],
  ['the client speaks HTTP/1.0', '', '1.0', NOW_MS],
  ['its head is of another second', '', '1.1', NOW_MS + 1000],
])('so is one where %s', async (_why, headers, version, nowMs) => {
  await using server = await setUp()
  server.socket.write(get('a', headers, version))
  const [response] = await server.hold('a')
  expect(server.writeThrough('a', nowMs)).toBe(false)
  expect(response?.headersSent).toBe(false)
})

test('an answer whose connection is lost first is never complete', async () => {
  await using server = await setUp()
  server.socket.write(get('a'))
  const [response] = await server.hold('a')
  const closed = once(response as ServerResponse, 'close')
  const { socket } = response as ServerResponse
  // As with a client that does not read, the bytes stay here.
  socket?.cork()
  expect(server.writeThrough('a')).toBe(true)
  socket?.destroy()
  await closed
  await server.socket.closed()
  expect(response?.writableFinished).toBe(false)
  expect(server.socket.received).not.toContain('request-id: a')
})

test('a connection that is gone takes no answer', async () => {
  await using server = await setUp()
  server.socket.write(get('a'))
  const [response] = await server.hold('a')
  response?.socket?.destroy()
  expect(server.writeThrough('a')).toBe(false)
  expect(response?.headersSent).toBe(false)
})
