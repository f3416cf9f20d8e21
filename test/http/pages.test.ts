/** Probes, measurements, problem pages, the reference, and the OpenAPI documents behind it. */
import { gunzipSync } from 'node:zlib'
import { Type } from 'typebox'
import { describe, expect, test } from 'vitest'
import { PromMetrics } from '../../src/env/prom-metrics.ts'
import type { App } from '../../src/http/app.ts'
import { docsRoutes } from '../../src/http/docs-routes.ts'
import { healthRoutes } from '../../src/http/health-routes.ts'
import { markdownToHtml } from '../../src/http/html-page.ts'
import { ITEM_SCHEMA, openApi31, openApi32, registerOpenApi } from '../../src/http/openapi.ts'
import { problemsRoutes } from '../../src/http/problems-routes.ts'
import { registerSchemas } from '../../src/http/route-rules.ts'
import { ERRORS } from '../../src/lib/service-error.ts'
import { VERSION } from '../../src/lib/version.ts'
import { Problem } from '../../src/wire/problem.ts'
import { ref } from '../../src/wire/schema.ts'
import { listen, testApp } from './test-app.ts'

const BROWSER = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' }
const Thing = Type.Object({ n: Type.Integer() }, { $id: 'Thing' })

async function appWithPages(reasons: string[] = []): Promise<App> {
  const metrics = new PromMetrics()
  const app = testApp({ metrics })
  await registerOpenApi(app)
  registerSchemas(app, Thing)
  app.get(
    '/v1/things/:thing/stream',
    {
      schema: {
        operationId: 'followThings',
        summary: 'Follow <things>',
        params: Type.Object({ thing: Type.String() }),
        response: {
          200: {
            content: {
              'text/event-stream': { schema: { type: 'string', [ITEM_SCHEMA]: ref(Thing) } },
            },
          },
          default: ref(Problem),
        },
      },
    },
    (_request, reply) => {
      reply.send('')
    },
  )
  app.post(
    '/v1/things',
    { config: { body: 'raw', documentedBody: { 'application/x-ndjson': ref(Thing) } } },
    () => ({}),
  )
  healthRoutes(app, { metrics, notReady: () => reasons })
  problemsRoutes(app)
  docsRoutes(app)
  return app
}

describe('probes', () => {
  test('tell alive from ready, and why not', async () => {
    const reasons: string[] = []
    await using app = await appWithPages(reasons)
    expect((await app.inject('/healthz')).json()).toEqual({ status: 'ok' })
    const ready = await app.inject('/readyz')
    expect([ready.statusCode, ready.json()]).toEqual([200, { status: 'ready', reasons: [] }])
    reasons.push('recovering')
    const not = await app.inject('/readyz')
    expect([not.statusCode, not.json()]).toEqual([
      503,
      { status: 'not ready', reasons: ['recovering'] },
    ])
    expect(not.headers['cache-control']).toBe('no-store')
    expect((await app.inject('/healthz')).statusCode).toBe(200)
  })

  test('requests are measured by how they ended', async () => {
    await using app = await appWithPages()
    const url = `http://127.0.0.1:${await listen(app)}`
    for (const path of ['/healthz', '/nothing']) await (await fetch(url + path)).text()
    const answer = await fetch(`${url}/metrics`)
    expect(answer.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/)
    const text = await answer.text()
    expect(text).toContain('curlew_http_requests_total{status="2xx"} 1')
    expect(text).toContain('curlew_http_requests_total{status="4xx"} 1')
    expect(text).toContain('curlew_http_requests_in_flight 1')
    expect(text).toContain('curlew_http_body_bytes 0')
    app.server.closeAllConnections()
  })
})

describe('problem pages', () => {
  test.each(Object.keys(ERRORS))('%s has one for people and one for programs', async (code) => {
    await using app = await appWithPages()
    const page = await app.inject({ url: `/problems/${code}`, headers: BROWSER })
    expect(page.statusCode).toBe(200)
    expect(page.headers['content-type']).toBe('text/html; charset=utf-8')
    expect(page.headers['content-security-policy']).toContain("default-src 'none'")
    expect(page.body).toContain(ERRORS[code as keyof typeof ERRORS].title)
    const json = await app.inject(`/problems/${code}`)
    expect(json.json()).toEqual({
      type: `/problems/${code}`,
      code,
      ...ERRORS[code as keyof typeof ERRORS],
    })
  })

  test('are listed, and others are 404', async () => {
    await using app = await appWithPages()
    expect((await app.inject('/problems')).json().problems).toHaveLength(Object.keys(ERRORS).length)
    expect((await app.inject({ url: '/problems', headers: BROWSER })).body).toContain(
      '/problems/disk-full',
    )
    for (const code of ['nope', 'constructor', '__proto__']) {
      expect((await app.inject(`/problems/${code}`)).json().code).toBe('route-not-found')
    }
  })

  test('text cannot become markup', () => {
    expect(markdownToHtml('a <b> & `x<y>` "q"')).toBe(
      'a &lt;b&gt; &amp; <code>x&lt;y&gt;</code> &quot;q&quot;',
    )
  })
})

