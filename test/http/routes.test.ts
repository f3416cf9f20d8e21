/** Paths, methods, request ids, and what happens when a handler throws. */
import { describe, expect, test } from 'vitest'
import { ServiceError } from '../../src/lib/service-error.ts'
import type { LogLine } from './test-app.ts'
import { recordingLogger, testApp } from './test-app.ts'

describe('routing', () => {
  test('an unknown path is 404 as a problem document', async () => {
    await using app = testApp()
    const answer = await app.inject({ method: 'POST', url: '/nothing/here', payload: { a: 1 } })
    expect(answer.statusCode).toBe(404)
    expect(answer.json()).toMatchObject({ code: 'route-not-found', status: 404 })
  })

  test('a wrong method is 405 and names those that work', async () => {
    await using app = testApp()
    app.get('/v1/topics/:topic', () => ({}))
    app.put('/v1/topics/:topic', () => ({}))
    const answer = await app.inject({ method: 'POST', url: '/v1/topics/a?x=1', payload: '' })
    expect(answer.statusCode).toBe(405)
    expect(answer.json().code).toBe('method-not-allowed')
    expect(answer.headers.allow).toBe('GET, HEAD, PUT, OPTIONS')
  })

  test('OPTIONS tells the methods', async () => {
    await using app = testApp()
    app.post('/v1/topics/:topic/publish', () => ({}))
    const answer = await app.inject({ method: 'OPTIONS', url: '/v1/topics/a/publish' })
    expect(answer.statusCode).toBe(204)
    expect(answer.headers.allow).toBe('POST, OPTIONS')
  })

  test('HEAD has the headers of GET and no body', async () => {
    await using app = testApp()
    app.get('/v1/small', () => ({ some: 'answer' }))
    const get = await app.inject('/v1/small')
    const head = await app.inject({ method: 'HEAD', url: '/v1/small' })
    expect(head.statusCode).toBe(200)
    expect(head.body).toBe('')
    expect(head.headers['content-length']).toBe(get.headers['content-length'])
  })

  test('a path that cannot be decoded is 400', async () => {
    await using app = testApp()
    app.get('/v1/topics/:topic', () => ({}))
    const answer = await app.inject('/v1/topics/%zz')
    expect(answer.statusCode).toBe(400)
    expect(answer.json().code).toBe('malformed-request')
  })
})

describe('request ids', () => {
  test('a valid one is echoed, any other is replaced', async () => {
    await using app = testApp()
    const given = await app.inject({ url: '/x', headers: { 'request-id': 'abc-1_2.3' } })
    expect(given.headers['request-id']).toBe('abc-1_2.3')
    for (const bad of ['has space', 'x'.repeat(129), 'a\tb', 'ä', '']) {
      const answer = await app.inject({ url: '/x', headers: { 'request-id': bad } })
      expect(answer.headers['request-id']).toMatch(/^[0-9a-f]{32}$/)
    }
  })

  test('two requests have two ids', async () => {
    await using app = testApp()
    const [a, b] = [await app.inject('/x'), await app.inject('/x')]
    expect(a.headers['request-id']).not.toBe(b.headers['request-id'])
  })

  test('the trace of the caller is the traceId of a problem', async () => {
    await using app = testApp()
    const trace = '0af7651916cd43dd8448eb211c80319c'
    const traceparent = `00-${trace}-b7ad6b7169203331-01`
    const answer = await app.inject({ url: '/x', headers: { traceparent } })
    expect(answer.json().traceId).toBe(trace)
  })

  test.each([
    '00-00000000000000000000000000000000-b7ad6b7169203331-01',
    '00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01',
    'ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    '00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01',
    '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more',
    'junk',
  ])('without a valid traceparent (%s) it is the request id', async (traceparent) => {
    await using app = testApp()
    const answer = await app.inject({ url: '/x', headers: { traceparent } })
    expect(answer.json().traceId).toBe(answer.headers['request-id'])
  })
})

describe('errors', () => {
  test('a ServiceError becomes its document, with further members and Retry-After', async () => {
    await using app = testApp()
    app.get('/v1/full', () => {
      throw new ServiceError('too-many-requests', 'too many', {
        retryAfterMs: 2500,
        members: { limit: 7 },
      })
    })
    const answer = await app.inject('/v1/full')
    expect(answer.statusCode).toBe(429)
    expect(answer.headers['retry-after']).toBe('3')
    expect(answer.headers['cache-control']).toBe('no-store')
    expect(answer.json()).toEqual({
      type: '/problems/too-many-requests',
      title: 'Too many requests',
      status: 429,
      code: 'too-many-requests',
      detail: 'too many',
      retryable: true,
      committed: 'no',
      traceId: answer.headers['request-id'],
      retryAfterMs: 2500,
      limit: 7,
    })
  })

  test('any other error is 500, says nothing of itself, and is logged once with the trace', async () => {
    const lines: LogLine[] = []
    await using app = testApp({ logger: recordingLogger(lines) })
    app.get('/v1/broken', () => {
      throw new TypeError('secret detail')
    })
    const answer = await app.inject('/v1/broken')
    expect(answer.statusCode).toBe(500)
    expect(answer.json()).toMatchObject({ code: 'internal-error', committed: 'unknown' })
    expect(answer.body).not.toContain('secret')
    expect(lines).toHaveLength(1)
    expect(lines[0]).toMatchObject({
      level: 'error',
      fields: { url: '/v1/broken', traceId: answer.json().traceId },
    })
  })

  test('nosniff is on every answer', async () => {
    await using app = testApp()
    app.get('/v1/ok', () => ({}))
    for (const url of ['/v1/ok', '/nothing']) {
      expect((await app.inject(url)).headers['x-content-type-options']).toBe('nosniff')
    }
  })
})
