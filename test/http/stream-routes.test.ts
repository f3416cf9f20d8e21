import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { connect } from 'node:net'
import { describe, expect, test } from 'vitest'
import { encodeBatch } from '../../src/core/record-batch.ts'
import { textRecord, topicImage } from '../front/topics.ts'
import type { FrontAppOptions } from './front-app.ts'
import { frontApp } from './front-app.ts'
import { RawSocket } from './raw-socket.ts'
import { listen } from './test-app.ts'

const one = topicImage('one', 1)
const HEAD = 'Host: localhost\r\n\r\n'
const LIFE_MS = 15 * 60_000

async function setUp(options: FrontAppOptions = {}) {
  const parts = frontApp([one], options)
  const port = await listen(parts.app)
  const put = (...values: string[]) => {
    const records = values.map((value) => textRecord(value, { timestampMs: 0 }))
    parts.storage.appendBatch(one.id, 0, encodeBatch(records))
  }
  const follow = async (query = '', version = '1.1', head = HEAD) => {
    const socket = await RawSocket.open(port)
    socket.write(`GET /v1/topics/one/stream${query} HTTP/${version}\r\n${head}`)
    return socket
  }
  const dispose = async () => {
    parts.front.close()
    parts.app.server.closeAllConnections()
    await parts.app.close()
  }
  return { ...parts, port, put, follow, [Symbol.asyncDispose]: dispose }
}

/** The body of a chunked answer, as far as it came. */
function unchunked(received: string): string {
  let rest = received.slice(received.indexOf('\r\n\r\n') + 4)
  let body = ''
  for (;;) {
    const match = /^([0-9a-f]+)\r\n/.exec(rest)
    if (match === null) return body
    const size = Number.parseInt(match[1]!, 16)
    const start = match[0].length
    if (rest.length < start + size + 2) return body
    expect(rest.slice(start + size, start + size + 2)).toBe('\r\n')
    body += rest.slice(start, start + size)
    rest = rest.slice(start + size + 2)
  }
}

const valuesIn = (text: string) => [...text.matchAll(/"value":"([^"]*)"/g)].map(([, v]) => v)

