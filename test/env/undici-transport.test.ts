import { createServer } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { nullLogger } from '../../src/env/logger.ts'
import { SystemClock } from '../../src/env/system-clock.ts'
import { TransportError } from '../../src/env/transport.ts'
import type { UndiciTransportOptions } from '../../src/env/undici-transport.ts'
import { UndiciTransport } from '../../src/env/undici-transport.ts'
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

describeTransport('undici', async (handle) => {
  const server = await listen(handle)
  const transport = new UndiciTransport({ connections: { fetch: 16 } })
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
  async function start(handle: Handle, options: UndiciTransportOptions) {
    const server = await listen(handle)
    const transport = new UndiciTransport(options)
    onTestFinished(async () => {
      await transport.close()
      await server.close()
    })
    return { transport, url: server.url }
  }

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
  const server = createServer((socket) => socket.once('data', () => socket.destroy()))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const transport = new UndiciTransport()
  onTestFinished(async () => {
    await transport.close()
    server.close()
  })
  const { port } = server.address() as { port: number }
  const call = transport.call(`http://127.0.0.1:${port}`, nothing, 'append', live)
  await expect(call).rejects.toMatchObject({ sent: true })
})

test('a caller that goes before the call is sent leaves its connection to others', async () => {
  const seen: string[] = []
  const server = await listen(async ({ path }) => {
    seen.push(path)
    return { status: 200, headers: {}, body: [] }
  })
  const transport = new UndiciTransport({ connections: { append: 1 } })
  onTestFinished(async () => {
    await transport.close()
    await server.close()
  })
  for (let i = 0; i < 3; i++) {
    const caller = new AbortController()
    const call = transport.call(server.url, { ...nothing, path: '/gone' }, 'append', caller.signal)
    if (i > 0) await Promise.resolve()
    caller.abort()
    await expect(call).rejects.toMatchObject({ sent: false })
  }
  expect((await transport.call(server.url, nothing, 'append', live)).status).toBe(200)
  expect(seen).toEqual(['/'])
})

test('an address that is none is not called', async () => {
  const transport = new UndiciTransport()
  onTestFinished(() => transport.close())
  const call = transport.call('nowhere', nothing, 'append', live)
  await expect(call).rejects.toMatchObject({ sent: false })
})
