/** Publish: one raw record a request. */
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { RawConnection } from '../support/raw-connection.ts'
import type { Api } from './api.ts'
import { kafkaPartition } from './murmur2.ts'
import type { ProducedRecord } from './shapes.ts'

const FORM = { 'content-type': 'application/x-www-form-urlencoded' }
const JSON_TYPE = { 'content-type': 'application/json' }
const TEXT = { 'content-type': 'text/plain; charset=utf-8' }

/** JSON that a parser in the middle would spoil. */
const DELICATE_JSON =
  '{"z":12345678901234567890,"a":12.0,"big":1e400,"m":[1E+2,-0.0,0.10],"\\u00e9":"\\ud83d\\ude00","a":2}'

export function describePublish(api: Api): void {
  describe('publish', () => {
    describePayload(api)
    describePlacement(api)
    describeRecordHeaders(api)
    describeRefusals(api)
  })
}

const expectStored = async (api: Api, topic: string, record: object): Promise<void> => {
  expect((await api.read(topic)).records).toEqual([expect.objectContaining(record)])
}

function describePayload(api: Api): void {
  it('answers 201 with partition, offset, timestamp and a Location that leads to the record', async () => {
    const topic = await api.makeTopic('location', { partitions: 3 })
    const before = Date.now()
    const answer = await api.publish(topic, 'hello', { query: '?partition=2', headers: TEXT })
    expect(answer.status, answer.text).toBe(201)
    const { partition, offset, timestamp } = answer.json<ProducedRecord>()
    expect({ partition, offset }).toEqual({ partition: 2, offset: 0 })
    expect(timestamp).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
    expect(Date.parse(timestamp)).toBeGreaterThanOrEqual(before - 2_000)
    const location = answer.header('location') ?? ''
    expect(location).toMatch(new RegExp(`/v1/topics/${topic}/partitions/2/records/0$`))
    const record = await api.call('GET', new URL(location, api.baseUrl).pathname)
    expect(record.text).toBe('hello')
  })

  it.each([
    ['JSON as JSON', '{"a":1}', { value: { a: 1 } }],
    ['text as text', 'a=1&b=grün', { value: 'a=1&b=grün' }],
    ['bytes as bytes', Buffer.from([0xff, 0xfe, 0x00]), { valueBase64: '//4A' }],
  ])('takes what curl sends by default, and reads %s', async (_, body, expected) => {
    const topic = await api.makeTopic('curl')
    expect((await api.publish(topic, body, { headers: FORM })).status).toBe(201)
    await expectStored(api, topic, expected)
  })

  it.each([
    ['JSON', '[1,2]', { value: [1, 2] }],
    ['text', 'plain', { value: 'plain' }],
    ['bytes', Buffer.from([0xc3, 0x28]), { valueBase64: 'wyg=' }],
  ])('finds out without a Content-Type that the body is %s', async (_, body, expected) => {
    const topic = await api.makeTopic('untyped')
    expect((await api.publish(topic, body)).status).toBe(201)
    await expectStored(api, topic, expected)
  })

  it.each([
    ['application/json', DELICATE_JSON, { value: JSON.parse(DELICATE_JSON) as unknown }],
    ['application/vnd.order+json', '{"n":1}', { value: { n: 1 } }],
    ['text/plain', 'zeile\r\nzeile', { value: 'zeile\r\nzeile' }],
    ['text/plain; charset=utf-8', '€', { value: '€' }],
    ['text/html', '<p>', { value: '<p>', headers: { 'content-type': 'text/html' } }],
    ['text/plain; charset=iso-8859-1', 'abc', { valueBase64: 'YWJj' }],
    ['application/octet-stream', 'abc', { valueBase64: 'YWJj' }],
    ['image/png', Buffer.from([0x89, 0x50]), { valueBase64: 'iVA=' }],
  ])('keeps a %s payload', async (type, body, expected) => {
    const topic = await api.makeTopic('typed')
    const answer = await api.publish(topic, body, { headers: { 'content-type': type } })
    expect(answer.status, answer.text).toBe(201)
    await expectStored(api, topic, expected)
    const record = await api.call('GET', `/v1/topics/${topic}/partitions/0/records/0`)
    expect(record.body).toEqual(Buffer.from(body))
    expect(record.mediaType).toBe(type.split(';')[0])
  })

  it('keeps JSON to the byte: long integers, 12.0, 1e400, escapes, order and doubles of members', async () => {
    const topic = await api.makeTopic('exact')
    await api.publish(topic, DELICATE_JSON, { headers: JSON_TYPE })
    const page = await api.call('GET', `/v1/topics/${topic}/records`)
    expect(page.text).toContain(`"value":${DELICATE_JSON}`)
  })

  it('keeps white space and line breaks of JSON in the record itself', async () => {
    const topic = await api.makeTopic('spaces')
    const body = ' {\r\n\t"a" : [ 1 ,\n 2 ]\n}\n'
    await api.publish(topic, body, { headers: JSON_TYPE })
    const record = await api.call('GET', `/v1/topics/${topic}/partitions/0/records/0`)
    expect(record.text).toBe(body)
    expect((await api.read(topic)).records[0]?.value).toEqual({ a: [1, 2] })
  })

  it.each([
    ['{"a":}'],
    ['{"a":1}{"b":2}'],
    ["{'a':1}"],
    [''],
    ['nul'],
    ['"\\x"'],
    ['01'],
    ['[1,]'],
  ])('refuses %j as JSON and writes nothing', async (body) => {
    const topic = await api.makeTopic('broken')
    api.expectProblem(await api.publish(topic, body, { headers: JSON_TYPE }), 'invalid-json')
    await api.expectEmpty(topic)
  })

  it('refuses bytes that are not UTF-8 as JSON', async () => {
    const topic = await api.makeTopic('broken-utf8')
    const body = Buffer.from([0x22, 0xff, 0x22])
    api.expectProblem(await api.publish(topic, body, { headers: JSON_TYPE }), 'invalid-json')
    await api.expectEmpty(topic)
  })

  it('tells a stored JSON null from a tombstone', async () => {
    const topic = await api.makeTopic('null')
    await api.publish(topic, 'null', { query: '?key=k', headers: JSON_TYPE })
    const deletion = await api.publish(topic, '', { query: '?key=k&tombstone=true' })
    expect(deletion.status, deletion.text).toBe(201)
    const [stored, tombstone] = (await api.read(topic)).records
    expect(stored).toMatchObject({ key: 'k', value: null })
    expect(stored).not.toHaveProperty('tombstone')
    expect(tombstone).toMatchObject({ key: 'k', value: null, tombstone: true })
  })

  it('refuses a tombstone that has a body', async () => {
    const topic = await api.makeTopic('tombstone-body')
    const answer = await api.publish(topic, 'x', { query: '?key=k&tombstone=true', headers: TEXT })
    expect(answer.status).toBeGreaterThanOrEqual(400)
    expect(answer.status).toBeLessThan(500)
    await api.expectEmpty(topic)
  })

  it('keeps an empty body as an empty record, which is no tombstone', async () => {
    const topic = await api.makeTopic('empty')
    expect((await api.publish(topic, '')).status).toBe(201)
    const [record] = (await api.read(topic)).records
    expect(record).toMatchObject({ value: '' })
    expect(record).not.toHaveProperty('tombstone')
  })

  it.each([
    ['gzip', gzipSync],
    ['zstd', zstdCompressSync],
  ])('inflates a %s body before it is kept', async (encoding, deflate) => {
    const topic = await api.makeTopic('inflate')
    const answer = await api.publish(topic, deflate(DELICATE_JSON), {
      headers: { ...JSON_TYPE, 'content-encoding': encoding },
    })
    expect(answer.status, answer.text).toBe(201)
    const record = await api.call('GET', `/v1/topics/${topic}/partitions/0/records/0`)
    expect(record.text).toBe(DELICATE_JSON)
  })
}

