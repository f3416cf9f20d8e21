/** Who may do what from a browser, and under which names the server answers. */
import { describe, expect, test } from 'vitest'
import type { App, AppOptions } from '../../src/http/app.ts'
import { isLoopbackAddress } from '../../src/http/browser-rules.ts'
import { testApp } from './test-app.ts'

function appWith(options: Partial<AppOptions>): App {
  const app = testApp({}, options)
  app.get('/v1/read', () => ({ fine: true }))
  app.post('/v1/write', { config: { body: 'raw' } }, () => ({ fine: true }))
  return app
}

async function write(options: Partial<AppOptions>, headers: Record<string, string>) {
  await using app = appWith(options)
  return await app.inject({ method: 'POST', url: '/v1/write', payload: 'x', headers })
}

const LISTED = { corsOrigins: ['https://app.example', 'http://localhost:3000'] }

describe('writing', () => {
  test.each([
    ['no origin at all', {}, {}, 200],
    ['a listed origin', LISTED, { origin: 'https://app.example' }, 200],
    ['another origin', LISTED, { origin: 'https://evil.example' }, 403],
    ['a listed origin on another port', LISTED, { origin: 'https://app.example:8443' }, 403],
    ['a longer origin', LISTED, { origin: 'https://app.example.evil.example' }, 403],
    ['an opaque origin', LISTED, { origin: 'null' }, 403],
    ['no list', {}, { origin: 'https://app.example' }, 403],
    ['the same origin', {}, { origin: 'http://localhost:8080', host: 'localhost:8080' }, 200],
    ['the same host, other port', {}, { origin: 'http://localhost:81', host: 'localhost:80' }, 403],
    ['any origin', { corsOrigins: ['*'] }, { origin: 'https://x.example' }, 200],
    ['any origin, even none', { corsOrigins: ['*'] }, { origin: 'null' }, 200],
    ['another site without origin', {}, { 'sec-fetch-site': 'cross-site' }, 403],
    ['the same site', {}, { 'sec-fetch-site': 'same-origin' }, 200],
    ['a person', {}, { 'sec-fetch-site': 'none' }, 200],
    [
      'a listed origin of another site',
      LISTED,
      { origin: 'https://app.example', 'sec-fetch-site': 'cross-site' },
      200,
    ],
  ] as [string, Partial<AppOptions>, Record<string, string>, number][])(
    'from %s',
    async (_name, options, headers, status) => {
      const answer = await write(options, headers)
      expect(answer.statusCode).toBe(status)
      if (status === 403) {
        expect(answer.json()).toMatchObject({ code: 'origin-not-allowed', committed: 'no' })
        expect(answer.headers['access-control-allow-origin']).toBeUndefined()
      }
    },
  )
})

describe('reading', () => {
  test('a listed origin sees the answer and its headers', async () => {
    await using app = appWith(LISTED)
    const answer = await app.inject({ url: '/v1/read', headers: { origin: 'https://app.example' } })
    expect(answer.headers['access-control-allow-origin']).toBe('https://app.example')
    expect(answer.headers.vary).toBe('Origin')
    expect(answer.headers['access-control-expose-headers']).toMatch(
      /Cursor, ETag.*Location.*Request-Id, Retry-After/,
    )
  })

  test('another origin gets an answer that its browser will not show', async () => {
    await using app = appWith(LISTED)
    const answer = await app.inject({
      url: '/v1/read',
      headers: { origin: 'https://evil.example' },
    })
    expect(answer.statusCode).toBe(200)
    expect(answer.headers['access-control-allow-origin']).toBeUndefined()
    expect(answer.headers.vary).toBe('Origin')
  })

  test('errors can be read by a listed origin, too', async () => {
    await using app = appWith(LISTED)
    const answer = await app.inject({ url: '/none', headers: { origin: 'https://app.example' } })
    expect(answer.statusCode).toBe(404)
    expect(answer.headers['access-control-allow-origin']).toBe('https://app.example')
  })

  test('with every origin allowed the answer is the same for all', async () => {
    await using app = appWith({ corsOrigins: ['*'] })
    const answer = await app.inject({ url: '/v1/read', headers: { origin: 'https://x.example' } })
    expect(answer.headers['access-control-allow-origin']).toBe('*')
    expect(answer.headers.vary).toBeUndefined()
  })
})

