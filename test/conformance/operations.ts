/** Probes, metrics, the API document and the pages for people. */
import { describe, expect, it } from 'vitest'
import type { Api } from './api.ts'

interface OpenApi {
  readonly openapi: string
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
}

interface Operation {
  readonly operationId?: string
  readonly responses?: Readonly<Record<string, unknown>>
}

/** Every row of the resource table of PROTOCOL.md, as the document names it. */
const OPERATIONS = [
  ['/v1/topics', 'get'],
  ['/v1/topics/{topic}', 'put'],
  ['/v1/topics/{topic}', 'get'],
  ['/v1/topics/{topic}', 'patch'],
  ['/v1/topics/{topic}', 'delete'],
  ['/v1/topics/{topic}/publish', 'post'],
  ['/v1/topics/{topic}/records', 'post'],
  ['/v1/topics/{topic}/records', 'get'],
  ['/v1/topics/{topic}/stream', 'get'],
  ['/v1/topics/{topic}/partitions/{partition}/records/{offset}', 'get'],
  ['/v1/topics/{topic}/partitions/{partition}/records', 'delete'],
  ['/v1/cluster', 'get'],
  ['/v1/nodes/{node}', 'get'],
] as const

export function describeOperations(api: Api): void {
  describe('operations', () => {
    describeProbes(api)
    describeDocuments(api)
    describePages(api)
  })
}

function describeProbes(api: Api): void {
  it.each(['/healthz', '/readyz'])('%s answers 200', async (path) => {
    const answer = await api.call('GET', path)
    expect(answer.status, answer.text).toBe(200)
    expect(answer.header('cache-control')).toMatch(/no-store|no-cache/)
  })

  it('/readyz says why it is not ready, if it is not', async () => {
    const answer = await api.call('GET', '/readyz')
    expect(answer.json()).toEqual({ status: 'ready', reasons: [] })
  })

  it('/metrics has the text form of Prometheus, with samples that move', async () => {
    const topic = await api.makeTopic('metrics')
    const sum = async (): Promise<number> => {
      const answer = await api.call('GET', '/metrics')
      expect(answer.mediaType).toBe('text/plain')
      const samples = [...answer.text.matchAll(/^(curlew_[a-z_]+)(?:\{[^}]*\})? (\S+)$/gm)]
      expect(samples.length).toBeGreaterThan(0)
      return samples.reduce((total, sample) => total + Number(sample[2]), 0)
    }
    const before = await sum()
    await api.produceNumbers(topic, 100)
    expect(await sum()).not.toBe(before)
  })
}

function describeDocuments(api: Api): void {
  it.each([
    ['/openapi.json', /^3\.1\./],
    ['/openapi-3.2.json', /^3\.2\./],
  ])(
    '%s describes every operation: an id, a success, and problems for the rest',
    async (path, version) => {
      const document = (await api.call('GET', path)).json<OpenApi>()
      expect(document.openapi).toMatch(version)
      const ids: string[] = []
      for (const [route, method] of OPERATIONS) {
        const operation = document.paths[route]?.[method]
        expect(operation, `${method} ${route}`).toBeDefined()
        ids.push(operation?.operationId ?? '')
        const codes = Object.keys(operation?.responses ?? {})
        expect(codes).toContain('default')
        expect(codes.some((code) => code.startsWith('2'))).toBe(true)
      }
      expect(ids).not.toContain('')
      expect(new Set(ids).size).toBe(ids.length)
    },
  )

  it.each(['/openapi.json', '/openapi-3.2.json'])('%s has no dangling reference', async (path) => {
    const document: unknown = (await api.call('GET', path)).json()
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)]
    expect(references.length).toBeGreaterThan(0)
    for (const [, reference = ''] of references) {
      expect(reference).toMatch(/^#\//)
      const target = reference
        .slice(2)
        .split('/')
        .reduce<unknown>(
          (node, key) => (node as Record<string, unknown> | undefined)?.[key],
          document,
        )
      expect(target, reference).toBeDefined()
    }
  })

  it('the API document has an ETag and answers 304 to those who have it', async () => {
    const first = await api.call('GET', '/openapi.json')
    const etag = first.header('etag') ?? ''
    expect(etag).toMatch(/"/)
    const again = await api.call('GET', '/openapi.json', { headers: { 'if-none-match': etag } })
    expect([again.status, again.text]).toEqual([304, ''])
  })
}

function describePages(api: Api): void {
  it('/docs is a page that loads nothing from elsewhere', async () => {
    const answer = await api.call('GET', '/docs')
    expect([answer.status, answer.mediaType]).toEqual([200, 'text/html'])
    expect(answer.text).not.toMatch(
      /(?:src|href)="(?:https?:)?\/\/(?!(?:localhost|127\.0\.0\.1))[^"]+\.(?:js|css)/,
    )
    expect(answer.header('x-content-type-options')).toBe('nosniff')
    for (const [route] of OPERATIONS) expect(answer.text, route).toContain(route)
  })

  it('has a page behind the type of every error', async () => {
    expect(api.errorCodes.length).toBeGreaterThan(30)
    for (const code of api.errorCodes) {
      const answer = await api.call('GET', `/problems/${code}`)
      expect(answer.status, code).toBe(200)
      expect(answer.text).toContain(code)
    }
    const unknown = await api.call('GET', '/problems/no-such-code')
    api.expectProblem(unknown, 'route-not-found')
  })

  it('answers / with something that helps', async () => {
    const answer = await api.call('GET', '/')
    expect([200, 302, 303, 307, 308]).toContain(answer.status)
    expect(`${answer.header('location')}${answer.text}`).toContain('/docs')
  })
}
