/** The server side of calls between nodes, over real sockets. */
import { describe, expect, onTestFinished, test } from 'vitest'
import type { TopicId } from '../../src/core/ids.ts'
import { encodeBatch } from '../../src/core/record-batch.ts'
import type { HttpTransportOptions } from '../../src/env/http-transport.ts'
import { HttpTransport } from '../../src/env/http-transport.ts'
import { LiveTls } from '../../src/env/live-tls.ts'
import { nullLogger } from '../../src/env/logger.ts'
import { SystemClock } from '../../src/env/system-clock.ts'
import { SystemRandom } from '../../src/env/system-random.ts'
import { TransportError } from '../../src/env/transport.ts'
import type { InternalServerOptions } from '../../src/http/internal/internal-server.ts'
import { InternalServer } from '../../src/http/internal/internal-server.ts'
import { InternalClient } from '../../src/internal/internal-client.ts'
import type {
  CallReceiver,
  IncomingCall,
  OutgoingAnswer,
} from '../../src/internal/internal-handler.ts'
import { InternalService } from '../../src/internal/internal-service.ts'
import { RequestSignature } from '../../src/internal/request-signature.ts'
import { StorageClient } from '../../src/internal/storage-client.ts'
import { registerStorageEndpoints } from '../../src/internal/storage-endpoints.ts'
import { ScriptedStorage } from '../internal/scripted-storage.ts'
import { RawSocket } from './raw-socket.ts'
import { NODE, STRANGER } from './tls-credentials.ts'

const clock = new SystemClock()
const live = new AbortController().signal
const EMPTY: OutgoingAnswer = { status: 200, headers: { 'content-length': '0' }, body: [] }

async function serve(
  receiver: CallReceiver | ((call: IncomingCall) => Promise<OutgoingAnswer>),
  options: Partial<InternalServerOptions> = {},
): Promise<InternalServer> {
  const service =
    typeof receiver === 'function' ? { handle: receiver, drain: () => undefined } : receiver
  const server = await InternalServer.listen(
    { clock, logger: nullLogger, service },
    { host: '127.0.0.1', port: 0, closeGraceMs: 0, ...options },
  )
  onTestFinished(() => server.close())
  return server
}

function connect(options: HttpTransportOptions = {}): HttpTransport {
  const transport = new HttpTransport(options)
  onTestFinished(() => transport.close())
  return transport
}

function post(transport: HttpTransport, url: string, path = '/') {
  return transport.call(url, { path, headers: {}, body: [Buffer.from('x')] }, 'control', live)
}

const portOf = (server: InternalServer) => Number(new URL(server.url).port)

async function* endless() {
  for (;;) yield Buffer.alloc(64 * 1024)
}

describe('a storage node over sockets', () => {
  const topicId = '00112233445566778899aabbccddeeff' as TopicId
  const record = { key: null, value: Buffer.alloc(1000), headers: [], timestampMs: 5 }
  const batch = encodeBatch([{ ...record, media: 0 }])

  async function start() {
    const random = new SystemRandom()
    const signature = new RequestSignature({ clock, random }, { secret: 'shared' })
    const identity = { clusterId: 'c', nodeId: 3, incarnation: 9 }
    const deps = { clock, logger: nullLogger, signature, identity }
    const storage = new ScriptedStorage()
    const service = new InternalService(deps)
    registerStorageEndpoints(service, storage, clock)
    const server = await serve(service)
    const transport = connect()
    const client = new InternalClient({
      ...deps,
      transport,
      signature: new RequestSignature({ clock, random }, { secret: 'shared' }),
      identity: { clusterId: 'c', nodeId: 'front', incarnation: 0 },
    })
    const node = new StorageClient(client, { url: server.url, incarnation: 9 })
    return { storage, service, server, node }
  }

  const soon = (signal = live) => ({ deadlineMs: clock.monotonicMs() + 60_000, signal })

  test('settles appends one by one, and keeps what came when it goes down', async () => {
    const { storage, server, node } = await start()
    const requests = [0, 1].map((partition) => {
      return { topicId, partition, acks: 1 as const, batch: Uint8Array.from(batch) }
    })
    const { admitted, results } = node.append(requests, soon())
    const script = await storage.appends.next()
    expect(script.requests.map((it) => Buffer.compare(it.batch, batch))).toEqual([0, 0])
    script.admitted()
    await admitted
    script.settle[1]?.({ ok: true, baseOffset: 5, appendTimeMs: -1 })
    expect(await results[1]).toEqual({ ok: true, baseOffset: 5, appendTimeMs: -1 })
    await server.close()
    expect(await results[0]).toMatchObject({ code: 'outcome-unknown', committed: 'unknown' })
    const late = node.append(requests, soon())
    expect(await late.results[0]).toMatchObject({ code: 'partition-unavailable', committed: 'no' })
  })

  test('stops a parked fetch when its caller goes', async () => {
    const { storage, service, node } = await start()
    const caller = new AbortController()
    const request = { positions: [], maxBytes: 1, waitMs: 50_000, isolation: 'committed' as const }
    const fetched = node.fetch(request, soon(caller.signal))
    const { signal, fail } = await storage.fetches.next()
    const stopped = new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => {
        fail(signal.reason)
        resolve()
      })
    })
    caller.abort()
    await expect(fetched).rejects.toMatchObject({ cause: { reason: 'aborted' } })
    await stopped
    await expect.poll(() => service.underWay).toBe(0)
  })

  test('refuses strangers before they send a body', async () => {
    const { server } = await start()
    const socket = await RawSocket.open(portOf(server))
    onTestFinished(() => socket.destroy())
    const head = 'POST /i/v1/append HTTP/1.1\r\nhost: x\r\ncurlew-protocol: 1\r\n'
    socket.write(`${head}content-length: 60000000\r\n\r\n`)
    const answer = await socket.until(/bad-signature/)
    expect(answer).toMatch(/^HTTP\/1.1 401 /)
  })
})