function describePlacement(api: Api): void {
  it("puts a key where Kafka's clients put it", async () => {
    const topic = await api.makeTopic('murmur', { partitions: 6 })
    const keys = ['', 'a', 'customer-7', 'grün', 'x'.repeat(1000), '漢字']
    for (const key of keys) {
      const answer = await api.publish(topic, 'v', { query: `?key=${encodeURIComponent(key)}` })
      expect(answer.json<ProducedRecord>().partition, key).toBe(kafkaPartition(key, 6))
    }
    const stored = (await api.readAll(topic)).map((record) => record.key)
    expect(stored.length).toBe(keys.length)
    expect(new Set(stored)).toEqual(new Set(keys))
  })

  it('takes the key from the query or from a header, alike', async () => {
    const topic = await api.makeTopic('key', { partitions: 6 })
    const byQuery = await api.publish(topic, 'v', { query: '?key=customer-7' })
    const byHeader = await api.publish(topic, 'v', { headers: { 'record-key': 'customer-7' } })
    expect(byHeader.status, byHeader.text).toBe(201)
    expect(byHeader.json<ProducedRecord>().partition).toBe(byQuery.json<ProducedRecord>().partition)
    expect((await api.readAll(topic)).map((record) => record.key)).toEqual([
      'customer-7',
      'customer-7',
    ])
  })

  it('reads a record without a key back without one', async () => {
    const topic = await api.makeTopic('keyless')
    await api.publish(topic, 'v')
    expect((await api.read(topic)).records[0]).not.toHaveProperty('key')
  })

  it('obeys partition=, also against the key', async () => {
    const topic = await api.makeTopic('partition', { partitions: 6 })
    const wanted = (kafkaPartition('k', 6) + 1) % 6
    const answer = await api.publish(topic, 'v', { query: `?key=k&partition=${wanted}` })
    expect(answer.json<ProducedRecord>()).toMatchObject({ partition: wanted, offset: 0 })
  })

  it('counts offsets from 0, one by one', async () => {
    const topic = await api.makeTopic('offsets')
    const offsets: number[] = []
    for (let i = 0; i < 5; i++) {
      offsets.push((await api.publish(topic, `${i}`)).json<ProducedRecord>().offset)
    }
    expect(offsets).toEqual([0, 1, 2, 3, 4])
  })

  it('spreads records without a key over the partitions', async () => {
    const topic = await api.makeTopic('spread', { partitions: 3 })
    const used = new Set<number>()
    for (let i = 0; i < 12; i++) {
      used.add((await api.publish(topic, 'v')).json<ProducedRecord>().partition)
    }
    expect(used).toEqual(new Set([0, 1, 2]))
  })

  it.each(['1', 'all'])(
    'with acks=%s the record can be read once it is acknowledged',
    async (acks) => {
      const topic = await api.makeTopic('acks')
      expect((await api.publish(topic, 'v', { query: `?acks=${acks}` })).status).toBe(201)
      // With acks=1 the answer may come before the high watermark does.
      const page = await api.read(topic, acks === 'all' ? '' : '?wait=10')
      expect(page.records).toEqual([expect.objectContaining({ value: 'v' })])
    },
  )

  it('with acks=0 answers 202 without a body, and still writes', async () => {
    const topic = await api.makeTopic('acks-0')
    const answer = await api.publish(topic, 'v', { query: '?acks=0' })
    expect(answer.status, answer.text).toBe(202)
    expect(answer.body.byteLength).toBe(0)
    const page = await api.read(topic, '?from=earliest&wait=10')
    expect(page.records).toEqual([expect.objectContaining({ value: 'v' })])
  })
}

