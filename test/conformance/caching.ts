/** What may be kept by whom, and how it is asked for again. */
import { describe, expect, it } from 'vitest'
import type { Answer } from '../support/http-client.ts'
import type { Api } from './api.ts'
import type { ReadPage } from './shapes.ts'

export function describeCaching(api: Api): void {
  describe('caching', () => {
    const get = (path: string, headers: Record<string, string> = {}): Promise<Answer> =>
      api.call('GET', path, { headers })

    it('gives a page that nothing can change a strong ETag, and answers 304 to it', async () => {
      const topic = await api.makeTopic('sealed')
      await api.produceNumbers(topic, 10)
      const path = `/v1/topics/${topic}/records?limit=5`
      const page = await get(path)
      const etag = page.header('etag') ?? ''
      expect(etag).toMatch(/^"[^"]+"$/)
      expect(page.header('cache-control')).toBe('no-cache')
      await api.produceNumbers(topic, 10)
      const again = await get(path, { 'if-none-match': etag })
      expect([again.status, again.text]).toEqual([304, ''])
      expect((await get(path, { 'if-none-match': `"x", W/${etag}` })).status).toBe(304)
      expect((await get(path, { 'if-none-match': '"x"' })).text).toBe(page.text)
    })

    it('lets a sealed page that a cursor names be kept for good', async () => {
      const topic = await api.makeTopic('immutable')
      await api.produceNumbers(topic, 10)
      const { cursor } = await api.read(topic, '?limit=2')
      const page = await get(`/v1/topics/${topic}/records?limit=2&cursor=${cursor}`)
      expect(page.header('cache-control')).toBe('public, max-age=3600, immutable')
      expect(page.header('etag')).toMatch(/^"/)
    })

    it('lets nobody keep a page to which records may come', async () => {
      const topic = await api.makeTopic('open')
      await api.produceNumbers(topic, 3)
      const page = await get(`/v1/topics/${topic}/records?limit=5`)
      expect(page.header('cache-control')).toBe('no-store')
      expect(page.header('etag')).toBeUndefined()
      await api.produceNumbers(topic, 1)
      expect((await api.read(topic, '?limit=5')).records.length).toBe(4)
    })

    it('tells the forms of a page apart', async () => {
      const topic = await api.makeTopic('forms')
      await api.produceNumbers(topic, 10)
      const path = `/v1/topics/${topic}/records?limit=5`
      const json = await get(path)
      const lines = await get(path, { accept: 'application/x-ndjson' })
      expect(lines.header('etag')).not.toBe(json.header('etag'))
      expect(json.header('vary')?.toLowerCase()).toContain('accept')
      const headers = { accept: 'application/x-ndjson', 'if-none-match': json.header('etag') ?? '' }
      expect((await get(path, headers)).status).toBe(200)
    })

    it('gives a deflated page the weak form of the tag, which is good for 304, too', async () => {
      const topic = await api.makeTopic('weak')
      await api.produceNumbers(topic, 500)
      const path = `/v1/topics/${topic}/records?limit=400`
      const deflated = await get(path, { 'accept-encoding': 'gzip' })
      expect(deflated.header('content-encoding')).toBe('gzip')
      const etag = deflated.header('etag') ?? ''
      expect(etag).toMatch(/^W\/"/)
      expect((await get(path, { 'if-none-match': etag })).status).toBe(304)
    })

    it('never answers 304 for records that were removed', async () => {
      const topic = await api.makeTopic('removed')
      await api.produceNumbers(topic, 10)
      const path = `/v1/topics/${topic}/records?limit=5`
      const etag = (await get(path)).header('etag') ?? ''
      await api.call('DELETE', `/v1/topics/${topic}/partitions/0/records?before=5`)
      const answer = await get(path, { 'if-none-match': etag })
      expect(answer.status).toBe(200)
      expect(answer.json<ReadPage>().records.map(({ value }) => value)).toEqual([5, 6, 7, 8, 9])
    })

    it('never answers 304 for the records of a topic that was made again', async () => {
      const topic = await api.makeTopic('again')
      await api.produceNumbers(topic, 10)
      const page = `/v1/topics/${topic}/records?limit=5`
      const record = `/v1/topics/${topic}/partitions/0/records/0`
      const tags = [(await get(page)).header('etag'), (await get(record)).header('etag')]
      await api.call('DELETE', `/v1/topics/${topic}`)
      await api.callJson('PUT', `/v1/topics/${topic}`, { partitions: 1 })
      await api.produceNumbers(topic, 10)
      expect((await get(page, { 'if-none-match': tags[0] ?? '' })).status).toBe(200)
      expect((await get(record, { 'if-none-match': tags[1] ?? '' })).status).toBe(200)
    })
  })
}