describe('preflight', () => {
  const ask = {
    'access-control-request-method': 'POST',
    'access-control-request-headers':
      'content-type,record-header-source,x-other,record-header-a\tb',
  }

  test('a listed origin hears every header by name, and those of records as it asks', async () => {
    await using app = appWith(LISTED)
    const headers = { origin: 'https://app.example', ...ask }
    const answer = await app.inject({ method: 'OPTIONS', url: '/v1/write', headers })
    expect(answer.statusCode).toBe(204)
    expect(answer.headers['access-control-allow-origin']).toBe('https://app.example')
    expect(answer.headers['access-control-allow-methods']).toContain('DELETE')
    const allowed = String(answer.headers['access-control-allow-headers']).split(', ')
    for (const name of [
      'Content-Type',
      'Last-Event-ID',
      'Idempotency-Key',
      'If-Match',
      'Record-Key',
      'Record-Key-Base64',
      'Record-Timestamp',
      'Producer-Id',
      'Traceparent',
      'record-header-source',
    ]) {
      expect(allowed).toContain(name)
    }
    expect(allowed).not.toContain('x-other')
    expect(allowed.some((name) => name.includes('\t'))).toBe(false)
    expect(answer.headers.vary).toBe('Origin, Access-Control-Request-Headers')
    expect(Number(answer.headers['access-control-max-age'])).toBeGreaterThan(0)
  })

  test('another origin hears nothing of the kind', async () => {
    await using app = appWith(LISTED)
    const headers = { origin: 'https://evil.example', ...ask }
    const answer = await app.inject({ method: 'OPTIONS', url: '/v1/write', headers })
    expect(answer.statusCode).toBe(204)
    expect(answer.headers['access-control-allow-origin']).toBeUndefined()
    expect(answer.headers['access-control-allow-headers']).toBeUndefined()
  })
})

describe('names of the host', () => {
  test.each([
    ['localhost', 200],
    ['localhost:8080', 200],
    ['LOCALHOST:1', 200],
    ['127.0.0.1:9', 200],
    ['[::1]:8080', 200],
    ['[::1]', 200],
    ['curlew.internal', 200],
    ['curlew.internal:8080', 200],
    ['evil.example', 403],
    ['localhost.evil.example', 403],
    ['127.0.0.1.evil.example:8080', 403],
    ['evil.example:localhost', 403],
  ])('on loopback, %j is %i', async (host, status) => {
    await using app = appWith({ allowedHosts: ['curlew.internal'] })
    for (const method of ['GET', 'OPTIONS'] as const) {
      const answer = await app.inject({ method, url: '/v1/read', headers: { host } })
      expect(answer.statusCode).toBe(method === 'OPTIONS' && status === 200 ? 204 : status)
      if (status === 403) expect(answer.json().code).toBe('host-not-allowed')
    }
  })

  test('elsewhere every name is good', async () => {
    await using app = appWith({ loopback: false })
    const answer = await app.inject({ url: '/v1/read', headers: { host: 'any.example' } })
    expect(answer.statusCode).toBe(200)
  })

  test.each([
    ['127.0.0.1', true],
    ['127.1.2.3', true],
    ['localhost', true],
    ['::1', true],
    ['0.0.0.0', false],
    ['::', false],
    ['192.168.1.1', false],
    ['127.0.0.1.example', false],
  ])('%s is loopback: %s', (host, loopback) => {
    expect(isLoopbackAddress(host)).toBe(loopback)
  })
})
