import type { AddressInfo, Socket } from 'node:net'
import { createServer } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { HttpTransportOptions } from '../../src/env/http-transport.ts'
import { HttpTransport } from '../../src/env/http-transport.ts'
import { nullLogger } from '../../src/env/logger.ts'
import { SystemClock } from '../../src/env/system-clock.ts'
import { TransportError } from '../../src/env/transport.ts'
import { InternalServer } from '../../src/http/internal/internal-server.ts'
import type { Handle } from '../contract/transport.contract.ts'
import { describeTransport } from '../contract/transport.contract.ts'
import { freePort } from '../support/free-port.ts'

const clock = new SystemClock()
const live = new AbortController().signal
const nothing = { path: '/', headers: {}, body: [] }

async function listen(handle: Handle): Promise<InternalServer> {
  const service = { handle, drain: () => undefined }
  const options = { host: '127.0.0.1', port: 0, closeGraceMs: 0 }
  return InternalServer.listen({ clock, logger: nullLogger, service }, options)
}

function closedAfterTest(transport: HttpTransport, server: { close(): unknown }): void {
  onTestFinished(async () => {
    await transport.close()
    await server.close()
  })
}

/** A transport to a server of nodes. */
async function start(handle: Handle, options: HttpTransportOptions) {
  const server = await listen(handle)
  const transport = new HttpTransport(options)
  closedAfterTest(transport, server)
  return { transport, url: server.url }
}

/** A transport to what answers bytes with bytes. */
async function startRaw(onSocket: (socket: Socket) => void) {
  const server = createServer(onSocket)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const transport = new HttpTransport()
  closedAfterTest(transport, server)
  const { port } = server.address() as AddressInfo
  return { transport, url: `http://127.0.0.1:${port}` }
}

describeTransport('http', async (handle) => {
  const server = await listen(handle)
  const transport = new HttpTransport({ connections: { fetch: 16 } })
  return {
    transport,
    url: server.url,
    deadUrl: `http://127.0.0.1:${await freePort()}`,
    run: (promise) => promise,
    close: async () => {
      await transport.close()
      await server.close()
    },
  }
})

describe('lanes', () => {
  const parkFetches: Handle = ({ path }) =>
    path === '/parked'
      ? new Promise(() => undefined)
      : Promise.resolve({ status: 200, headers: {}, body: [] })

  test('do not stand in each other’s way', async () => {
    const { transport, url } = await start(parkFetches, { connections: { fetch: 1 } })
    const parked = transport.call(url, { ...nothing, path: '/parked' }, 'fetch', live)
    parked.catch(() => undefined)
    const behind = new AbortController()
    const waiting = transport.call(url, nothing, 'fetch', behind.signal)
    expect((await transport.call(url, nothing, 'append', live)).status).toBe(200)
    expect((await transport.call(url, nothing, 'control', live)).status).toBe(200)
    behind.abort()
    await expect(waiting).rejects.toMatchObject({ sent: false })
  })

  test('take no more waiting calls than their bound', async () => {
    const options = { connections: { fetch: 1 }, maxWaiting: 1 }
    const { transport, url } = await start(parkFetches, options)
    const calls = [1, 2, 3].map(() => {
      return transport.call(url, { ...nothing, path: '/parked' }, 'fetch', live)
    })
    const [first, second, third] = calls
    await expect(third).rejects.toMatchObject({ sent: false })
    await transport.close()
    await expect(first).rejects.toBeInstanceOf(TransportError)
    await expect(second).rejects.toBeInstanceOf(TransportError)
  })
})

test('a connection that breaks before an answer leaves open whether the call arrived', async () => {
  const { transport, url } = await startRaw((socket) => {
    socket.once('data', () => socket.destroy())
  })
  const call = transport.call(url, nothing, 'append', live)
  await expect(call).rejects.toMatchObject({ sent: true })
})

test('a caller that goes before the call is sent leaves its connection to others', async () => {
  const seen: string[] = []
  const handle: Handle = async ({ path }) => {
    seen.push(path)
    return { status: 200, headers: {}, body: [] }
  }
  const { transport, url } = await start(handle, { connections: { append: 1 } })
  for (let i = 0; i < 3; i++) {
    const caller = new AbortController()
    const call = transport.call(url, { ...nothing, path: '/gone' }, 'append', caller.signal)
    if (i > 0) await Promise.resolve()
    caller.abort()
    await expect(call).rejects.toMatchObject({ sent: false })
  }
  expect((await transport.call(url, nothing, 'append', live)).status).toBe(200)
  expect(seen).toEqual(['/'])
})

test('an address that is none is not called', async () => {
  const transport = new HttpTransport()
  onTestFinished(() => transport.close())
  const call = transport.call('nowhere', nothing, 'append', live)
  await expect(call).rejects.toMatchObject({ sent: false })
})

describe('connections', () => {
  /** Answers each request of the n-th connection with the n-th text. */
  async function serve(...texts: string[]) {
    let connections = 0
    const { transport, url } = await startRaw((socket) => {
      const text = texts[connections++] ?? ''
      socket.on('data', () => socket.write(text)).on('error', () => socket.destroy())
    })
    const status = async () => (await transport.call(url, nothing, 'append', live)).status
    return { transport, url, status, connections: () => connections }
  }

  const ok = 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n'

  test('carry one call after the other', async () => {
    const { status, connections } = await serve(ok)
    expect([await status(), await status(), await status()]).toEqual([200, 200, 200])
    expect(connections()).toBe(1)
  })

  test('are not used again when the peer is about to close them', async () => {
    const last = 'HTTP/1.1 201 Created\r\nconnection: close\r\ncontent-length: 0\r\n\r\n'
    const { status, connections } = await serve(last, ok)
    expect([await status(), await status()]).toEqual([201, 200])
    expect(connections()).toBe(2)
  })

  test('are not used again when more came than was asked for', async () => {
    const stray = 'HTTP/1.1 500 Not Yours\r\ncontent-length: 0\r\n\r\n'
    const { status, connections } = await serve(ok + stray, ok)
    expect([await status(), await status()]).toEqual([200, 200])
    expect(connections()).toBe(2)
  })

  test('that bring no answer of a node leave the outcome open', async () => {
    const { status } = await serve('SSH-2.0-OpenSSH_9.2\r\n\r\n')
    await expect(status()).rejects.toMatchObject({ sent: true })
  })

  test('carry no header that would end early', async () => {
    const { transport, url, status } = await serve(ok, ok)
    const call = { ...nothing, headers: { 'curlew-node': '1\r\ncurlew-node: 2' } }
    await expect(transport.call(url, call, 'append', live)).rejects.toMatchObject({ sent: false })
    expect(await status()).toBe(200)
  })
})