describe('the reference', () => {
  test('is a page that takes everything from this server, and lists the operations without scripts', async () => {
    await using app = await appWithPages()
    const page = await app.inject({ url: '/docs', headers: BROWSER })
    const policy = String(page.headers['content-security-policy'])
    expect(policy).toContain("default-src 'none'; script-src 'self';")
    expect(policy).not.toMatch(/https?:|unsafe-eval|script-src[^;]*unsafe-inline/)
    expect(page.body).not.toMatch(/(?:src|href)="(?:https?:)?\/\//)
    expect(page.body).toContain('GET /v1/things/{thing}/stream</code> Follow &lt;things&gt;')
    for (const [, path = ''] of page.body.matchAll(/(?:src|href)="([^"]+)"/g)) {
      expect((await app.inject(path)).statusCode).toBe(200)
    }
  })

  test('its program is compressed, kept for good, and plain for those who want that', async () => {
    await using app = await appWithPages()
    const page = await app.inject('/docs')
    const path = /src="(\/docs\/reference[^"]+)"/.exec(page.body)?.[1] ?? ''
    const packed = await app.inject({ url: path, headers: { 'accept-encoding': 'gzip, br, zstd' } })
    expect(packed.headers['content-encoding']).toBe('gzip')
    expect(packed.headers['cache-control']).toContain('immutable')
    expect(packed.headers.vary).toBe('Accept-Encoding')
    const plain = await app.inject(path)
    expect(plain.headers['content-encoding']).toBeUndefined()
    expect(gunzipSync(packed.rawPayload).equals(plain.rawPayload)).toBe(true)
    expect(plain.rawPayload.length).toBeGreaterThan(1_000_000)
  })

  test('the root greets curl, and sends browsers to the reference', async () => {
    await using app = await appWithPages()
    const text = await app.inject({ url: '/', headers: { host: 'localhost:9000' } })
    expect(text.headers['content-type']).toBe('text/plain; charset=utf-8')
    expect(text.body).toContain('curl localhost:9000/v1/topics/')
    const page = await app.inject({ url: '/', headers: BROWSER })
    expect([page.statusCode, page.headers.location]).toEqual([302, '/docs'])
  })
})

describe('the OpenAPI documents', () => {
  test('3.1 describes operations, bodies and problems', async () => {
    await using app = await appWithPages()
    await app.ready()
    const document = openApi31(app)
    expect(document['openapi']).toBe('3.1.1')
    expect(document['info']).toMatchObject({ title: 'Curlew', version: VERSION })
    expect(Object.keys(document['paths'] as object)).toEqual([
      '/healthz',
      '/metrics',
      '/readyz',
      '/v1/things',
      '/v1/things/{thing}/stream',
    ])
    expect(document['paths']).toMatchObject({
      '/v1/things': {
        post: {
          requestBody: {
            content: { 'application/x-ndjson': { schema: { $ref: '#/components/schemas/Thing' } } },
          },
        },
      },
      '/v1/things/{thing}/stream': {
        get: {
          responses: {
            200: { content: { 'text/event-stream': { schema: { type: 'string' } } } },
            default: {
              content: {
                'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } },
              },
            },
          },
        },
      },
    })
    expect(JSON.stringify(document)).not.toContain(ITEM_SCHEMA)
  })

  test('3.2 describes the items of a stream', async () => {
    await using app = await appWithPages()
    await app.ready()
    const document = openApi32(app)
    expect(document['openapi']).toBe('3.2.0')
    expect(document['paths']).toMatchObject({
      '/v1/things/{thing}/stream': {
        get: {
          responses: {
            200: {
              content: {
                'text/event-stream': { itemSchema: { $ref: '#/components/schemas/Thing' } },
              },
            },
          },
        },
      },
    })
  })

  test('are served with a tag, and not sent again to those who have them', async () => {
    await using app = await appWithPages()
    for (const url of ['/openapi.json', '/openapi-3.2.json']) {
      const first = await app.inject(url)
      expect(first.json().openapi).toMatch(/^3\.[12]\./)
      const headers = { 'if-none-match': String(first.headers.etag), 'accept-encoding': 'gzip' }
      const again = await app.inject({ url, headers })
      expect([again.statusCode, again.body]).toEqual([304, ''])
    }
  })
})
