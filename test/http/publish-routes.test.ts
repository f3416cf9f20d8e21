import type { InjectOptions } from 'fastify'
import { describe, expect, test } from 'vitest'
import { partitionKey } from '../../src/core/ids.ts'
import { topicImage } from '../front/topics.ts'
import type { FrontAppOptions } from './front-app.ts'
import { frontApp } from './front-app.ts'
import { RawSocket } from './raw-socket.ts'
import { listen } from './test-app.ts'

const one = topicImage('one', 1)
const six = topicImage('six', 6)

async function setUp(options: FrontAppOptions = {}) {
  const parts = frontApp([one, six], options)
  await parts.app.ready()
  const publish = (topic: string, payload: string | Buffer, more: Partial<InjectOptions> = {}) =>
    parts.app.inject({ method: 'POST', url: `/v1/topics/${topic}/publish`, payload, ...more })
  const stored = async (topic: string) => {
    const answer = await parts.app.inject(`/v1/topics/${topic}/records`)
    return answer.json<{ records: Record<string, unknown>[] }>().records
  }
  return { ...parts, publish, stored, [Symbol.asyncDispose]: () => parts.app.close() }
}

describe('publish', () => {
  test('answers with the place of the record', async () => {
    await using curlew = await setUp()
    await curlew.publish('six', 'x', { query: { partition: '3' } })
    const answer = await curlew.publish('six', 'y', { query: { partition: '3' } })
    expect(answer.statusCode).toBe(201)
    expect(answer.headers['location']).toBe('/v1/topics/six/partitions/3/records/1')
    expect(answer.headers['server-timing']).toMatch(/^queue;dur=[\d.]+, storage;dur=[\d.]+$/)
    expect(answer.json()).toEqual({
      topic: 'six',
      partition: 3,
      offset: 1,
      timestamp: '2026-11-22T00:00:00.000Z',
    })
  })

  test.each([
    [undefined, '{"a":1}', { value: { a: 1 } }],
    [undefined, 'a=1', { value: 'a=1' }],
    ['application/x-www-form-urlencoded', Buffer.from([0xff]), { valueBase64: '/w==' }],
    ['application/json; charset=utf-8', '[]', { value: [] }],
    [
      'application/ld+json',
      '{}',
      { value: {}, headers: { 'content-type': 'application/ld+json' } },
    ],
    ['text/plain', 'true', { value: 'true' }],
    ['text/csv', 'a,b', { value: 'a,b', headers: { 'content-type': 'text/csv' } }],
    ['text/plain; charset=latin1', 'a', { valueBase64: 'YQ==' }],
    ['application/octet-stream', '{}', { valueBase64: 'e30=' }],
    ['image/png', 'p', { valueBase64: 'cA==', headers: { 'content-type': 'image/png' } }],
  ])('keeps a body of type %s as it is', async (type, body, expected) => {
    await using curlew = await setUp()
    const headers = type === undefined ? {} : { 'content-type': type }
    expect((await curlew.publish('one', body, { headers })).statusCode).toBe(201)
    expect(await curlew.stored('one')).toEqual([expect.objectContaining(expected)])
  })

  test('refuses JSON that is none, and a tombstone with a body', async () => {
    await using curlew = await setUp()
    const headers = { 'content-type': 'application/json' }
    const broken = await curlew.publish('one', '{"a":', { headers })
    expect(broken.json()).toMatchObject({ code: 'invalid-json', status: 422, committed: 'no' })
    const tombstone = await curlew.publish('one', 'x', { query: { tombstone: 'true' } })
    expect(tombstone.json()).toMatchObject({ code: 'invalid-request' })
    expect(curlew.storage.calls).toEqual([])
  })

  test('takes key, time, headers and trace from the headers, byte for byte', async () => {
    await using curlew = await setUp()
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    const answer = await curlew.publish('one', 'v', {
      headers: {
        'Record-Key': Buffer.from('schlüssel').toString('latin1'),
        'Record-Timestamp': '2020-01-02T03:04:05.006Z',
        'Record-Header-Source': 'web',
        traceparent,
      },
    })
    expect(answer.headers['traceparent']).toBe(traceparent)
    expect(await curlew.stored('one')).toEqual([
      {
        topic: 'one',
        partition: 0,
        offset: 0,
        timestamp: '2020-01-02T03:04:05.006Z',
        key: 'schlüssel',
        value: 'v',
        headers: { source: 'web', traceparent },
      },
    ])
  })

  test('takes a key that no header can hold as base64', async () => {
    await using curlew = await setUp()
    const headers = { 'record-key-base64': Buffer.from('a\r\nb').toString('base64') }
    await curlew.publish('one', 'v', { headers })
    const record = await curlew.app.inject('/v1/topics/one/partitions/0/records/0')
    expect(record.headers['record-key-base64']).toBe(headers['record-key-base64'])
    const bad = await curlew.publish('one', 'v', { headers: { 'record-key-base64': '?' } })
    expect(bad.json()).toMatchObject({ code: 'invalid-parameter' })
  })

  test.each([
    [['Record-Header-A', '1', 'record-header-a', '2'], 'record-header-a'],
    [['Record-Key', 'a', 'Record-Key', 'b'], 'record-key'],
    [['Record-Header-', 'x'], 'record-header-'],
    [['Record-Timestamp', '1969-12-31T23:59:59Z'], 'Record-Timestamp'],
    [['Record-Timestamp', 'yesterday'], 'Record-Timestamp'],
  ])('refuses headers %j of a record', async (rawHeaders, pointer) => {
    await using curlew = await setUp()
    const socket = await RawSocket.open(await listen(curlew.app))
    const lines = rawHeaders.map((text, i) => (i % 2 === 0 ? `${text}: ` : `${text}\r\n`)).join('')
    socket.write(
      `POST /v1/topics/one/publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n${lines}\r\nv`,
    )
    const text = await socket.until(/traceId/)
    expect(text).toMatch(/^HTTP\/1\.1 400 /)
    expect(text).toContain(`"pointer":"${pointer}"`)
    expect(curlew.storage.calls).toEqual([])
    socket.destroy()
  })

  test('says of a record that is not valid what is wrong with it', async () => {
    await using curlew = await setUp()
    const headers = { 'Record-Timestamp': '2099-01-01T00:00:00Z' }
    const answer = await curlew.publish('one', 'v', { headers })
    expect(answer.json()).toMatchObject({
      code: 'invalid-record',
      detail: 'Record-Timestamp must not lie more than an hour in the future',
    })
  })

  test('takes no key that is not UTF-8 for the text of its escape', async () => {
    await using curlew = await setUp()
    const answer = await curlew.app.inject({
      method: 'POST',
      url: '/v1/topics/one/publish?key=%FF',
      payload: 'v',
    })
    expect(answer.json()).toMatchObject({ code: 'malformed-request', status: 400 })
    expect(curlew.storage.calls).toEqual([])
  })

  test('with If-Match gives the tail for the next one, or the current one', async () => {
    await using curlew = await setUp()
    const { cursor } = (await curlew.app.inject('/v1/topics/one/records')).json<{
      cursor: string
    }>()
    const first = await curlew.publish('one', '0', { headers: { 'if-match': `"${cursor}"` } })
    const tail = String(first.headers['etag'])
    const late = await curlew.publish('one', '1', { headers: { 'if-match': `"${cursor}"` } })
    expect(late.json()).toMatchObject({ code: 'precondition-failed', status: 412, offset: 1 })
    expect(`"${late.json<{ tail: string }>().tail}"`).toBe(tail)
    const next = await curlew.publish('one', '2', { headers: { 'if-match': tail } })
    expect(next.statusCode).toBe(201)
    for (const [ifMatch, query] of [
      ['*', {}],
      [tail, { acks: '0' }],
    ] as const) {
      const refused = await curlew.publish('one', '3', { headers: { 'if-match': ifMatch }, query })
      expect(refused.json()).toMatchObject({ code: 'invalid-parameter' })
    }
  })

  test('refuses headers that ask for what it cannot give', async () => {
    await using curlew = await setUp()
    const headers = { 'idempotency-key': 'k' }
    const answer = await curlew.publish('one', 'v', { headers })
    expect(answer.json()).toMatchObject({ code: 'unsupported-header' })
    expect(curlew.storage.calls).toEqual([])
  })

  test('with acks=0 answers before anything is written', async () => {
    await using curlew = await setUp()
    curlew.storage.hold()
    const answer = await curlew.publish('one', 'v', { query: { acks: '0' } })
    expect([answer.statusCode, answer.body]).toEqual([202, ''])
    await curlew.publish('six', 'w', { query: { acks: '0' } })
    expect(curlew.storage.calls[0]![0]).toMatchObject({ acks: 0 })
    curlew.storage.release()
  })

  test('tells what storage refuses', async () => {
    await using curlew = await setUp()
    curlew.storage.refusals.set(partitionKey(one.id, 0), {
      ok: false,
      code: 'disk-full',
      detail: 'nothing left',
      committed: 'no',
    })
    const answer = await curlew.publish('one', 'v')
    expect(answer.statusCode).toBe(507)
    expect(answer.json()).toMatchObject({ code: 'disk-full', detail: 'nothing left' })
  })

  test('says that the outcome is unknown when storage does not answer', async () => {
    await using curlew = await setUp({ front: { produceTimeoutMs: 1000 } })
    curlew.storage.hold()
    const answer = curlew.publish('one', 'v').then((response) => response)
    await expect.poll(() => curlew.storage.calls.length).toBe(1)
    curlew.clock.advance(3000)
    expect((await answer).json()).toMatchObject({
      code: 'outcome-unknown',
      status: 504,
      committed: 'unknown',
    })
    curlew.storage.release()
  })

  test('answers 503 with Retry-After at the bound', async () => {
    await using curlew = await setUp({ front: { pendingBytes: 3000 } })
    curlew.storage.hold()
    const first = curlew.publish('one', 'x'.repeat(2000)).then((response) => response)
    await expect.poll(() => curlew.storage.calls.length).toBe(1)
    const refused = await curlew.publish('one', 'x'.repeat(2000))
    expect(refused.json()).toMatchObject({ code: 'overloaded', committed: 'no' })
    expect(refused.headers['retry-after']).toBe('1')
    curlew.storage.release()
    expect((await first).statusCode).toBe(201)
  })

  test('makes the topic where that is allowed', async () => {
    const made = topicImage('made', 1, {}, 9)
    await using curlew = await setUp({ create: () => made })
    expect((await curlew.publish('made', 'v')).json()).toMatchObject({ topic: 'made', offset: 0 })
    await using closed = await setUp()
    expect((await closed.publish('made', 'v')).json()).toMatchObject({ code: 'topic-not-found' })
  })
})
