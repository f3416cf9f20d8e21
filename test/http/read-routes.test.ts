import { describe, expect, test } from 'vitest'
import type { RecordInput } from '../../src/core/record.ts'
import { encodeBatch } from '../../src/core/record-batch.ts'
import type { Reader, ReadRequest } from '../../src/front/read.ts'
import type { ReadPage } from '../../src/front/read-page.ts'
import type { TopicImage } from '../../src/metadata/metadata-image.ts'
import { textRecord, topicImage } from '../front/topics.ts'
import { frontApp } from './front-app.ts'
import { listen } from './test-app.ts'

const one = topicImage('one', 1)
const three = topicImage('three', 3)
const compacted = topicImage('compacted', 3, { cleanup: 'compact' })

interface Page {
  readonly records: { readonly value: string; readonly partition: number }[]
  readonly cursor: string
}

async function setUp() {
  const parts = frontApp([one, three, compacted])
  await parts.app.ready()
  const append = (topic: TopicImage, partition: number, records: readonly RecordInput[]) => {
    parts.storage.appendBatch(topic.id, partition, encodeBatch(records))
  }
  const put = (topic: TopicImage, partition: number, ...values: string[]) => {
    append(
      topic,
      partition,
      values.map((value) => textRecord(value, { timestampMs: 0 })),
    )
  }
  const get = (url: string, headers: Record<string, string> = {}) =>
    parts.app.inject({ url: `/v1/topics/${url}`, headers })
  const page = async (url: string) => (await get(url)).json<Page>()
  return { ...parts, append, put, get, page, [Symbol.asyncDispose]: () => parts.app.close() }
}

const values = ({ records }: Page) => records.map(({ value }) => value)

