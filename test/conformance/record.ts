/** One record by its address: the payload itself, key and headers as headers. */
import { describe, expect, it } from 'vitest'
import type { Api } from './api.ts'

export function describeRecord(api: Api): void {
  describe('one record', () => {
    const path = (topic: string, offset: number | string, partition: number | string = 0): string =>
      `/v1/topics/${topic}/partitions/${partition}/records/${offset}`

    it('is the payload with its media type, key, time and headers', async () => {
      const topic = await api.makeTopic('whole')
      await api.publish(topic, '<a/>', {
        headers: {
          'content-type': 'application/xml',
          'record-key': 'customer-7',
          'record-timestamp': '2024-01-02T03:04:05.678Z',
          'record-header-source': 'web',
        },
      })
      const answer = await api.call('GET', path(topic, 0))
      expect([answer.status, answer.text]).toEqual([200, '<a/>'])
      expect(answer.mediaType).toBe('application/xml')
      expect(answer.header('record-topic')).toBe(topic)
      expect(answer.header('record-partition')).toBe('0')
      expect(answer.header('record-offset')).toBe('0')
      expect(answer.header('record-key')).toBe('customer-7')
      expect(answer.header('record-timestamp')).toBe('2024-01-02T03:04:05.678Z')
      expect(answer.header('record-header-source')).toBe('web')
      expect(answer.header('x-content-type-options')).toBe('nosniff')
    })

    it.each([
      ['JSON', { value: { a: 1 } }, 'application/json', '{"a":1}'],
      ['bytes', { valueBase64: 'YWJj' }, 'application/octet-stream', 'abc'],
    ])('has the media type of %s', async (_, written, type, body) => {
      const topic = await api.makeTopic('media')
      await api.produce(topic, [written])
      const answer = await api.call('GET', path(topic, 0))
      expect([answer.mediaType, answer.text]).toEqual([type, body])
    })

    it('cannot be run as a page by a browser', async () => {
      const topic = await api.makeTopic('html')
      await api.publish(topic, '<script>alert(1)</script>', {
        headers: { 'content-type': 'text/html' },
      })
      const answer = await api.call('GET', path(topic, 0))
      const policy = answer.header('content-security-policy') ?? ''
      const disposition = answer.header('content-disposition') ?? ''
      expect(
        /sandbox|default-src 'none'/.test(policy) || disposition.startsWith('attachment'),
      ).toBe(true)
    })

    it('cannot break out of a header with its key or header values', async () => {
      const topic = await api.makeTopic('injection')
      await api.produce(topic, [
        { key: 'k\r\nSet-Cookie: a=b', value: 1, headers: { h: 'x\r\nEvil: 1', grün: 'ö' } },
      ])
      const answer = await api.call('GET', path(topic, 0))
      expect([answer.status, answer.text]).toEqual([200, '1'])
      expect(answer.header('record-key-base64')).toBe(
        Buffer.from('k\r\nSet-Cookie: a=b').toString('base64'),
      )
      expect(answer.header('record-headers-omitted')).toBe('2')
      expect(answer.header('set-cookie')).toBeUndefined()
      expect(answer.header('evil')).toBeUndefined()
    })

    it('of a tombstone has no content', async () => {
      const topic = await api.makeTopic('tombstone')
      await api.produce(topic, [{ key: 'k', tombstone: true }])
      const answer = await api.call('GET', path(topic, 0))
      expect([answer.status, answer.body.byteLength]).toEqual([204, 0])
      expect(answer.header('record-tombstone')).toBe('true')
      expect(answer.header('record-key')).toBe('k')
    })

    it('never changes, so it may be kept: a strong ETag answers 304', async () => {
      const topic = await api.makeTopic('etag')
      await api.publish(topic, 'x', { headers: { 'content-type': 'text/plain' } })
      const first = await api.call('GET', path(topic, 0))
      const etag = first.header('etag') ?? ''
      expect(etag).toMatch(/^"[^"]+"$/)
      const headers = { 'if-none-match': etag }
      const again = await api.call('GET', path(topic, 0), { headers })
      expect([again.status, again.text]).toEqual([304, ''])
      const other = await api.call('GET', path(topic, 0), { headers: { 'if-none-match': '"x"' } })
      expect(other.status).toBe(200)
    })

    it('answers 404, 410 and 416 for what is not there', async () => {
      const topic = await api.makeTopic('absent')
      await api.produceNumbers(topic, 3)
      await api.call('DELETE', `/v1/topics/${topic}/partitions/0/records?before=1`)
      api.expectProblem(await api.call('GET', path(topic, 0)), 'cursor-expired')
      expect((await api.call('GET', path(topic, 1))).status).toBe(200)
      api.expectProblem(await api.call('GET', path(topic, 3)), 'offset-out-of-range')
      api.expectProblem(await api.call('GET', path(topic, 0, 1)), 'partition-not-found')
      const missing = api.freshName('missing')
      api.expectProblem(await api.call('GET', path(missing, 0)), 'topic-not-found')
    })

    it.each(['-1', 'x', '1.5', '9007199254740993'])('refuses the offset %s', async (offset) => {
      const topic = await api.makeTopic('invalid')
      api.expectProblem(await api.call('GET', path(topic, offset)), 'invalid-parameter')
    })
  })
}
