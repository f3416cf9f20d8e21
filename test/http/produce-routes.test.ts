import { describe, expect, test } from 'vitest'
import { partitionKey } from '../../src/core/ids.ts'
import { topicImage } from '../front/topics.ts'
import { frontApp } from './front-app.ts'
import { RawSocket } from './raw-socket.ts'
import { listen } from './test-app.ts'

const one = topicImage('one', 1)
const three = topicImage('three', 3)
const REFUSAL = {
  ok: false,
  code: 'not-enough-replicas',
  detail: 'one is missing',
  committed: 'no',
} as const

async function setUp() {
  const parts = frontApp([one, three])
  await parts.app.ready()
  const produce = (topic: string, payload: string, type = 'application/x-ndjson', query = {}) =>
    parts.app.inject({
      method: 'POST',
      url: `/v1/topics/${topic}/records`,
      payload,
      headers: { 'content-type': type },
      query,
    })
  const values = async (topic: string) => {
    const answer = await parts.app.inject(`/v1/topics/${topic}/records?limit=10000`)
    return answer.json<{ records: { value: unknown }[] }>().records.map(({ value }) => value)
  }
  return { ...parts, produce, values, [Symbol.asyncDispose]: () => parts.app.close() }
}

const lines = (count: number, from = 0) =>
  Array.from({ length: count }, (_, i) => `{"value":${from + i}}\n`).join('')

const receiptsOf = (body: string): Record<string, unknown>[] =>
  body
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>)

describe('produce', () => {
  test('takes JSON and NDJSON, and answers in the order of the request', async () => {
    await using curlew = await setUp()
    const json = '{"records":[{"partition":2,"value":1.0},{"partition":0,"value":"b"}]}'
    const first = await curlew.produce('three', json, 'application/json')
    expect(first.statusCode).toBe(200)
    const ndjson = '{"partition":0,"value":3}\n{"partition":2,"value":4}\n{"partition":2,"value":5}'
    const second = await curlew.produce('three', ndjson)
    const timestamp = '2026-11-22T00:00:00.000Z'
    expect(second.json()).toEqual({
      records: [
        { partition: 0, offset: 1, timestamp },
        { partition: 2, offset: 1, timestamp },
        { partition: 2, offset: 2, timestamp },
      ],
    })
  })

  test('answers 207 when the records of some partitions were not written', async () => {
    await using curlew = await setUp()
    curlew.storage.refusals.set(partitionKey(three.id, 1), REFUSAL)
    const text = [0, 1, 0].map((partition) => `{"partition":${partition},"value":1}`).join('\n')
    const answer = await curlew.produce('three', text)
    expect(answer.statusCode).toBe(207)
    expect(answer.json()).toMatchObject({
      records: [
        { partition: 0, offset: 0 },
        { error: { code: 'not-enough-replicas', status: 503, committed: 'no' } },
        { partition: 0, offset: 1 },
      ],
    })
  })

  test('answers with the error itself when nothing was written', async () => {
    await using curlew = await setUp()
    curlew.storage.refusals.set(partitionKey(one.id, 0), REFUSAL)
    const answer = await curlew.produce('one', lines(2))
    expect(answer.statusCode).toBe(503)
    expect(answer.json()).toMatchObject({ code: 'not-enough-replicas' })
  })

  test('points at what is wrong and writes nothing', async () => {
    await using curlew = await setUp()
    const bad = await curlew.produce('one', '{"value":1}\n{"valu":2}\n{"value":3,"key":1}\n')
    expect(bad.json()).toMatchObject({ code: 'invalid-record', status: 422 })
    const { errors } = bad.json<{ errors: { pointer: string }[] }>()
    expect(errors.map(({ pointer }) => pointer)).toEqual(
      expect.arrayContaining(['line 2/valu', 'line 3/key']),
    )
    const none = await curlew.produce('one', '', 'application/x-ndjson')
    expect(none.json()).toMatchObject({ code: 'invalid-request' })
    const cut = await curlew.produce('one', '{"records":[', 'application/json')
    expect([400, 422]).toContain(cut.statusCode)
    const list = await curlew.produce('one', '[]', 'application/json')
    expect(list.json()).toMatchObject({ code: 'invalid-request' })
    expect(curlew.storage.calls).toEqual([])
  })

  test('with If-Match gives the tail behind the records', async () => {
    await using curlew = await setUp()
    const { cursor } = (await curlew.app.inject('/v1/topics/one/records')).json<{
      cursor: string
    }>()
    const request = (tag: string) =>
      curlew.app.inject({
        method: 'POST',
        url: '/v1/topics/one/records',
        payload: lines(3),
        headers: { 'content-type': 'application/jsonl', 'if-match': tag },
      })
    const first = await request(`"${cursor}"`)
    expect(first.statusCode).toBe(200)
    expect((await request(`"${cursor}"`)).json()).toMatchObject({ code: 'precondition-failed' })
    expect((await request(String(first.headers['etag']))).statusCode).toBe(200)
    expect(await curlew.values('one')).toHaveLength(6)
  })
})