describe('read', () => {
  test('goes from cursor to cursor through all partitions, whatever the limit cuts', async () => {
    await using curlew = await setUp()
    const expected: string[] = []
    for (let i = 0; i < 30; i++) {
      const batch = [`${i}a`, `${i}b`, `${i}c`]
      curlew.put(three, i % 3, ...batch)
      expected.push(...batch)
    }
    for (const limit of [1, 2, 7, 100]) {
      const seen: Page['records'] = []
      for (let url = `three/records?limit=${limit}`; ; ) {
        const { records, cursor } = await curlew.page(url)
        if (records.length === 0) break
        expect(records.length).toBeLessThanOrEqual(limit)
        seen.push(...records)
        url = `three/records?limit=${limit}&cursor=${cursor}`
      }
      expect(new Set(seen.map(({ value }) => value))).toEqual(new Set(expected))
      expect(seen).toHaveLength(expected.length)
      for (const partition of [0, 1, 2]) {
        const own = seen.filter((record) => record.partition === partition)
        expect(own.map(({ value }) => value)).toEqual(
          expected.filter((_, i) => Math.floor(i / 3) % 3 === partition),
        )
      }
    }
  })

  test('starves no partition', async () => {
    await using curlew = await setUp()
    for (const partition of [0, 1, 2]) curlew.put(three, partition, 'a', 'b', 'c', 'd')
    const { records } = await curlew.page('three/records?limit=5')
    expect(new Set(records.map(({ partition }) => partition)).size).toBeGreaterThan(1)
    const seen = new Set<number>()
    for (let i = 0; i < 6; i++) {
      const { records: first } = await curlew.page('three/records?limit=1')
      seen.add(first[0]!.partition)
    }
    expect(seen).toEqual(new Set([0, 1, 2]))
  })

  test('gives a page that is complete a tag, and 304 to whoever has it', async () => {
    await using curlew = await setUp()
    curlew.put(one, 0, 'a', 'b', 'c')
    const sealed = await curlew.get('one/records?limit=2')
    expect(sealed.headers['cache-control']).toBe('no-cache')
    const tag = String(sealed.headers['etag'])
    const again = await curlew.get('one/records?limit=2', { 'if-none-match': tag })
    expect([again.statusCode, again.body, again.headers['etag']]).toEqual([304, '', tag])
    const lines = await curlew.get('one/records?limit=2', {
      'if-none-match': tag,
      accept: 'application/x-ndjson',
    })
    expect(lines.statusCode).toBe(200)
    const other = await curlew.get('one/records?limit=1', { 'if-none-match': tag })
    expect(other.statusCode).toBe(200)
    const { cursor } = await curlew.page('one/records?limit=1')
    const byCursor = await curlew.get(`one/records?limit=1&cursor=${cursor}`)
    expect(byCursor.headers['cache-control']).toContain('immutable')
    const tail = await curlew.get('one/records')
    expect([tail.headers['cache-control'], tail.headers['etag']]).toEqual(['no-store', undefined])
  })

  test.each([[[0]], [[0, 1]]])(
    'keeps no page of partitions %j of a compacted topic, whose records may go at any time',
    async (partitions) => {
      await using curlew = await setUp()
      const { signal } = new AbortController()
      curlew.put(compacted, 0, 'a', 'b', 'c')
      const query = partitions.map((partition) => `partition=${partition}`).join('&')
      const url = `compacted/records?limit=2&${query}`
      const { cursor } = await curlew.page(url)
      for (const asked of [url, `${url}&cursor=${cursor}`]) {
        const { headers } = await curlew.get(asked)
        expect([headers['cache-control'], headers['etag']]).toEqual(['no-store', undefined])
      }
      const range = { ...request().range, partitions }
      const some = { ...request(), topic: compacted, range, limit: 2 }
      const first = await readPage(curlew.front.reader, some, signal)
      const second = await readPage(curlew.front.reader, some, signal)
      expect(second.body).not.toBe(first.body)
      expect(curlew.front.reader.isCurrent(first)).toBe(false)
    },
  )

  test('gives the same bytes again without rendering them again', async () => {
    await using curlew = await setUp()
    const { signal } = new AbortController()
    curlew.put(one, 0, 'a', 'b')
    const first = await readPage(curlew.front.reader, request(), signal)
    const second = await readPage(curlew.front.reader, request(), signal)
    expect(second.body).toBe(first.body)
    curlew.put(one, 0, 'c')
    const third = await readPage(curlew.front.reader, request(), signal)
    expect(third.body).not.toBe(first.body)
    const lines = await readPage(curlew.front.reader, { ...request(), format: 'ndjson' }, signal)
    expect(lines.body.toString().split('\n')).toHaveLength(4)
  })

  test('gives a page that is complete without a fetch, as long as its records are there', async () => {
    await using curlew = await setUp()
    const { signal } = new AbortController()
    curlew.put(one, 0, 'a', 'b', 'c')
    const some = { ...request(), limit: 2 }
    const first = await readPage(curlew.front.reader, some, signal)
    const { length } = curlew.storage.fetches
    const second = await readPage(curlew.front.reader, some, signal)
    expect([second, curlew.storage.fetches.length]).toEqual([first, length])
    const fromOffset = { ...some, range: { ...some.range, from: 'offset:0' } }
    await readPage(curlew.front.reader, fromOffset, signal)
    expect(curlew.storage.fetches).toHaveLength(length)
    await curlew.storage.deleteRecords(one.id, 0, 1)
    await expect(readPage(curlew.front.reader, fromOffset, signal)).rejects.toMatchObject({
      code: 'cursor-expired',
    })
  })

  test('says where the time went, to whom it went for', async () => {
    await using curlew = await setUp()
    curlew.put(one, 0, 'a', 'b', 'c')
    const timing = /^storage;dur=[\d.]+, render;dur=[\d.]+$/
    const url = 'one/records?from=offset:0&limit=2'
    expect((await curlew.get(url)).headers['server-timing']).toMatch(timing)
    for (let i = 0; i < 2; i++) {
      const again = await curlew.get(url)
      expect(again.headers['server-timing']).toBeUndefined()
      expect(again.json<Page>().records).toHaveLength(2)
    }
    expect((await curlew.get('three/records')).headers['server-timing']).toMatch(timing)
  })

  test.each([
    ['application/x-ndjson', 'application/x-ndjson'],
    ['application/jsonl', 'application/jsonl'],
    ['text/html, application/*;q=0.5', 'application/json'],
    ['application/json;q=0.1, application/x-ndjson', 'application/x-ndjson'],
    ['*/*', 'application/json'],
  ])('answers %s with %s', async (accept, type) => {
    await using curlew = await setUp()
    const answer = await curlew.get('one/records', { accept })
    expect([answer.statusCode, answer.headers['content-type']]).toEqual([200, type])
    expect(answer.headers['vary']).toContain('Accept')
    expect(answer.headers['cursor']).toMatch(/^[\w-]+$/)
  })

  test('cannot give what Accept excludes', async () => {
    await using curlew = await setUp()
    for (const accept of ['text/html', 'application/json;q=0', 'text/event-stream']) {
      const answer = await curlew.get('one/records', { accept })
      expect(answer.json()).toMatchObject({ code: 'not-acceptable' })
    }
  })

  test('a cursor of some partitions goes on with those, one of all with those added since, too', async () => {
    await using curlew = await setUp()
    const { cursor: some } = await curlew.page('three/records?partition=1')
    const { cursor: all } = await curlew.page('three/records')
    const grown = topicImage('three', 4)
    curlew.metadata.set([one, { ...grown, slotMap: { ...grown.slotMap, version: 2 } }])
    for (const partition of [0, 1, 2, 3]) curlew.put(three, partition, `p${partition}`)
    expect(values(await curlew.page(`three/records?cursor=${some}`))).toEqual(['p1'])
    const seen = values(await curlew.page(`three/records?cursor=${all}`))
    expect(seen).toHaveLength(4)
    expect(new Set(seen)).toEqual(new Set(['p0', 'p1', 'p2', 'p3']))
  })
})

