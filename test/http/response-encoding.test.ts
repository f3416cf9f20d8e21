/** Compression of answers: chosen by the client, worth its while, and never by accident. */
import { gunzipSync, zstdDecompressSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import type { App } from '../../src/http/app.ts'
import { chooseEncoding } from '../../src/http/response-encoding.ts'
import { testApp } from './test-app.ts'

const LARGE = { text: 'to be, or not to be. '.repeat(500) }

function appWithAnswers(): App {
  const app = testApp({}, { corsOrigins: ['https://app.example'] })
  const config = { compress: true }
  app.get('/large', { config }, () => LARGE)
  app.get('/small', { config }, () => ({ text: 'small' }))
  app.get('/plain', () => LARGE)
  app.get('/tagged', { config }, (_request, reply) => {
    reply.header('etag', '"v1"')
    return reply.type('application/x-ndjson').send(Buffer.from(JSON.stringify(LARGE)))
  })
  return app
}

describe('answers', () => {
  test.each([
    ['gzip', gunzipSync],
    ['zstd', zstdDecompressSync],
  ])('in %s are what they were', async (encoding, inflate) => {
    await using app = appWithAnswers()
    const headers = { 'accept-encoding': encoding }
    const answer = await app.inject({ url: '/large', headers })
    expect(answer.headers['content-encoding']).toBe(encoding)
    expect(answer.headers.vary).toBe('Origin, Accept-Encoding')
    expect(answer.headers['content-length']).toBe(String(answer.rawPayload.length))
    expect(answer.rawPayload.length).toBeLessThan(1000)
    expect(JSON.parse(inflate(answer.rawPayload).toString())).toEqual(LARGE)
  })

  test('are left alone where it does not pay, is not asked for, or the route does not say so', async () => {
    await using app = appWithAnswers()
    const headers = { 'accept-encoding': 'gzip, zstd' }
    const small = await app.inject({ url: '/small', headers })
    expect(small.headers['content-encoding']).toBeUndefined()
    expect(small.headers.vary).toContain('Accept-Encoding')
    const plain = await app.inject({ url: '/plain', headers })
    expect(plain.headers['content-encoding']).toBeUndefined()
    expect(plain.headers.vary).not.toContain('Accept-Encoding')
    const unasked = await app.inject('/large')
    expect(unasked.json()).toEqual(LARGE)
    expect(unasked.headers['content-encoding']).toBeUndefined()
  })

  test('a strong tag becomes a weak one', async () => {
    await using app = appWithAnswers()
    const answer = await app.inject({ url: '/tagged', headers: { 'accept-encoding': 'gzip' } })
    expect(answer.headers.etag).toBe('W/"v1"')
    expect((await app.inject('/tagged')).headers.etag).toBe('"v1"')
  })

  test('HEAD tells of the same encoding', async () => {
    await using app = appWithAnswers()
    const headers = { 'accept-encoding': 'gzip' }
    const head = await app.inject({ method: 'HEAD', url: '/large', headers })
    const get = await app.inject({ url: '/large', headers })
    expect(head.headers['content-encoding']).toBe('gzip')
    expect(head.headers['content-length']).toBe(get.headers['content-length'])
    expect(head.body).toBe('')
  })
})

test.each([
  [undefined, undefined],
  ['', undefined],
  ['identity', undefined],
  ['br', undefined],
  ['gzip', 'gzip'],
  ['x-gzip', 'gzip'],
  ['GZIP', 'gzip'],
  ['gzip, deflate, br, zstd', 'zstd'],
  ['gzip;q=1.0, zstd;q=0.5', 'gzip'],
  ['gzip;q=0, zstd;q=0', undefined],
  ['*', 'zstd'],
  ['*;q=0', undefined],
  ['zstd;q=0, *', 'gzip'],
  ['gzip;q=junk', undefined],
  ['gzip,'.repeat(200), undefined],
] as const)('of %j the server takes %s', (accept, encoding) => {
  expect(chooseEncoding(accept)).toBe(encoding)
})