describe('upload', () => {
  const upload = (curlew: Awaited<ReturnType<typeof setUp>>, text: string, topic = 'one') =>
    curlew.produce(topic, text, 'application/x-ndjson', { stream: 'true' })

  test('gives one receipt for every 1,000 lines', async () => {
    await using curlew = await setUp()
    const answer = await upload(curlew, `${lines(1500)}\n${lines(600, 1500)}`)
    expect(answer.headers['content-type']).toBe('application/x-ndjson')
    expect(receiptsOf(answer.body)).toEqual([
      {
        chunk: 0,
        firstLine: 1,
        lastLine: 1000,
        written: [{ partition: 0, records: 1000, firstOffset: 0 }],
      },
      {
        chunk: 1,
        firstLine: 1001,
        lastLine: 2000,
        written: [{ partition: 0, records: 999, firstOffset: 1000 }],
      },
      {
        chunk: 2,
        firstLine: 2001,
        lastLine: 2101,
        written: [{ partition: 0, records: 101, firstOffset: 1999 }],
      },
    ])
    expect(await curlew.values('one')).toEqual([...Array(2100).keys()])
  })

  test('cuts a chunk before it has more than 1 MiB, also in a line that spans pieces', async () => {
    await using curlew = await setUp()
    const line = `{"value":"${'x'.repeat(400_000)}"}\n`
    const receipts = receiptsOf((await upload(curlew, line.repeat(5).trimEnd())).body)
    expect(receipts.map(({ firstLine, lastLine }) => [firstLine, lastLine])).toEqual([
      [1, 2],
      [3, 4],
      [5, 5],
    ])
  })

  test('ends at the first bad line; what was before its chunk stays', async () => {
    await using curlew = await setUp()
    const answer = await upload(curlew, `${lines(1200)}oops\n${lines(5000)}`)
    const receipts = receiptsOf(answer.body)
    expect(receipts).toHaveLength(2)
    expect(receipts[1]).toMatchObject({
      error: { code: 'invalid-record', committed: 'no', errors: [{ pointer: 'line 1201' }] },
    })
    expect(await curlew.values('one')).toHaveLength(1000)
  })

  test('goes on when some partitions fail, and ends when nothing of a chunk was written', async () => {
    await using curlew = await setUp()
    curlew.storage.refusals.set(partitionKey(three.id, 1), REFUSAL)
    const mixed = '{"partition":0,"value":1}\n{"partition":1,"value":2}\n'
    const failing = '{"partition":1,"value":2}\n'.repeat(2000)
    const receipts = receiptsOf((await upload(curlew, mixed.repeat(500) + failing, 'three')).body)
    expect(receipts).toHaveLength(2)
    expect(receipts[0]).toMatchObject({
      written: [
        { partition: 0, records: 500, firstOffset: 0 },
        { partition: 1, records: 500, error: { code: 'not-enough-replicas' } },
      ],
    })
    expect(receipts[1]).toMatchObject({ error: { code: 'not-enough-replicas' } })
  })

  test('bounds a line', async () => {
    await using curlew = await setUp()
    const receipts = receiptsOf((await upload(curlew, 'x'.repeat(1_100_000))).body)
    expect(receipts).toMatchObject([{ error: { code: 'record-too-large', limit: 1_048_576 } }])
  })

  test('that is silent ends when the node shuts down, with the receipts of what was written', async () => {
    await using curlew = await setUp()
    const socket = await RawSocket.open(await listen(curlew.app))
    const body = lines(1200)
    socket.write(
      'POST /v1/topics/one/records?stream=true HTTP/1.1\r\nHost: localhost\r\n' +
        'Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n' +
        `${body.length.toString(16)}\r\n${body}\r\n`,
    )
    await socket.until(/"chunk":0/)
    await curlew.front.drain()
    await curlew.app.whenIdle()
    const text = await socket.until(/\r\n0\r\n\r\n$/)
    expect(text).toMatch(/"error":\{[^\n]*"code":"draining"[^\n]*"committed":"no"/)
    expect(text.match(/"chunk":/g)).toHaveLength(1)
    socket.destroy()
    expect(curlew.storage.offsets(one.id, 0)).toMatchObject({ logEndOffset: 1000 })
  })

  test('is not answered with a refusal when what follows a chunk that is being written is not HTTP', async () => {
    await using curlew = await setUp()
    const socket = await RawSocket.open(await listen(curlew.app))
    const body = lines(1000)
    socket.write(
      'POST /v1/topics/one/records?stream=true HTTP/1.1\r\nHost: localhost\r\n' +
        'Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n' +
        `${body.length.toString(16)}\r\n${body}\r\nnone\r\n`,
    )
    expect(await socket.closed()).not.toContain('"committed":"no"')
    await curlew.app.whenIdle()
    expect(curlew.storage.offsets(one.id, 0)).toMatchObject({ logEndOffset: 1000 })
  })

  test('refuses what makes no sense for it', async () => {
    await using curlew = await setUp()
    const json = await curlew.produce('one', '{}', 'application/json', { stream: 'true' })
    expect(json.json()).toMatchObject({ code: 'unsupported-media-type' })
  })
})
