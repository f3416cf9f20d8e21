/** Bounds on bodies, also on what they inflate to. */
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { RawConnection } from '../support/raw-connection.ts'
import type { Api } from './api.ts'

const MIB = 1024 * 1024
const NDJSON = 'application/x-ndjson'

export function describeLimits(api: Api): void {
  describe('limits', () => {
    const produce = (topic: string, body: Uint8Array, headers: Record<string, string> = {}) =>
      api.call('POST', `/v1/topics/${topic}/records`, {
        headers: { 'content-type': NDJSON, ...headers },
        body,
      })

    it('refuses a body above 16 MiB with the limit, and writes nothing', async () => {
      const topic = await api.makeTopic('body')
      const line = `{"value":"${'x'.repeat(1023)}"}\n`
      const answer = await produce(topic, Buffer.from(line.repeat(17 * 1024)))
      expect(api.expectProblem(answer, 'body-too-large').limit).toBe(16 * MIB)
      await api.expectEmpty(topic)
    }, 60_000)

    it('takes a body just below 16 MiB', async () => {
      const topic = await api.makeTopic('body-below')
      const line = `{"value":"${'x'.repeat(1023)}"}\n`
      const count = Math.floor((16 * MIB) / line.length)
      const answer = await produce(topic, Buffer.from(line.repeat(count)))
      expect(answer.status, answer.text.slice(0, 300)).toBe(200)
      expect((await api.readAll(topic, '?limit=10000&maxBytes=8388608')).length).toBe(count)
    }, 60_000)

    it('refuses by Content-Length, before the body is sent', async () => {
      const topic = await api.makeTopic('declared')
      const { hostname, port, host } = new URL(api.baseUrl)
      const connection = await RawConnection.open(Number(port || 80), hostname)
      connection.write(
        `POST /v1/topics/${topic}/records HTTP/1.1\r\nHost: ${host}\r\n` +
          `Content-Type: ${NDJSON}\r\nContent-Length: 100000000000\r\n\r\n`,
      )
      expect(await connection.status()).toBe(413)
      connection.destroy()
    })

    it.each([
      ['gzip', gzipSync],
      ['zstd', zstdCompressSync],
    ])(
      'stops inflating a %s bomb at the bound',
      async (encoding, deflate) => {
        const topic = await api.makeTopic('bomb')
        const bomb = deflate(Buffer.alloc(200 * MIB, '{"value":1}\n'))
        expect(bomb.byteLength).toBeLessThan(2 * MIB)
        const answer = await produce(topic, bomb, { 'content-encoding': encoding })
        expect(api.expectProblem(answer, 'body-too-large').limit).toBe(16 * MIB)
        await api.expectEmpty(topic)
      },
      60_000,
    )

    it.each(['gzip', 'zstd'])(
      'refuses %s that is damaged or cut, and writes nothing',
      async (encoding) => {
        const topic = await api.makeTopic('damaged')
        const whole = (encoding === 'gzip' ? gzipSync : zstdCompressSync)(
          '{"value":1}\n'.repeat(1_000),
        )
        const flipped = Buffer.from(whole)
        const middle = flipped.length >> 1
        flipped[middle] = (flipped[middle] ?? 0) ^ 0xff
        for (const body of [whole.subarray(0, -6), flipped, Buffer.from('not deflated')]) {
          const answer = await produce(topic, body, { 'content-encoding': encoding })
          expect([400, 422], answer.text).toContain(answer.status)
        }
        await api.expectEmpty(topic)
      },
    )

    it.each(['br', 'deflate', 'gzip, gzip', 'nonsense'])(
      'refuses the content encoding %s',
      async (encoding) => {
        const topic = await api.makeTopic('encoding')
        const answer = await produce(topic, Buffer.from('{"value":1}\n'), {
          'content-encoding': encoding,
        })
        api.expectProblem(answer, 'unsupported-content-encoding')
        await api.expectEmpty(topic)
      },
    )

    it('bounds keys, and the number of headers of a record', async () => {
      const topic = await api.makeTopic('record')
      const headers = Object.fromEntries(Array.from({ length: 101 }, (_, i) => [`h${i}`, 'x']))
      for (const record of [{ key: 'k'.repeat(65_537) }, { headers }]) {
        const answer = await api.callJson('POST', `/v1/topics/${topic}/records`, {
          records: [{ value: 1, ...record }],
        })
        api.expectProblem(answer, 'invalid-record')
      }
      await api.produce(topic, [{ value: 1, key: 'k'.repeat(65_536) }])
    })

    it('takes 100,000 records in one request, and not one more', async () => {
      const topic = await api.makeTopic('records')
      const lines = (count: number): Buffer => Buffer.from('{"value":0}\n'.repeat(count))
      const refused = await produce(topic, lines(100_001))
      expect([413, 422], refused.text.slice(0, 300)).toContain(refused.status)
      await api.expectEmpty(topic)
      expect((await produce(topic, lines(100_000))).status).toBe(200)
    }, 60_000)

    it('is not stopped by JSON that is nested without end', async () => {
      const topic = await api.makeTopic('nested')
      const deep = '['.repeat(500_000)
      const answer = await api.call('POST', `/v1/topics/${topic}/publish`, {
        headers: { 'content-type': 'application/json' },
        body: deep,
      })
      expect(answer.status, answer.text).toBe(422)
      const closed = await api.call('POST', `/v1/topics/${topic}/publish`, {
        headers: { 'content-type': 'application/json' },
        body: deep + ']'.repeat(500_000),
      })
      expect([201, 422]).toContain(closed.status)
      expect((await api.call('GET', '/healthz')).status).toBe(200)
    })
  })
}
