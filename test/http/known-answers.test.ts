/** Answers that are given again without their route: only to those who ask for nothing particular. */
import type { IncomingHttpHeaders } from 'node:http'
import { request, ServerResponse } from 'node:http'
import { buffer } from 'node:stream/consumers'
import { gunzipSync } from 'node:zlib'
import { describe, expect, test, vi } from 'vitest'
import { encodeBatch } from '../../src/core/record-batch.ts'
import { PromMetrics } from '../../src/env/prom-metrics.ts'
import type { App } from '../../src/http/app.ts'
import { textRecord, topicImage } from '../front/topics.ts'
import { frontApp } from './front-app.ts'
import { RawSocket } from './raw-socket.ts'
import { listen, ManualClock, testApp } from './test-app.ts'

const BODY = Buffer.from('to be, or not to be. '.repeat(500))

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

/** Sends no header but those given, and `Host` and `Connection`. */
function ask(url: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request(url, { method, headers, agent: false }, (answer) => {
      const { statusCode: status = 0, headers: got } = answer
      buffer(answer).then((body) => resolve({ status, headers: got, body }), reject)
    })
    asked.on('error', reject).end()
  })
}

/** Counts the requests that come to a route. */
function countRouted(app: App): { routed: number } {
  const count = { routed: 0 }
  app.addHook('onRequest', (_request, _reply, done) => {
    count.routed++
    done()
  })
  return count
}

async function setUp() {
  const state = { isCurrent: true, isDraining: false }
  const metrics = new PromMetrics()
  const clock = new ManualClock()
  const app = testApp({ metrics, clock, draining: () => state.isDraining })
  const count = countRouted(app)
  app.get('/page', { config: { compress: true } }, (asked, reply) => {
    reply.header('content-type', 'text/plain').header('etag', '"page"')
    return app.knownAnswers.send(asked, reply, BODY, () => state.isCurrent)
  })
  app.get('/once', (asked, reply) => app.knownAnswers.send(asked, reply, BODY))
  const port = await listen(app)
  const url = `http://127.0.0.1:${port}`
  return { state, clock, metrics, count, port, url, [Symbol.asyncDispose]: () => app.close() }
}

describe('an answer that stays the same', () => {
  test('is given again word for word, but for the id and the time of the request', async () => {
    await using server = await setUp()
    const first = await ask(`${server.url}/page`)
    const second = await ask(`${server.url}/page`)
    expect(server.count.routed).toBe(1)
    expect(first.headers).toMatchObject({
      'content-type': 'text/plain',
      'content-length': String(BODY.length),
      etag: '"page"',
      vary: 'Accept-Encoding',
      'x-content-type-options': 'nosniff',
    })
    const { 'request-id': firstId, date: _first, ...firstHeaders } = first.headers
    const { 'request-id': secondId, date: _second, ...secondHeaders } = second.headers
    expect([second.status, secondHeaders, second.body]).toEqual([200, firstHeaders, BODY])
    expect(secondId).toMatch(/^[0-9a-f]{32}$/)
    expect(secondId).not.toBe(firstId)
    const third = await ask(`${server.url}/page`, { 'request-id': 'mine' })
    expect([third.headers['request-id'], server.count.routed]).toEqual(['mine', 1])
    expect(await server.metrics.text()).toContain('curlew_http_requests_total{status="2xx"} 3')
    expect(await server.metrics.text()).toContain('curlew_http_requests_in_flight 0')
  })

  test('goes through its route as soon as it is not current', async () => {
    await using server = await setUp()
    await ask(`${server.url}/page`)
    server.state.isCurrent = false
    await ask(`${server.url}/page`)
    expect(server.count.routed).toBe(2)
  })

  test('is not remembered unless the route says how long it lasts', async () => {
    await using server = await setUp()
    await ask(`${server.url}/once`)
    await ask(`${server.url}/once`)
    expect(server.count.routed).toBe(2)
  })

  test.each<[string, Record<string, string>, string, Partial<Answer['headers']>]>([
    ['an encoding', { 'accept-encoding': 'gzip' }, 'GET', { 'content-encoding': 'gzip' }],
    ['another form', { accept: 'text/html' }, 'GET', { 'content-length': String(BODY.length) }],
    ['the head alone', {}, 'HEAD', { 'content-length': String(BODY.length) }],
    ['what a page may not see', { origin: 'https://a.example' }, 'GET', { etag: '"page"' }],
    ['a range', { range: 'bytes=0-1' }, 'GET', { etag: '"page"' }],
    ['whether it changed', { 'if-none-match': '"page"' }, 'GET', { etag: '"page"' }],
  ])('is not given to a request for %s', async (_what, headers, method, expected) => {
    await using server = await setUp()
    await ask(`${server.url}/page`)
    const answer = await ask(`${server.url}/page`, headers, method)
    expect(answer.headers).toMatchObject(expected)
    expect(server.count.routed).toBe(2)
  })

  test('has its head assembled once a second', async () => {
    await using server = await setUp()
    await ask(`${server.url}/page`)
    using assembled = vi.spyOn(ServerResponse.prototype, 'writeHead')
    const heads: (string | undefined)[] = []
    for (const delayMs of [0, 0, 999, 1, 0]) {
      server.clock.advance(delayMs)
      const { headers } = await ask(`${server.url}/page`, { connection: 'keep-alive' })
      expect(headers.date).toMatch(/ GMT$/)
      heads.push(`${headers.connection} ${headers['keep-alive']} ${assembled.mock.calls.length}`)
    }
    const head = 'keep-alive timeout=72'
    expect(heads).toEqual([1, 1, 1, 2, 2].map((calls) => `${head} ${calls}`))
  })

  test('leaves its connection as other answers do', async () => {
    await using server = await setUp()
    await ask(`${server.url}/page`)
    const get = (id: number, headers = '', version = '1.1') =>
      `GET /page HTTP/${version}\r\nHost: localhost\r\nRequest-Id: ${id}\r\n${headers}\r\n`
    const socket = await RawSocket.open(server.port)
    socket.write(get(1) + get(2))
    await socket.until(/request-id: 2\r\n/)
    socket.write(get(3) + get(4, 'Connection: close\r\n'))
    const text = await socket.closed()
    const answers = text.split('HTTP/1.1 200 OK\r\n').slice(1)
    const said = answers.map((answer) => {
      const [head = '', body] = answer.split('\r\n\r\n')
      expect(body).toBe(BODY.toString())
      return /request-id: \d|Connection: .*/g[Symbol.match](head)
    })
    expect(said).toEqual([
      ['request-id: 1', 'Connection: keep-alive'],
      ['request-id: 2', 'Connection: keep-alive'],
      ['request-id: 3', 'Connection: keep-alive'],
      ['request-id: 4', 'Connection: close'],
    ])
    const old = await RawSocket.open(server.port)
    old.write(get(5, '', '1.0'))
    expect(await old.closed()).toContain('Connection: close\r\n')
    expect(server.count.routed).toBe(1)
    await expect.poll(() => server.metrics.text()).toContain('requests_total{status="2xx"} 6')
  })

  test('is not given past what the entrance refuses', async () => {
    await using server = await setUp()
    await ask(`${server.url}/page`)
    expect((await ask(`${server.url}/page`, { host: 'evil.example' })).status).toBe(403)
    server.state.isDraining = true
    expect((await ask(`${server.url}/page`)).status).toBe(503)
  })
})