describe('waiting', () => {
  test('readers of the same place share one fetch and one answer', async () => {
    await using curlew = await setUp()
    const waiting = Array.from({ length: 50 }, () => curlew.page('one/records?wait=55'))
    await expect.poll(() => curlew.front.reader.parked).toBe(50)
    expect(curlew.storage.waiting).toBe(1)
    const { length } = curlew.storage.fetches
    waiting.push(curlew.page('one/records?wait=54'))
    await expect.poll(() => curlew.front.reader.parked).toBe(51)
    expect(curlew.storage.fetches).toHaveLength(length)
    curlew.put(one, 0, 'new')
    const pages = await Promise.all(waiting)
    expect(pages.map(values)).toEqual(Array(51).fill(['new']))
    expect([curlew.front.reader.parked, curlew.storage.waiting]).toEqual([0, 0])
  })

  test('ends empty in time, each reader for itself, with a cursor that goes on', async () => {
    await using curlew = await setUp()
    const short = curlew.page('one/records?wait=1')
    const long = curlew.page('one/records?wait=5')
    await expect.poll(() => curlew.front.reader.parked).toBe(2)
    curlew.clock.advance(1000)
    const empty = await short
    expect(empty.records).toEqual([])
    curlew.put(one, 0, 'new')
    expect(values(await long)).toEqual(['new'])
    expect(values(await curlew.page(`one/records?cursor=${empty.cursor}`))).toEqual(['new'])
  })

  test('a reader that leaves leaves nothing behind', async () => {
    await using curlew = await setUp()
    const gone = new AbortController()
    const reading = readPage(curlew.front.reader, { ...request(), waitMs: 55_000 }, gone.signal)
    await expect.poll(() => curlew.storage.waiting).toBe(1)
    gone.abort(new Error('gone'))
    await expect(reading).rejects.toThrow('gone')
    await expect.poll(() => curlew.storage.waiting).toBe(0)
    expect(curlew.front.reader.parked).toBe(0)
  })

  test('Prefer: wait=N waits, and wait=0 does not', async () => {
    await using curlew = await setUp()
    const preferring = curlew.get('one/records', { prefer: 'respond-async, wait=99' })
    await expect.poll(() => curlew.front.reader.parked).toBe(1)
    curlew.clock.advance(55_000)
    expect((await preferring).statusCode).toBe(200)
    expect((await curlew.get('one/records?wait=0', { prefer: 'wait=5' })).statusCode).toBe(200)
  })

  test('is over when the topic is deleted, and when the front drains', async () => {
    await using curlew = await setUp()
    const url = `http://127.0.0.1:${await listen(curlew.app)}/v1/topics`
    const deleted = fetch(`${url}/one/records?wait=55`)
    const drained = fetch(`${url}/three/records?wait=55`)
    await expect.poll(() => curlew.front.reader.parked).toBe(2)
    curlew.metadata.set([three])
    expect(await (await deleted).json()).toMatchObject({ code: 'topic-not-found' })
    await curlew.front.drain()
    const answer = await drained
    expect([answer.status, ((await answer.json()) as Page).records]).toEqual([200, []])
    expect(answer.headers.get('connection')).toBe('close')
    expect(await (await fetch(`${url}/three/records`)).json()).toMatchObject({ code: 'draining' })
  })
})

