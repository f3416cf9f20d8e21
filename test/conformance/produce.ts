/** Produce: many records a request, as JSON or NDJSON. */
import { describe, expect, it } from 'vitest'
import type { Answer } from '../support/http-client.ts'
import type { Api } from './api.ts'
import { kafkaPartition } from './murmur2.ts'
import type { Produced } from './shapes.ts'

export function describeProduce(api: Api): void {
  describe('produce JSON', () => {
    describeRoundTrip(api)
    describeValidation(api)
  })
  describe('produce NDJSON', () => describeLines(api))
}

const produceText = (api: Api, topic: string, text: string, type: string): Promise<Answer> =>
  api.call('POST', `/v1/topics/${topic}/records`, { headers: { 'content-type': type }, body: text })

function describeRoundTrip(api: Api): void {
  it('answers in the order of the request with partition, offset and timestamp', async () => {
    const topic = await api.makeTopic('order', { partitions: 3 })
    const { records } = await api.produce(
      topic,
      [2, 0, 1, 2, 0].map((partition) => ({ partition, value: partition })),
    )
    expect(records.map(({ partition, offset }) => [partition, offset])).toEqual([
      [2, 0],
      [0, 0],
      [1, 0],
      [2, 1],
      [0, 1],
    ])
    for (const { timestamp } of records) expect(timestamp).toMatch(/^\d{4}-.*Z$/)
  })

  it('reads back every kind of key, value, header and timestamp in the shape it was written in', async () => {
    const topic = await api.makeTopic('shapes')
    const written = [
      { key: 'k', value: { total: 12 }, headers: { source: 'web', empty: '' } },
      { key: '', value: 'text is JSON here' },
      { keyBase64: '//4=', valueBase64: 'AP8=', timestamp: '2020-01-02T03:04:05.006Z' },
      { value: null },
      { key: 'k', value: null, tombstone: true },
      { value: [true, 1.5, 'a\nb', {}] },
    ]
    await api.produce(topic, written)
    const { records } = await api.read(topic)
    expect(records.length).toBe(written.length)
    for (const [i, record] of records.entries()) {
      expect(record).toMatchObject({ topic, partition: 0, offset: i, ...written[i] })
    }
    expect(records[3]).not.toHaveProperty('tombstone')
    expect(records[2]).not.toHaveProperty('key')
    expect(records[2]).not.toHaveProperty('value')
  })

  it('accepts what a read has returned, unchanged but for place and topic', async () => {
    const topic = await api.makeTopic('copy-from')
    const target = await api.makeTopic('copy-to')
    await api.produce(topic, [
      { key: 'a', value: 1, headers: { h: 'x' } },
      { key: 'b', value: null, tombstone: true },
      { keyBase64: '/w==', valueBase64: '/w==' },
    ])
    const read = (await api.read(topic)).records
    await api.produce(
      target,
      read.map(({ topic: _topic, offset: _offset, ...record }) => record),
    )
    const copied = (await api.read(target)).records
    expect(copied).toEqual(read.map((record) => ({ ...record, topic: target })))
  })

  it('gives headers that are not UTF-8 in base64, and a payload that is not what it says', async () => {
    const topic = await api.makeTopic('bytes')
    await api.produce(topic, [
      { value: 1, headers: { a: 'ü' }, headersBase64: { b: '/w==' } },
      { valueBase64: 'e30=', headers: { 'content-type': 'application/json' } },
      { valueBase64: 'AP8=', headers: { 'content-type': 'application/json' } },
    ])
    const [first, second, third] = (await api.read(topic)).records
    expect(first).toMatchObject({ headers: { a: 'ü' }, headersBase64: { b: '/w==' } })
    expect(second?.headers).toEqual({ 'content-type': 'application/json' })
    expect(third).toMatchObject({ valueBase64: 'AP8=' })
    const record = await api.call('GET', `/v1/topics/${topic}/partitions/0/records/1`)
    expect([record.mediaType, record.text]).toEqual(['application/json', '{}'])
  })

  it('cuts times to milliseconds', async () => {
    const topic = await api.makeTopic('cut')
    const { records } = await api.produce(topic, [
      { value: 1, timestamp: '2024-01-01T00:00:00.123999Z' },
      { value: 2, timestamp: '1970-01-01T00:00:00Z' },
    ])
    expect(records.map(({ timestamp }) => timestamp)).toEqual([
      '2024-01-01T00:00:00.123Z',
      '1970-01-01T00:00:00.000Z',
    ])
  })

  it('keeps each value to the byte', async () => {
    const topic = await api.makeTopic('exact')
    const values = [
      '12345678901234567890123',
      '12.0',
      '1e400',
      '-0',
      '{"b":1,"a":2,"b":3}',
      '"\\u00e9\\/\\ud83d\\ude00"',
      '[ 1 , {"x" :\t[] } ]',
    ]
    const body = `{ "records" : [${values.map((value) => `{"value": ${value} }`).join(' ,\n')}] }`
    const answer = await produceText(api, topic, body, 'application/json')
    expect(answer.status, answer.text).toBe(200)
    for (const [offset, value] of values.entries()) {
      const path = `/v1/topics/${topic}/partitions/0/records/${offset}`
      expect((await api.call('GET', path)).text).toBe(value)
    }
  })

  it("puts keys where Kafka's clients put them", async () => {
    const topic = await api.makeTopic('murmur', { partitions: 12 })
    const keys = Array.from({ length: 100 }, (_, i) => `key-${i * 7919}`)
    const { records } = await api.produce(
      topic,
      keys.map((key) => ({ key, value: 0 })),
    )
    expect(records.map(({ partition }) => partition)).toEqual(
      keys.map((key) => kafkaPartition(key, 12)),
    )
  })

  it('writes the records of one request and partition at consecutive offsets, whoever else writes', async () => {
    const topic = await api.makeTopic('atomic')
    const answers = await Promise.all(
      Array.from({ length: 16 }, () => api.produceNumbers(topic, 50)),
    )
    const firsts = answers.map(({ records }) => records[0]?.offset ?? -1)
    for (const [i, { records }] of answers.entries()) {
      expect(records.map(({ offset }) => offset)).toEqual(
        records.map((_, n) => (firsts[i] ?? -1) + n),
      )
    }
    expect(new Set(firsts).size).toBe(16)
  })

  it('with acks=0 answers 202 without a body', async () => {
    const topic = await api.makeTopic('acks-0')
    const path = `/v1/topics/${topic}/records?acks=0`
    const answer = await api.callJson('POST', path, { records: [{ value: 1 }] })
    expect([answer.status, answer.text]).toEqual([202, ''])
    expect((await api.read(topic, '?wait=10')).records.length).toBe(1)
  })

  it('answers 404 and writes nothing where one record names a partition that is not there', async () => {
    const topic = await api.makeTopic('partial', { partitions: 2 })
    const records = [
      { partition: 0, value: 'a' },
      { partition: 2, value: 'b' },
    ]
    const answer = await api.callJson('POST', `/v1/topics/${topic}/records`, { records })
    const { errors = [] } = api.expectProblem(answer, 'partition-not-found')
    expect(errors[0]?.pointer).toContain('/records/1')
    await api.expectEmpty(topic)
  })
}

