/** What holds for every request: queries, methods, JSON bodies, names. */
import { constants, zstdCompressSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import type { Api } from './api.ts'
import type { Problem } from './shapes.ts'

const KIB = 1024

export function describeRequests(api: Api): void {
  describe('requests', () => {
    describeQueries(api)
    describeBodies(api)
    describeNames(api)
  })
}

function describeQueries(api: Api): void {
  it.each([
    ['GET', 'records?limit=1&limit=1'],
    ['GET', 'records?from=earliest&from=latest'],
    ['GET', 'stream?cursor=a&cursor=b'],
    ['POST', 'publish?key=a&key=b'],
    ['POST', 'records?acks=1&acks=1'],
    ['DELETE', 'partitions/0/records?before=0&before=0'],
  ] as const)('refuses a parameter given twice: %s %s', async (method, path) => {
    const topic = await api.makeTopic('twice')
    const answer = await api.call(method, `/v1/topics/${topic}/${path}`, {
      headers: { 'content-type': 'application/json' },
      body: method === 'POST' ? '{"records":[{"value":1}]}' : '',
    })
    expect(answer.status, answer.text).toBe(400)
    await api.expectEmpty(topic)
  })

  it.each([
    ['GET', 'records?limit=0x10', 'limit'],
    ['GET', 'records?limit=1e2', 'limit'],
    ['GET', 'records?maxBytes=007', 'maxBytes'],
    ['GET', 'records?wait=0x1', 'wait'],
    ['GET', 'records?partition=0x0', 'partition'],
    ['GET', 'stream?partition=0e0', 'partition'],
    ['GET', 'partitions/0x0/records/0', 'partition'],
    ['GET', 'partitions/0/records/0x0', 'offset'],
    ['POST', 'publish?partition=0.0', 'partition'],
    ['DELETE', 'partitions/0/records?before=0x0', 'before'],
  ] as const)('refuses numbers that are not decimal digits: %s %s', async (method, path, name) => {
    const topic = await api.makeTopic('decimal')
    const answer = await api.call(method, `/v1/topics/${topic}/${path}`, {
      body: method === 'POST' ? 'x' : '',
    })
    const { errors } = api.expectProblem(answer, 'invalid-parameter')
    expect(errors?.[0]?.pointer).toBe(name)
    await api.expectEmpty(topic)
  })

  it('takes a query as percent-encoded UTF-8, in which + is a space', async () => {
    const topic = await api.makeTopic('plus')
    await api.publish(topic, 'v', { query: '?key=a+b%2Bc%C3%BC' })
    expect((await api.read(topic)).records[0]?.key).toBe('a b+cü')
    const plain = await api.call(
      'GET',
      `/v1/topics/${topic}/records?from=time:2024-01-01T00:00:00+01:00`,
    )
    api.expectProblem(plain, 'invalid-parameter')
    const path = `/v1/topics/${topic}/records?from=time:2024-01-01T00:00:00%2B01:00`
    expect((await api.call('GET', path)).status).toBe(200)
  })

  it('refuses a query that is not UTF-8', async () => {
    const topic = await api.makeTopic('not-utf8')
    const answer = await api.publish(topic, 'v', { query: '?key=%ff' })
    expect([400, 201], answer.text).toContain(answer.status)
    if (answer.status === 400) await api.expectEmpty(topic)
  })

  it.each([
    '/v1/topics',
    '/v1/cluster',
    '/healthz',
    '/readyz',
    '/metrics',
    '/openapi.json',
    '/docs',
  ])('answers HEAD %s as GET, without a body', async (path) => {
    const get = await api.call('GET', path)
    const head = await api.call('HEAD', path)
    expect([head.status, head.text]).toEqual([get.status, ''])
    expect(head.header('content-type')).toBe(get.header('content-type'))
  })

  it('does not answer HEAD for a stream', async () => {
    const topic = await api.makeTopic('head-stream')
    const answer = await api.call('HEAD', `/v1/topics/${topic}/stream`)
    expect([answer.status, answer.header('allow')]).toEqual([405, expect.stringContaining('GET')])
  })
}

function describeBodies(api: Api): void {
  const put = (name: string, body: string | Uint8Array, headers: Record<string, string>) =>
    api.call('PUT', `/v1/topics/${name}`, { body, headers })

  it('takes settings as application/json, with or without a charset, as +json, and untyped', async () => {
    for (const type of [
      'application/json',
      'application/json; charset=utf-8',
      'application/merge-patch+json',
    ]) {
      const answer = await put(api.freshName('type'), '{"partitions":1}', { 'content-type': type })
      expect(answer.status, `${type}: ${answer.text}`).toBe(201)
    }
    expect((await put(api.freshName('untyped'), '{"partitions":1}', {})).status).toBe(201)
  })

  it('refuses settings above 256 KiB, and not in UTF-8', async () => {
    const json = { 'content-type': 'application/json' }
    const large = `{"partitions":1${' '.repeat(256 * KIB)}}`
    const problem = api.expectProblem(
      await put(api.freshName('large'), large, json),
      'body-too-large',
    )
    expect(problem.limit).toBe(256 * KIB)
    const latin1 = Buffer.from('{"profile":"\xfc"}', 'latin1')
    api.expectProblem(await put(api.freshName('latin1'), latin1, json), 'malformed-request')
  })

  it('inflates settings, too', async () => {
    const answer = await put(api.freshName('inflate'), zstdCompressSync('{"partitions":1}'), {
      'content-type': 'application/json',
      'content-encoding': 'zstd',
    })
    expect(answer.status, answer.text).toBe(201)
  })

  it('refuses zstd that wants a window above 8 MiB', async () => {
    const topic = await api.makeTopic('window')
    const lines = Buffer.from('{"value":1}\n'.repeat(1_000_000))
    const body = zstdCompressSync(lines, { params: { [constants.ZSTD_c_windowLog]: 27 } })
    const answer = await api.call('POST', `/v1/topics/${topic}/records`, {
      headers: { 'content-type': 'application/x-ndjson', 'content-encoding': 'zstd' },
      body,
    })
    expect([400, 413, 415], answer.text).toContain(answer.status)
    await api.expectEmpty(topic)
  })

  it.each(['PUT', 'PATCH'] as const)('refuses a member given twice: %s', async (method) => {
    const topic = await api.makeTopic('members')
    const answer = await api.call(method, `/v1/topics/${topic}`, {
      headers: { 'content-type': 'application/json' },
      body: '{"retentionMs":-1,"retentionMs":1000}',
    })
    const { errors } = api.expectProblem(answer, 'invalid-request')
    expect(errors?.[0]?.pointer).toBe('/retentionMs')
  })

  it.each([
    ['__proto__', '{"__proto__":{"partitions":1}}'],
    ['constructor', '{"constructor":{"prototype":{"x":1}}}'],
  ])('refuses the member %s', async (_, body) => {
    const answer = await put(api.freshName('proto'), body, { 'content-type': 'application/json' })
    expect([400, 422], answer.text).toContain(answer.status)
  })
}

function describeNames(api: Api): void {
  it('makes a new Request-Id where the given one is longer than 128 characters', async () => {
    const fits = 'r'.repeat(128)
    const longer = 'r'.repeat(129)
    const named = await api.call('GET', '/v1/cluster', { headers: { 'request-id': fits } })
    expect(named.header('request-id')).toBe(fits)
    const renamed = await api.call('GET', '/v1/cluster', { headers: { 'request-id': longer } })
    expect(renamed.header('request-id')).not.toBe(longer)
  })

  it('names the Request-Id as traceId of a problem', async () => {
    const answer = await api.call('GET', '/v1/nothing', { headers: { 'request-id': 'abc-1' } })
    expect(answer.json<Problem>().traceId).toBe('abc-1')
  })

  it('keeps traceparent with each produced record that names none, and gives it back', async () => {
    const topic = await api.makeTopic('trace')
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    const own = '00-11111111111111111111111111111111-2222222222222222-00'
    const records = [{ value: 1 }, { value: 2, headers: { traceparent: own } }]
    const path = `/v1/topics/${topic}/records`
    const answer = await api.callJson('POST', path, { records }, { traceparent })
    expect(answer.header('traceparent')).toBe(traceparent)
    const stored = (await api.read(topic)).records.map(({ headers }) => headers?.['traceparent'])
    expect(stored).toEqual([traceparent, own])
  })
}
