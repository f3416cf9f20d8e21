/** Behind nginx, set up with care or not at all: streams flow, waits wait, and nobody misses the end. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { EventStream } from '../support/event-stream.ts'
import { eventually } from '../support/eventually.ts'
import { call, callJson } from '../support/http-client.ts'
import { Nginx, nginxObstacle } from '../support/nginx.ts'
import { TempServer } from '../support/temp-server.ts'

/** `default` is HTTP/1.0 to the server, and buffering. */
const VARIANTS = {
  default: '',
  buffering: 'proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering on;',
  'no buffering': 'proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;',
  slow: 'proxy_http_version 1.1; proxy_limit_rate 20000; limit_rate 40000;',
} as const

const obstacle = nginxObstacle()

if (obstacle !== undefined) {
  console.warn(`proxies are not tested: ${obstacle}`)
  it('has said why proxies are not tested', () => {
    expect(obstacle).toMatch(/\S/)
  })
} else {
  describe('behind nginx', () => {
    let server: TempServer
    let nginx: Nginx

    beforeAll(async () => {
      server = await TempServer.start('proxied')
      nginx = await Nginx.start(server.process.port, VARIANTS)
    })
    afterAll(async () => {
      await nginx.close()
      await server.close()
    })

    const publish = async (topic: string, body: string) => {
      const answer = await call(server.baseUrl, 'POST', `/v1/topics/${topic}/publish`, { body })
      expect(answer.status, answer.text).toBe(201)
    }

    const topic = async (name: string): Promise<string> => {
      const made = await callJson(server.baseUrl, 'PUT', `/v1/topics/${name}`, { partitions: 1 })
      expect(made.status, made.text).toBe(201)
      return name
    }

    it.each(['default', 'buffering', 'no buffering'])(
      'each event of a stream comes when it happens (%s)',
      async (variant) => {
        const name = await topic(`flow-${variant.replace(' ', '-')}`)
        const path = `/v1/topics/${name}/stream?data=value`
        const stream = await EventStream.open(nginx.url(variant), path)
        await stream.until('the place where it begins', (raw) => raw.includes('id:'))
        // The next one is published only when the last one has come through the proxy.
        for (let i = 0; i < 20; i++) {
          await publish(name, `${i}:${'x'.repeat(i * 300)}`)
          const [event] = await stream.take(1)
          expect(event?.data.startsWith(`${i}:`)).toBe(true)
        }
        expect(stream.headers['content-type']).toBe('text/event-stream')
        expect(stream.headers['content-encoding']).toBeUndefined()
        await stream.close()
        await eventually('the server knows that the reader has left', async () => {
          const { text } = await call(server.baseUrl, 'GET', '/metrics')
          return /^curlew_streams(?:\{[^}]*\})? 0$/m.test(text) ? true : undefined
        })
      },
    )

    it.each(['default', 'buffering', 'no buffering'])(
      'a waiting read is answered with the first record (%s)',
      async (variant) => {
        const name = await topic(`wait-${variant.replace(' ', '-')}`)
        const path = `/v1/topics/${name}/records?wait=55`
        const waiting = call(nginx.url(variant), 'GET', path)
        await eventually('it waits', async () => {
          const { text } = await call(server.baseUrl, 'GET', '/metrics')
          return /^curlew_waiting_reads(?:\{[^}]*\})? 1$/m.test(text) ? true : undefined
        })
        await publish(name, 'at last')
        const { records } = (await waiting).json<{ records: { value: string }[] }>()
        expect(records.map(({ value }) => value)).toEqual(['at last'])
      },
    )

    it('a slow proxy delays records, but loses none and gives none twice', async () => {
      const name = await topic('slow')
      const count = 60
      for (let i = 0; i < count; i++) await publish(name, `${i}:${'x'.repeat(2000)}`)
      const path = `/v1/topics/${name}/stream?data=value&from=earliest`
      const first = await EventStream.open(nginx.url('slow'), path)
      const some = await first.take(5)
      const { lastEventId } = first
      await first.close()
      const taken = some.findIndex(({ id }) => id === lastEventId) + 1
      const again = await EventStream.open(nginx.url('slow'), path, {
        headers: { 'last-event-id': lastEventId },
      })
      const rest = await again.take(count - taken)
      await again.close()
      const numbers = [...some.slice(0, taken), ...rest].map(({ data }) =>
        Number.parseInt(data, 10),
      )
      expect(numbers).toEqual([...Array(count).keys()])
    })

    it('the end of a stream comes through when the server shuts down', async () => {
      const name = await topic('ends')
      const streams = await Promise.all(
        Object.keys(VARIANTS).map((variant) =>
          EventStream.open(nginx.url(variant), `/v1/topics/${name}/stream`),
        ),
      )
      for (const stream of streams) await stream.until('its id', (raw) => raw.includes('id:'))
      const stopped = server.process.stop()
      for (const stream of streams) {
        const events = await stream.rest()
        expect(events.at(-1)).toMatchObject({ event: 'end' })
        expect(JSON.parse(events.at(-1)?.data ?? '')).toEqual({ reason: 'draining' })
      }
      expect(await stopped).toEqual({ code: 0, signal: null })
      await server.startAgain()
    })
  })
}