describe('one record', () => {
  test('is the payload; what a header cannot carry is said or counted', async () => {
    await using curlew = await setUp()
    const headers = [
      { name: 'plain', value: Buffer.from('ok') },
      { name: 'broken', value: Buffer.from('a\r\nb') },
      { name: 'a b', value: Buffer.from('c') },
      { name: '__own', value: Buffer.from('hidden') },
      { name: 'content-type', value: Buffer.from('text/html') },
    ]
    const key = Buffer.from('k\n')
    curlew.append(one, 0, [textRecord('<b>', { key, headers, timestampMs: 5 })])
    const { statusCode, body, headers: found } = await curlew.get('one/partitions/0/records/0')
    expect([statusCode, body]).toEqual([200, '<b>'])
    expect(found).toMatchObject({
      'content-type': 'text/html',
      'content-security-policy': "default-src 'none'; sandbox",
      'record-key-base64': key.toString('base64'),
      'record-header-plain': 'ok',
      'record-headers-omitted': '2',
      'record-timestamp': '1970-01-01T00:00:00.005Z',
      'record-offset': '0',
    })
    expect(found).not.toHaveProperty('record-header-__own')
  })

  test('is found inside a batch, and nothing is found beside it', async () => {
    await using curlew = await setUp()
    curlew.put(one, 0, 'a', 'b', 'c')
    expect((await curlew.get('one/partitions/0/records/1')).body).toBe('b')
    const past = await curlew.get('one/partitions/0/records/3')
    expect(past.json()).toMatchObject({ code: 'offset-out-of-range', status: 416 })
    const missing = await curlew.get('one/partitions/1/records/0')
    expect(missing.json()).toMatchObject({ code: 'partition-not-found' })
  })

  test('of a tombstone is 204', async () => {
    await using curlew = await setUp()
    curlew.append(one, 0, [textRecord('', { value: null, timestampMs: 0 })])
    const answer = await curlew.get('one/partitions/0/records/0')
    expect([answer.statusCode, answer.headers['record-tombstone']]).toEqual([204, 'true'])
  })
})

describe('delete records', () => {
  test('a name that is misspelt is named, not the one that is missing for it', async () => {
    await using curlew = await setUp()
    const answer = await curlew.app.inject({
      method: 'DELETE',
      url: '/v1/topics/one/partitions/0/records?befor=2',
    })
    expect(answer.json()).toMatchObject({
      code: 'unknown-parameter',
      detail: 'query parameter befor is not known here; did you mean before?',
    })
  })

  test('gives the new start, and cursors where it refuses', async () => {
    await using curlew = await setUp()
    curlew.put(one, 0, 'a', 'b', 'c')
    const remove = (before: number) =>
      curlew.app.inject({
        method: 'DELETE',
        url: `/v1/topics/one/partitions/0/records?before=${before}`,
      })
    expect((await remove(3)).json()).toEqual({ topic: 'one', partition: 0, earliest: 3 })
    const refused = (await remove(4)).json<{ code: string; tail: string }>()
    expect(refused.code).toBe('offset-out-of-range')
    curlew.put(one, 0, 'd')
    expect(values(await curlew.page(`one/records?cursor=${refused.tail}`))).toEqual(['d'])
    const expired = (await curlew.get('one/records?from=offset:1')).json<{ earliest: string }>()
    expect(values(await curlew.page(`one/records?cursor=${expired.earliest}`))).toEqual(['d'])
  })
})

async function readPage(reader: Reader, asked: ReadRequest, signal: AbortSignal) {
  const pages: ReadPage[] = []
  await reader.read(asked, signal, (page) => pages.push(page))
  expect(pages).toHaveLength(1)
  return pages[0]!
}

function request() {
  return {
    topic: one,
    range: { cursor: undefined, from: 'earliest', partitions: undefined },
    limit: 1000,
    maxBytes: 1_000_000,
    waitMs: 0,
    isolation: 'committed' as const,
    format: 'json' as const,
  }
}