describe('stream', () => {
  test('begins with its head, a retry time, a comment and its place, and follows', async () => {
    await using curlew = await setUp()
    const socket = await curlew.follow()
    const head = await socket.until(/^id: \S+\n\n/m)
    expect(head).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
    for (const line of [
      'content-type: text/event-stream',
      'cache-control: no-cache, no-transform',
      'x-accel-buffering: no',
      'x-content-type-options: nosniff',
      'Transfer-Encoding: chunked',
    ]) {
      expect(head).toContain(`${line}\r\n`)
    }
    curlew.put('a')
    curlew.put('b', 'c')
    await socket.until(/"value":"c"/)
    const body = unchunked(socket.received)
    expect(body).toMatch(
      /^retry: \d{4}\n\n: curlew\n\nid: \S+\n\n(?:id: \S+\ndata: \{.*\}\n\n){3}$/,
    )
    expect(valuesIn(body)).toEqual(['a', 'b', 'c'])
  })

  test('keeps the headers that the entrance has set', async () => {
    await using curlew = await setUp({ app: { corsOrigins: ['https://app.example'] } })
    const socket = await curlew.follow('', '1.1', `Origin: https://app.example\r\n${HEAD}`)
    const head = await socket.until(/\r\n\r\n/)
    expect(head.toLowerCase()).toContain('access-control-allow-origin: https://app.example\r\n')
  })

  test('is not chunked for HTTP/1.0', async () => {
    await using curlew = await setUp()
    curlew.put('a')
    const socket = await curlew.follow('?from=earliest', '1.0')
    const received = await socket.until(/"value":"a".*\n\n/)
    expect(received.toLowerCase()).not.toContain('transfer-encoding')
    expect(received.split('\r\n\r\n')[1]).toMatch(/^retry: \d{4}\n\n: curlew\n\n/)
  })

  test('waits for its turn on a connection with requests behind each other', async () => {
    await using curlew = await setUp()
    curlew.put('a')
    const socket = await RawSocket.open(curlew.port)
    socket.write(
      `GET /v1/topics/one/records?wait=1&from=latest HTTP/1.1\r\n${HEAD}` +
        `GET /v1/topics/one/stream?from=earliest HTTP/1.1\r\n${HEAD}`,
    )
    await expect.poll(() => curlew.front.subscriptions.streams).toBe(1)
    curlew.clock.advance(1000)
    const received = await socket.until(/"value":"a".*\n\n/)
    expect(received.indexOf('"records":[]')).toBeLessThan(received.indexOf('text/event-stream'))
    expect(valuesIn(unchunked(received.slice(received.lastIndexOf('HTTP/1.1'))))).toEqual(['a'])
  })

  test('sends a comment every 15 s of silence', async () => {
    await using curlew = await setUp()
    const sockets = [await curlew.follow(), await curlew.follow()]
    for (const socket of sockets) await socket.until(/^id: \S+\n\n/m)
    for (let beats = 1; beats <= 3; beats++) {
      curlew.clock.advance(15_000)
      for (const socket of sockets) {
        await socket.until(new RegExp(`(?:^: \\n[^]*){${beats}}`, 'm'))
        expect(socket.received.match(/^: $/gm)).toHaveLength(beats)
      }
    }
  })

  test('ends after its life time, somewhat earlier or later, and says so', async () => {
    await using curlew = await setUp()
    const socket = await curlew.follow()
    await socket.until(/^id: \S+\n\n/m)
    curlew.clock.advance(0.8 * LIFE_MS - 1)
    expect(socket.received).not.toContain('event: end')
    curlew.clock.advance(0.4 * LIFE_MS + 15_000)
    await socket.until(/event: end\ndata: \{"reason":"renew"\}\n\n\r\n0\r\n\r\n$/)
    expect(curlew.streams.open).toBe(0)
    socket.write(`GET /v1/topics/one/records HTTP/1.1\r\n${HEAD}`)
    await socket.until(/"records":\[\]/)
  })

  test('ends when the front drains, and when the topic is deleted', async () => {
    await using curlew = await setUp()
    const drained = await curlew.follow()
    await drained.until(/^id: \S+\n\n/m)
    await curlew.front.drain()
    await drained.until(/event: end\ndata: \{"reason":"draining"\}\n\n/)
    await using other = await setUp()
    const deleted = await other.follow()
    await deleted.until(/^id: \S+\n\n/m)
    other.metadata.set([])
    await deleted.until(/event: end\ndata: \{"reason":"deleted"\}\n\n/)
    await expect.poll(() => other.front.subscriptions.streams).toBe(0)
  })

  test('leaves nothing behind when its reader has gone', async () => {
    await using curlew = await setUp()
    const socket = await curlew.follow()
    await expect.poll(() => curlew.storage.waiting).toBe(1)
    socket.destroy()
    await expect.poll(() => curlew.storage.waiting).toBe(0)
    expect([curlew.streams.open, curlew.front.subscriptions.streams]).toEqual([0, 0])
  })

  test('refuses one too many before anything is sent', async () => {
    await using curlew = await setUp({ maxStreams: 1 })
    const first = await curlew.follow()
    await first.until(/^id: \S+\n\n/m)
    const second = await curlew.follow()
    const refused = await second.until(/"code":"overloaded"/)
    expect(refused).toMatch(/^HTTP\/1\.1 503 /)
    expect(refused.toLowerCase()).toMatch(/\r\nretry-after: \d+\r\n/)
    first.destroy()
    await expect.poll(() => curlew.streams.open).toBe(0)
    const third = await curlew.follow()
    await third.until(/^id: \S+\n\n/m)
    expect(curlew.streams.open).toBe(1)
  })

  test('answers a fault in the request as every operation does', async () => {
    await using curlew = await setUp()
    const json = await curlew.follow('', '1.1', `Accept: application/json\r\n${HEAD}`)
    expect(await json.until(/"code":"/)).toMatch(/^HTTP\/1\.1 406 /)
    const cursor = await curlew.follow('?cursor=nonsense')
    expect(await cursor.until(/"code":"/)).toContain('"code":"bad-cursor"')
  })

  test('holds little for a reader that takes nothing, and cuts it off', async () => {
    await using curlew = await setUp({ stallMs: 300 })
    const big = 'x'.repeat(500_000)
    for (let i = 0; i < 60; i++) curlew.put(`${i}${big}`)
    const stalled = connect(curlew.port, '127.0.0.1')
    stalled.pause()
    stalled.on('error', () => undefined)
    stalled.write(`GET /v1/topics/one/stream?from=earliest HTTP/1.1\r\n${HEAD}`)
    const [accepted] = await new Promise<[{ writableLength: number; destroyed: boolean }]>(
      (resolve) => curlew.app.server.once('connection', (socket) => resolve([socket])),
    )
    let most = 0
    await expect
      .poll(
        () => {
          most = Math.max(most, accepted.writableLength)
          return accepted.destroyed
        },
        { timeout: 15_000, interval: 5 },
      )
      .toBe(true)
    expect(most).toBeGreaterThan(0)
    expect(most).toBeLessThan(1024 * 1024 + 600_000)
    await expect.poll(() => curlew.streams.open).toBe(0)
    stalled.destroy()
  })

  test('keeps a reader that was slow once and has caught up, however quiet it is then', async () => {
    await using curlew = await setUp({ stallMs: 300 })
    for (let i = 0; i < 20; i++) curlew.put(`${i}-${'x'.repeat(500_000)}`)
    const accepting = once(curlew.app.server, 'connection') as Promise<[Socket]>
    const reader = connect(curlew.port, '127.0.0.1')
    reader.write(`GET /v1/topics/one/stream?from=earliest HTTP/1.1\r\n${HEAD}`)
    const [accepted] = await accepting
    await expect.poll(() => accepted.timeout, { interval: 5 }).toBe(300)
    let tail = ''
    reader.on('data', (piece) => {
      tail = (tail + piece.toString('latin1')).slice(-600_000)
    })
    await expect.poll(() => tail.includes('"19-')).toBe(true)
    // Nothing is unsent any more, which is noticed when the time is over.
    await expect.poll(() => accepted.timeout, { timeout: 15_000 }).toBe(0)
    curlew.put('later')
    await expect.poll(() => tail.includes('"later"')).toBe(true)
    expect([accepted.destroyed, curlew.streams.open]).toEqual([false, 1])
    reader.destroy()
  })

  test('gives a slow reader everything', async () => {
    await using curlew = await setUp()
    const { port } = curlew.app.server.address() as AddressInfo
    const filler = 'y'.repeat(100_000)
    const feed = (from: number) => {
      for (let i = from; i < from + 50; i++) curlew.put(`${i}-${filler}`)
    }
    feed(0)
    const socket = connect(port, '127.0.0.1')
    socket.write(`GET /v1/topics/one/stream?from=earliest HTTP/1.1\r\n${HEAD}`)
    const numbers: number[] = []
    let carried = ''
    let next = 50
    for await (const piece of socket) {
      const text = carried + String(piece)
      for (const [, number] of text.matchAll(/"value":"(\d+)-/g)) numbers.push(Number(number))
      // What may be the beginning of the next match, and is not a whole one.
      carried = text.slice(-12).replace(/.*"value":"\d+-/, '')
      if (next < 300 && numbers.length > next - 40) {
        feed(next)
        next += 50
      }
      if (numbers.length >= 300) break
    }
    expect(numbers).toEqual([...Array(300).keys()])
  })
})