const BAD_RECORDS: [string, object | string, string][] = [
  ['an unknown member', { value: 1, vlaue: 2 }, '/vlaue'],
  ['a key that is no string', { key: 7, value: 1 }, '/key'],
  ['two keys', { key: 'a', keyBase64: 'YQ==', value: 1 }, ''],
  ['two values', { value: 1, valueBase64: 'YQ==' }, ''],
  ['bad base64', { valueBase64: '@@@' }, '/valueBase64'],
  ['headers that are no object', { value: 1, headers: ['a'] }, '/headers'],
  ['a header that is no string', { value: 1, headers: { a: 1 } }, '/headers'],
  ['a header of the server', { value: 1, headers: { __idem: 'x' } }, '/headers'],
  ['a partition that is no number', { value: 1, partition: '0' }, '/partition'],
  ['a negative partition', { value: 1, partition: -1 }, '/partition'],
  ['a time that is none', { value: 1, timestamp: 'now' }, '/timestamp'],
  ['a time too far ahead', { value: 1, timestamp: '2999-01-01T00:00:00Z' }, '/timestamp'],
  ['a tombstone with a value', { value: 1, tombstone: true }, ''],
  ['no value at all', { key: 'k' }, ''],
  ['null for a key', { value: 1, key: null }, '/key'],
  ['null for headers', { value: 1, headers: null }, '/headers'],
  ['a topic', { value: 1, topic: 'x' }, '/topic'],
  ['an offset', { value: 1, offset: 0 }, '/offset'],
  ['a member twice', '{"value":1,"value":2}', ''],
  ['a header without a name', { value: 1, headers: { '': 'x' } }, '/headers'],
  ['a header in both forms', { value: 1, headers: { a: 'x' }, headersBase64: { a: 'eA==' } }, ''],
  ['base64 without padding', { valueBase64: 'AA' }, '/valueBase64'],
  ['base64 for URLs', { valueBase64: '-_8=' }, '/valueBase64'],
  ['a time before 1970', { value: 1, timestamp: '1969-12-31T23:59:59Z' }, '/timestamp'],
  ['no object', '7', ''],
]