function describeRecordHeaders(api: Api): void {
  it('keeps Record-Header-* and gives them back in the page and with the record', async () => {
    const topic = await api.makeTopic('headers')
    const answer = await api.publish(topic, 'v', {
      headers: { 'record-header-source': 'web', 'Record-Header-Trace': 'a=b; c' },
    })
    expect(answer.status, answer.text).toBe(201)
    await expectStored(api, topic, { headers: { source: 'web', trace: 'a=b; c' } })
    const record = await api.call('GET', `/v1/topics/${topic}/partitions/0/records/0`)
    expect(record.header('record-header-source')).toBe('web')
  })

  it('shows no headers where there are none, also for a typed payload', async () => {
    const topic = await api.makeTopic('no-headers')
    await api.publish(topic, 'v', { headers: TEXT })
    expect((await api.read(topic)).records[0]?.headers ?? {}).toEqual({})
  })

  it('keeps Record-Timestamp to the millisecond, also one with an offset from UTC', async () => {
    const topic = await api.makeTopic('time')
    const headers = { 'record-timestamp': '2020-02-29T14:00:00.123+02:00' }
    const answer = await api.publish(topic, 'v', { headers })
    expect(answer.status, answer.text).toBe(201)
    expect(answer.json<ProducedRecord>().timestamp).toBe('2020-02-29T12:00:00.123Z')
    await expectStored(api, topic, { timestamp: '2020-02-29T12:00:00.123Z' })
  })

  it("takes the leader's time where the topic says so", async () => {
    const topic = await api.makeTopic('append-time', { timestamps: 'append' })
    const before = Date.now()
    const headers = { 'record-timestamp': '2020-02-29T12:00:00Z' }
    const answer = await api.publish(topic, 'v', { headers })
    const { timestamp } = answer.json<ProducedRecord>()
    expect(Date.parse(timestamp)).toBeGreaterThanOrEqual(before - 2_000)
    await expectStored(api, topic, { timestamp })
  })

  it('refuses a time more than an hour ahead, and one that is no time', async () => {
    const topic = await api.makeTopic('bad-time')
    const late = new Date(Date.now() + 3_700_000).toISOString()
    for (const time of [late, 'yesterday', '2020-02-30T00:00:00Z']) {
      const answer = await api.publish(topic, 'v', { headers: { 'record-timestamp': time } })
      expect([400, 422], `${time}: ${answer.text}`).toContain(answer.status)
    }
    await api.expectEmpty(topic)
  })

  it('stores traceparent with the record, and gives it back', async () => {
    const topic = await api.makeTopic('trace')
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    await api.publish(topic, 'v', { headers: { traceparent } })
    await expectStored(api, topic, { headers: { traceparent } })
    const record = await api.call('GET', `/v1/topics/${topic}/partitions/0/records/0`)
    expect(record.header('traceparent')).toBe(traceparent)
  })

  it('takes a key of any bytes in base64, behind the other forms', async () => {
    const topic = await api.makeTopic('key-base64')
    await api.publish(topic, 'v', { headers: { 'record-key-base64': '//4=' } })
    await api.publish(topic, 'v', { headers: { 'record-key-base64': '//4=', 'record-key': 'b' } })
    await api.publish(topic, 'v', { query: '?key=c', headers: { 'record-key': 'b' } })
    const keys = (await api.read(topic)).records.map(({ key, keyBase64 }) => key ?? keyBase64)
    expect(keys).toEqual(['//4=', 'b', 'c'])
    const bad = await api.publish(topic, 'v', { headers: { 'record-key-base64': '@' } })
    api.expectProblem(bad, 'invalid-parameter')
  })

  it.each([
    ['twice', 'Record-Header-A: 1\r\nRecord-Header-a: 2\r\n'],
    ['without a name', 'Record-Header-: 1\r\n'],
  ])('refuses a record header %s', async (_, lines) => {
    const topic = await api.makeTopic('header-form')
    const { hostname, port, host } = new URL(api.baseUrl)
    const connection = await RawConnection.open(Number(port || 80), hostname)
    connection.write(
      `POST /v1/topics/${topic}/publish HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n${lines}Content-Length: 1\r\n\r\nx`,
    )
    expect(await connection.status()).toBe(400)
    connection.destroy()
    await api.expectEmpty(topic)
  })

  it('refuses record headers that belong to the server', async () => {
    const topic = await api.makeTopic('reserved-header')
    const answer = await api.publish(topic, 'v', { headers: { 'record-header-__idem': 'x' } })
    expect([400, 422], answer.text).toContain(answer.status)
    await api.expectEmpty(topic)
  })
}

