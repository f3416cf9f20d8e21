/** What a page of another origin may do where nothing was allowed to it: nothing. */
import { describe, expect, it } from 'vitest'
import type { Method } from '../support/http-client.ts'
import type { Api } from './api.ts'

const FOREIGN = { origin: 'https://evil.example' }
const WRITES: [Method, string][] = [
  ['POST', 'publish'],
  ['POST', 'records'],
  ['DELETE', 'partitions/0/records?before=1'],
  ['PUT', ''],
  ['PATCH', ''],
  ['DELETE', ''],
]

export function describeBrowserRules(api: Api): void {
  describe('browser rules', () => {
    it.each(WRITES)(
      'refuses %s %s from a foreign origin, and does nothing',
      async (method, rest) => {
        const topic = await api.makeTopic('origin')
        await api.produceNumbers(topic, 1)
        const path = `/v1/topics/${topic}${rest === '' ? '' : `/${rest}`}`
        const headers = { ...FOREIGN, 'content-type': 'text/plain' }
        const answer = await api.call(method, path, {
          headers,
          body: method === 'DELETE' ? '' : '{}',
        })
        api.expectProblem(answer, 'origin-not-allowed')
        expect((await api.read(topic)).records.length).toBe(1)
      },
    )

    it('refuses a write that the browser calls cross-site, without an Origin', async () => {
      const topic = await api.makeTopic('cross-site')
      const answer = await api.publish(topic, 'x', { headers: { 'sec-fetch-site': 'cross-site' } })
      api.expectProblem(answer, 'origin-not-allowed')
      await api.expectEmpty(topic)
    })

    it('refuses the origin null, as sandboxed pages and files have it', async () => {
      const topic = await api.makeTopic('null-origin')
      const answer = await api.publish(topic, 'x', { headers: { origin: 'null' } })
      api.expectProblem(answer, 'origin-not-allowed')
    })

    it('does not let a foreign page read', async () => {
      const topic = await api.makeTopic('read')
      const answer = await api.call('GET', `/v1/topics/${topic}/records`, { headers: FOREIGN })
      expect(answer.header('access-control-allow-origin')).toBeUndefined()
      const preflight = await api.call('OPTIONS', `/v1/topics/${topic}/publish`, {
        headers: { ...FOREIGN, 'access-control-request-method': 'POST' },
      })
      expect(preflight.header('access-control-allow-origin')).toBeUndefined()
    })

    it('lets a page of its own origin write', async () => {
      const topic = await api.makeTopic('own')
      const headers = { origin: api.baseUrl, 'sec-fetch-site': 'same-origin' }
      const answer = await api.publish(topic, 'x', { headers })
      expect(answer.status, answer.text).toBe(201)
    })
  })
}