describe('a page of records', () => {
  async function setUpTopic() {
    const topic = topicImage('one', 1)
    const parts = frontApp([topic])
    const count = countRouted(parts.app)
    const put = (...values: string[]) => {
      const batch = encodeBatch(values.map((value) => textRecord(value, { timestampMs: 0 })))
      parts.storage.appendBatch(topic.id, 0, batch)
    }
    put('a', 'b', 'c')
    const url = `http://127.0.0.1:${await listen(parts.app)}/v1/topics/one/records`
    const read = async (query: string, expected: { readonly routed: boolean }) => {
      const before = count.routed
      const { status, body } = await ask(`${url}?${query}`)
      expect(count.routed - before).toBe(expected.routed ? 1 : 0)
      const { records = [], code } = JSON.parse(body.toString())
      return code ?? [status, records.map(({ value }: { value: string }) => value).join('')]
    }
    return { ...parts, topic, url, put, read, [Symbol.asyncDispose]: () => parts.app.close() }
  }
  const routed = { routed: true }
  const known = { routed: false }

  test('that is full stays, one at the end of the log until something is appended', async () => {
    await using curlew = await setUpTopic()
    const full = 'from=offset:0&limit=2'
    const last = 'from=offset:2'
    expect(await curlew.read(full, routed)).toEqual([200, 'ab'])
    expect(await curlew.read(last, routed)).toEqual([200, 'c'])
    expect(await curlew.read(last, known)).toEqual([200, 'c'])
    curlew.put('d')
    expect(await curlew.read(full, known)).toEqual([200, 'ab'])
    expect(await curlew.read(last, routed)).toEqual([200, 'cd'])
  })

  test('goes with its records', async () => {
    await using curlew = await setUpTopic()
    expect(await curlew.read('from=offset:0', routed)).toEqual([200, 'abc'])
    await curlew.storage.deleteRecords(curlew.topic.id, 0, 1)
    expect(await curlew.read('from=offset:0', routed)).toBe('cursor-expired')
  })

  test('is no page of another topic of the same name', async () => {
    await using curlew = await setUpTopic()
    expect(await curlew.read('from=offset:0', routed)).toEqual([200, 'abc'])
    curlew.metadata.set([])
    expect(await curlew.read('from=offset:0', routed)).toBe('topic-not-found')
    const another = { ...topicImage('other', 1), name: curlew.topic.name }
    curlew.metadata.set([another])
    curlew.storage.appendBatch(another.id, 0, encodeBatch([textRecord('x', { timestampMs: 0 })]))
    expect(await curlew.read('from=offset:0', routed)).toEqual([200, 'x'])
  })

  test.each(['from=earliest', 'from=last:3', 'limit=2', 'from=time:1970-01-01T00:00:00Z'])(
    'asked for by %s is looked for each time',
    async (query) => {
      await using curlew = await setUpTopic()
      await curlew.read(query, routed)
      await curlew.read(query, routed)
    },
  )

  test('that does not exist yet is looked for each time', async () => {
    await using curlew = await setUpTopic()
    expect(await curlew.read('from=offset:3', routed)).toEqual([200, ''])
    expect(await curlew.read('from=offset:3', routed)).toEqual([200, ''])
    curlew.put('d')
    expect(await curlew.read('from=offset:3', routed)).toEqual([200, 'd'])
  })

  test('that many wait for is sent to each as it asked for it', async () => {
    await using curlew = await setUpTopic()
    const url = `${curlew.url}?from=offset:3&wait=50`
    const waiting = [
      ask(url, { 'request-id': 'first' }),
      ask(url, { 'request-id': 'second' }),
      ask(url, { 'accept-encoding': 'gzip' }),
      ask(url, { accept: 'application/x-ndjson' }),
      ask(url, {}, 'HEAD'),
    ]
    await expect.poll(() => curlew.front.reader.parked).toBe(waiting.length)
    curlew.put('x'.repeat(2000))
    const [first, second, packed, lines, head] = await Promise.all(waiting)
    expect([first?.headers['request-id'], second?.headers['request-id']]).toEqual([
      'first',
      'second',
    ])
    expect(second?.body).toEqual(first?.body)
    expect(gunzipSync(packed!.body)).toEqual(first?.body)
    expect(lines?.headers['content-type']).toBe('application/x-ndjson')
    expect(lines?.body.at(-1)).toBe(0x0a)
    expect([head?.body.length, head?.headers['content-length']]).toEqual([
      0,
      first?.headers['content-length'],
    ])
  })

  test('that many wait for comes to those who are still there', async () => {
    await using curlew = await setUpTopic()
    const port = Number(new URL(curlew.url).port)
    const get = (id: string) =>
      `GET /v1/topics/one/records?from=offset:3&wait=50 HTTP/1.1\r\nHost: localhost\r\nRequest-Id: ${id}\r\n\r\n`
    const waiting = await Promise.all(['a', 'b', 'c', 'd'].map(() => RawSocket.open(port)))
    for (const [i, socket] of waiting.entries()) socket.write(get(`first-${i}`))
    await expect.poll(() => curlew.front.reader.parked).toBe(4)
    waiting[1]?.destroy()
    await expect.poll(() => curlew.front.reader.parked).toBe(3)
    curlew.put('x')
    const [one, , two, three] = waiting
    for (const [i, socket] of [one, two, three].entries()) {
      await socket?.until(new RegExp(`request-id: first-${[0, 2, 3][i]}\r\n.*"value":"x"`, 's'))
      // The connection is as good as new.
      socket?.write(get('second'))
      await socket?.until(/request-id: second\r\n.*"value":"x"/s)
      socket?.destroy()
    }
    expect(curlew.front.reader.parked).toBe(0)
  })

  test('that many wait for comes in its turn, and is the last where the client said so', async () => {
    await using curlew = await setUpTopic()
    const port = Number(new URL(curlew.url).port)
    const get = (id: string, headers = '', version = '1.1') =>
      `GET /v1/topics/one/records?from=offset:3&wait=50 HTTP/${version}\r\nHost: localhost\r\nRequest-Id: ${id}\r\n${headers}\r\n`
    const requests = [
      get('first'),
      get('second'),
      get('third') + get('fourth'),
      get('closing', 'Connection: close\r\n'),
      get('old', '', '1.0'),
    ]
    const waiting = await Promise.all(requests.map(() => RawSocket.open(port)))
    for (const [i, socket] of waiting.entries()) {
      socket.write(requests[i] as string)
      await expect.poll(() => curlew.front.reader.parked).toBe(i < 2 ? i + 1 : i + 2)
    }
    curlew.put('x')
    const [, second, third, closing, old] = waiting
    await second?.until(/request-id: second\r\n.*"value":"x"/s)
    await third?.until(/request-id: third\r\n.*"value":"x".*request-id: fourth\r\n.*"value":"x"/s)
    expect(await closing?.closed()).toMatch(/request-id: closing\r\n.*"value":"x"/s)
    expect(await old?.closed()).toMatch(/request-id: old\r\n.*"value":"x"/s)
    for (const socket of waiting) socket.destroy()
  })

  test('has its bytes also where the text is not ASCII', async () => {
    await using curlew = await setUpTopic()
    curlew.put('Ærøskøbing \u{1f426}')
    const first = await ask(`${curlew.url}?from=offset:3`)
    const second = await ask(`${curlew.url}?from=offset:3`)
    expect(second.body).toEqual(first.body)
    expect(second.body.toString()).toContain('Ærøskøbing \u{1f426}')
  })
})
