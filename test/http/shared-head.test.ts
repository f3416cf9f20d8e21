/** Answers that are written straight to their connections leave these as Node's own would. */
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { expect, test } from 'vitest'
import { SharedHead } from '../../src/http/shared-head.ts'
import { RawSocket } from './raw-socket.ts'

const NOW_MS = 1_000_000
const BODY = 'to be'

function get(id: string): string {
  return `GET /${id} HTTP/1.1\r\nHost: localhost\r\n\r\n`
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
  const writeThrough = (id: string, nowMs = NOW_MS) => {
    const response = held.get(id) as ServerResponse
    return head.writeThrough(
      { socket: response.socket as Socket, requestId: id, response },
      BODY,
      nowMs,
    )
  }
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
  expect(response?.writableFinished).toBe(false)
  await closed
  expect([response?.headersSent, response?.writableFinished]).toEqual([true, true])
  server.socket.write(get('b'))
  await server.hold('a', 'b')
  expect(server.writeThrough('b')).toBe(true)
  const text = await server.socket.until(/request-id: b\r\n.*to be/s)
  const [, ...answers] = text.split('HTTP/1.1 200 OK\r\n')
  const [first, a, b] = answers
  expect(a).toBe(first?.replace('request-id: first', 'request-id: a'))
  expect(b).toBe(first?.replace('request-id: first', 'request-id: b'))
})

test('an answer whose head is of another second is left to Node', async () => {
  await using server = await setUp()
  server.socket.write(get('a'))
  const [response] = await server.hold('a')
  expect(server.writeThrough('a', NOW_MS + 1000)).toBe(false)
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