describe('bounds', () => {
  test('a caller that takes nothing is cut', async () => {
    const gone = Promise.withResolvers<string>()
    const server = await serve(
      async ({ signal }) => {
        signal.addEventListener('abort', () => gone.resolve('gone'))
        return { status: 200, headers: {}, body: endless() }
      },
      { stallMs: 100 },
    )
    const transport = connect()
    const { body } = await post(transport, server.url)
    expect(await gone.promise).toBe('gone')
    const read = (async () => {
      for await (const chunk of body) expect(chunk.length).toBeGreaterThan(0)
    })()
    await expect(read).rejects.toBeInstanceOf(TransportError)
  })

  test('a parked call is not taken for a caller that takes nothing', async () => {
    const go = Promise.withResolvers<void>()
    const server = await serve(
      async () => {
        await go.promise
        return EMPTY
      },
      { stallMs: 20, requestTimeoutMs: 50 },
    )
    const transport = connect()
    const parked = post(transport, server.url)
    // Another connection that stalls is cut meanwhile: more than that time has passed then.
    const idle = await RawSocket.open(portOf(server))
    idle.write('POST / HTTP/1.1\r\n')
    await idle.closed()
    go.resolve()
    expect((await parked).status).toBe(200)
  })

  test('a body that does not come to its end is given up', async () => {
    const broken = Promise.withResolvers<unknown>()
    const server = await serve(
      async ({ body }) => {
        try {
          for await (const chunk of body) expect(String(chunk)).toBe('half')
        } catch (error) {
          broken.resolve(error)
        }
        return EMPTY
      },
      { requestTimeoutMs: 100 },
    )
    const socket = await RawSocket.open(portOf(server))
    socket.write('POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 8\r\n\r\nhalf')
    await socket.closed()
    expect(String(await broken.promise)).toContain('broke')
  })

  test('connections beyond the bound are turned away', async () => {
    const server = await serve(async () => EMPTY, { maxConnections: 1 })
    const first = await RawSocket.open(portOf(server))
    onTestFinished(() => first.destroy())
    first.write('POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n')
    expect(await first.until(/200 OK/)).toContain('200 OK')
    const second = await RawSocket.open(portOf(server))
    expect(await second.closed()).toBe('')
  })

  test('only POST is served', async () => {
    const server = await serve(async () => EMPTY)
    const answer = await fetch(server.url)
    expect(answer.status).toBe(405)
  })
})