function describeRefusals(api: Api): void {
  it.each(['?acsk=all', '?Key=a', '?tomb=true', '?cursor=x', '?a'])(
    'refuses the unknown parameter %s and writes nothing',
    async (query) => {
      const topic = await api.makeTopic('unknown')
      const answer = await api.publish(topic, 'v', { query })
      const problem = api.expectProblem(answer, 'unknown-parameter')
      expect(JSON.stringify(problem)).toContain(query.slice(1).split('=')[0])
      await api.expectEmpty(topic)
    },
  )

  it.each(['?acks=2', '?acks=', '?acks=ALL', '?partition=x', '?partition=1.5', '?tombstone=maybe'])(
    'refuses the value in %s and writes nothing',
    async (query) => {
      const topic = await api.makeTopic('invalid')
      api.expectProblem(await api.publish(topic, 'v', { query }), 'invalid-parameter')
      await api.expectEmpty(topic)
    },
  )

  it('answers 404 for a partition that the topic does not have', async () => {
    const topic = await api.makeTopic('no-partition', { partitions: 2 })
    const answer = await api.publish(topic, 'v', { query: '?partition=2' })
    api.expectProblem(answer, 'partition-not-found')
  })

  it.each([
    ['Idempotency-Key', 'abc'],
    ['Producer-Id', '1'],
    ['Producer-Epoch', '0'],
    ['Producer-Seq', '0'],
    ['Transaction', 'x'],
  ])(
    'refuses %s, a guarantee that it does not give, on publish and on records',
    async (name, value) => {
      const topic = await api.makeTopic('unsupported')
      const headers = { [name]: value }
      const published = await api.publish(topic, 'v', { headers })
      expect(api.expectProblem(published, 'unsupported-header').detail.toLowerCase()).toContain(
        name.toLowerCase(),
      )
      const path = `/v1/topics/${topic}/records`
      const produced = await api.callJson('POST', path, { records: [{ value: 1 }] }, headers)
      api.expectProblem(produced, 'unsupported-header')
      await api.expectEmpty(topic)
    },
  )

  it('refuses a record above maxRecordBytes with the limit, and takes one just below', async () => {
    const topic = await api.makeTopic('large', { maxRecordBytes: 10_000 })
    const problem = api.expectProblem(
      await api.publish(topic, 'x'.repeat(10_001), { headers: TEXT }),
      'record-too-large',
    )
    expect(problem.limit).toBe(10_000)
    await api.expectEmpty(topic)
    expect((await api.publish(topic, 'x'.repeat(9_800), { headers: TEXT })).status).toBe(201)
  })
}