function describeValidation(api: Api): void {
  it.each(BAD_RECORDS)(
    'refuses %s, points at it, and writes nothing',
    async (_, record, pointer) => {
      const topic = await api.makeTopic('bad')
      const text = typeof record === 'string' ? record : JSON.stringify(record)
      const body = `{"records":[{"value":0},${text}]}`
      const answer = await produceText(api, topic, body, 'application/json')
      const { errors = [] } = api.expectProblem(answer, 'invalid-record')
      expect(errors.map((error) => error.pointer)).toContainEqual(
        expect.stringContaining(`/records/1${pointer}`),
      )
      await api.expectEmpty(topic)
    },
  )

  it.each([
    ['no JSON', '{"records":[', 'malformed-request'],
    ['no object', '[]', 'invalid-request'],
    ['no records', '{}', 'invalid-request'],
    ['records that are no array', '{"records":{}}', 'invalid-request'],
    ['an unknown member', '{"records":[],"acks":1}', 'invalid-request'],
  ])('refuses a body with %s', async (_, body, code) => {
    const topic = await api.makeTopic('bad-body')
    const answer = await produceText(api, topic, body, 'application/json')
    expect([400, 422], answer.text).toContain(answer.status)
    const accepted = new Set([code, 'invalid-json', 'invalid-record'])
    expect(accepted).toContain(answer.json<{ code: string }>().code)
    await api.expectEmpty(topic)
  })

  it('refuses a body of another media type with the list of those it takes', async () => {
    const topic = await api.makeTopic('media')
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/xml']) {
      const answer = await produceText(api, topic, '{"records":[{"value":1}]}', type)
      const problem = api.expectProblem(answer, 'unsupported-media-type')
      expect(problem.detail).toContain('application/json')
      expect(problem.detail).toContain('application/x-ndjson')
    }
    await api.expectEmpty(topic)
  })

  it('refuses the whole request when one record is too large', async () => {
    const topic = await api.makeTopic('large', { maxRecordBytes: 10_000 })
    const records = [{ value: 'fits' }, { value: 'x'.repeat(10_001) }]
    const answer = await api.callJson('POST', `/v1/topics/${topic}/records`, { records })
    expect(api.expectProblem(answer, 'record-too-large').limit).toBe(10_000)
    await api.expectEmpty(topic)
  })
}

function describeLines(api: Api): void {
  it.each([
    ['application/x-ndjson', '\n', true],
    ['application/x-ndjson', '\n', false],
    ['application/jsonl', '\r\n', true],
    ['application/x-ndjson; charset=utf-8', '\n', true],
  ])('takes one record a line (%s, line end %j, at the end: %s)', async (type, end, atEnd) => {
    const topic = await api.makeTopic('lines')
    const lines = ['{"key":"a","value":1.0}', '{"value":{"b": 2}}', '{"valueBase64":"AA=="}']
    const answer = await produceText(api, topic, lines.join(end) + (atEnd ? end : ''), type)
    expect(answer.status, answer.text).toBe(200)
    expect(answer.json<Produced>().records.map(({ offset }) => offset)).toEqual([0, 1, 2])
    const page = await api.call('GET', `/v1/topics/${topic}/records`)
    expect(page.text).toContain('"value":1.0')
    expect(page.text).toContain('"value":{"b": 2}')
  })

  it('skips blank lines, but counts them', async () => {
    const topic = await api.makeTopic('blank')
    const good = '\n{"value":1}\n\n  \n{"value":2}\n\n'
    expect((await produceText(api, topic, good, 'application/x-ndjson')).status).toBe(200)
    expect((await api.read(topic)).records.map(({ value }) => value)).toEqual([1, 2])
    const answer = await produceText(api, topic, `${good}{]\n`, 'application/x-ndjson')
    const { errors = [] } = api.expectProblem(answer, 'invalid-record')
    expect(errors[0]?.pointer).toMatch(/^line 7\b/)
  })

  it.each(['application/ndjson', 'application/json-lines'])('takes %s, too', async (type) => {
    const topic = await api.makeTopic('types')
    expect((await produceText(api, topic, '{"value":1}', type)).status).toBe(200)
  })

  it('names the number of the bad line and writes nothing', async () => {
    const topic = await api.makeTopic('bad-line')
    const lines = Array.from({ length: 10 }, (_, i) => `{"value":${i}}`)
    lines[6] = '{"value":}'
    const answer = await produceText(api, topic, lines.join('\n'), 'application/x-ndjson')
    const { errors = [] } = api.expectProblem(answer, 'invalid-record')
    expect(errors[0]?.pointer).toMatch(/^line 7\b/)
    await api.expectEmpty(topic)
  })

  it('points into the bad line', async () => {
    const topic = await api.makeTopic('bad-member')
    const text = '{"value":1}\n{"key":5,"value":1}\n'
    const answer = await produceText(api, topic, text, 'application/x-ndjson')
    const { errors = [] } = api.expectProblem(answer, 'invalid-record')
    expect(errors[0]?.pointer).toBe('line 2/key')
    await api.expectEmpty(topic)
  })

  it('takes thousands of lines at once and keeps their order', async () => {
    const topic = await api.makeTopic('many-lines')
    const text = Array.from({ length: 20_000 }, (_, i) => `{"value":${i}}\n`).join('')
    const answer = await produceText(api, topic, text, 'application/x-ndjson')
    expect(answer.status, answer.text.slice(0, 200)).toBe(200)
    const values = (await api.readAll(topic, '?limit=10000')).map(({ value }) => value)
    expect(values).toEqual(Array.from({ length: 20_000 }, (_, i) => i))
  })
}