describe('what comes over a connection', () => {
  /** Answers with what it was called with. */
  const echo = async ({ path, body }: IncomingCall): Promise<OutgoingAnswer> => {
    const chunks: Uint8Array[] = [Buffer.from(`[${path}] `)]
    for await (const chunk of body) chunks.push(chunk)
    return { status: 200, headers: {}, body: chunks }
  }
  const call = (path: string, text: string) =>
    `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-length: ${text.length}\r\n\r\n${text}`

  async function open(receiver: Parameters<typeof serve>[0] = echo, options = {}) {
    const socket = await RawSocket.open(portOf(await serve(receiver, options)))
    onTestFinished(() => socket.destroy())
    return socket
  }

  test('may come in whatever pieces, one call after the other', async () => {
    const socket = await open()
    const bytes = call('/pieces', 'of a body')
    for (let at = 0; at < bytes.length; at += 7) {
      socket.write(bytes.slice(at, at + 7))
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(await socket.until(/\[.*body$/)).toMatch(/\r\n\r\n\[\/pieces\] of a body$/)
    socket.write(call('/again', 'x'))
    expect(await socket.until(/again.*x$/)).toMatch(/\[\/again\] x$/)
  })

  test('is cut where a call comes before the one before it is answered', async () => {
    const paths: string[] = []
    const arrived = Promise.withResolvers<void>()
    const socket = await open(({ path }) => {
      paths.push(path)
      arrived.resolve()
      return new Promise(() => undefined)
    })
    socket.write(call('/first', ''))
    await arrived.promise
    socket.write(call('/second', ''))
    expect({ answer: await socket.closed(), paths }).toEqual({ answer: '', paths: ['/first'] })
  })

  test.each([
    ['is longer than it says', call('/', 'x').concat('y')],
    ['comes in chunks', 'POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n'],
    ['says its length twice', call('/', 'x').replace('host: x', 'content-length: 2')],
    ['says no length', 'POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n'],
    ['is none', 'GARBAGE\r\n\r\n'],
    ['has a line that is no header', 'POST / HTTP/1.1\r\nhost x\r\n\r\n'],
    ['has a head without an end', `POST / HTTP/1.1\r\nx: ${'y'.repeat(20_000)}`],
    ['has too long a head', `POST / HTTP/1.1\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`],
  ])('is cut where a call %s', async (_, bytes) => {
    const paths: string[] = []
    const socket = await open(async ({ path }) => {
      paths.push(path)
      return EMPTY
    })
    socket.write(bytes)
    expect({ answer: await socket.closed(), paths }).toEqual({ answer: '', paths: [] })
  })

  test('is dropped where nobody takes it, and the next call is read', async () => {
    const socket = await open(async ({ path }) =>
      path === '/refused' ? { ...EMPTY, status: 401 } : { ...EMPTY, status: 202 },
    )
    const bytes = call('/refused', 'x'.repeat(2_000_000))
    socket.write(bytes.slice(0, 100))
    await socket.until(/ 401 /)
    socket.write(bytes.slice(100) + call('/next', ''))
    expect(await socket.until(/ 202 /)).toMatch(/^HTTP\/1.1 401 /)
  })

  test('ends when no call comes for long', async () => {
    const socket = await open(echo, { keepAliveMs: 20 })
    socket.write(call('/only', ''))
    expect(await socket.closed()).toMatch(/\[\/only\] $/)
  })

  test('ends with the answer where the caller wants that', async () => {
    const socket = await open()
    socket.write(call('/last', '').replace('host: x', 'connection: close'))
    expect(await socket.closed()).toMatch(/connection: close\r\n\r\n\[\/last\] $/)
  })
})

describe('close', () => {
  test('finishes what is under way, also on connections that were kept open', async () => {
    const arrived = Promise.withResolvers<void>()
    const go = Promise.withResolvers<void>()
    const server = await serve(
      async ({ path }) => {
        if (path !== '/held') return EMPTY
        arrived.resolve()
        await go.promise
        return { status: 200, headers: { 'content-length': '4' }, body: [Buffer.from('done')] }
      },
      { closeGraceMs: 60_000 },
    )
    const transport = connect({ connections: { control: 2 } })
    const held = post(transport, server.url, '/held')
    await arrived.promise
    await post(transport, server.url)
    const closed = server.close()
    await expect(post(connect(), server.url)).rejects.toMatchObject({ sent: false })
    go.resolve()
    const { status, body } = await held
    let text = ''
    for await (const chunk of body) text += String(chunk)
    expect({ status, text }).toEqual({ status: 200, text: 'done' })
    await closed
  })

  test('breaks what does not end within the grace', async () => {
    const arrived = Promise.withResolvers<void>()
    const server = await serve(
      () => {
        arrived.resolve()
        return new Promise(() => undefined)
      },
      { closeGraceMs: 10 },
    )
    const stuck = post(connect(), server.url)
    stuck.catch(() => undefined)
    await arrived.promise
    await server.close()
    await expect(stuck).rejects.toMatchObject({ sent: true })
  })
})

describe('mutual TLS', () => {
  test('lets nodes of the same authority speak', async () => {
    const server = await serve(async () => EMPTY, { tls: NODE })
    expect(server.url).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/)
    const { status } = await post(connect({ tls: new LiveTls(NODE) }), server.url)
    expect(status).toBe(200)
  })

  test('new certificates are used for new connections, on both sides', async () => {
    const server = await serve(async () => EMPTY, { tls: STRANGER })
    const tls = new LiveTls(STRANGER)
    const transport = connect({ tls })
    await expect(post(transport, server.url)).rejects.toBeInstanceOf(TransportError)
    server.renew(NODE)
    await expect(post(transport, server.url)).rejects.toBeInstanceOf(TransportError)
    tls.replace(NODE)
    expect((await post(transport, server.url)).status).toBe(200)
    server.renew(STRANGER)
    await expect(post(connect({ tls }), server.url)).rejects.toBeInstanceOf(TransportError)
  })

  test('turns strangers away, and is not fooled by one', async () => {
    let calls = 0
    const count = async () => {
      calls++
      return EMPTY
    }
    const server = await serve(count, { tls: NODE })
    await expect(post(connect({ tls: new LiveTls(STRANGER) }), server.url)).rejects.toBeInstanceOf(
      TransportError,
    )
    const fake = await serve(count, { tls: STRANGER })
    await expect(post(connect({ tls: new LiveTls(NODE) }), fake.url)).rejects.toMatchObject({
      sent: false,
    })
    expect(calls).toBe(0)
  })
})
