import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LIMITS } from '../../src/core/limits.ts'
import { MEDIA } from '../../src/core/record.ts'
import { sliceRecords } from '../../src/wire/json-slice.ts'
import type { SlicedRecord } from '../../src/wire/record-slicer.ts'

function slice(body: string): readonly SlicedRecord[] {
  const sliced = sliceRecords(Buffer.from(body))
  if ('faults' in sliced) throw new Error(JSON.stringify(sliced.faults))
  return sliced.records
}

function one(record: string): SlicedRecord {
  return slice(`{"records":[${record}]}`)[0]!
}

function faultsOf(body: string | Uint8Array): string[] {
  const sliced = sliceRecords(Buffer.from(body))
  if (!('faults' in sliced)) throw new Error('there is no fault')
  return sliced.faults.map(({ pointer, detail }) => `${pointer}: ${detail}`)
}

const faultOf = (record: string) => faultsOf(`{"records":[${record}]}`).join('; ')
const text = (bytes: Uint8Array | null) => bytes && Buffer.from(bytes).toString()

const withTexts = (record: SlicedRecord) => ({
  ...record,
  key: text(record.key),
  value: text(record.value),
})

describe('sliceRecords', () => {
  it.each([
    '12345678901234567890',
    '12.0',
    '1e400',
    '-0',
    'null',
    '"a \\u00e9 \\/ é"',
    '{ "b" : 1,\r\n\t"a" : [ ] , "b": 2 }',
    '"\\ud800"',
  ])('keeps %j byte for byte', (value) => {
    const record = one(`{"value": ${value} , "key" : "k"}`)
    expect(text(record.value)).toBe(value)
    expect(record.media).toBe(MEDIA.json)
    expect(text(record.key)).toBe('k')
  })

  it('takes every member', () => {
    const record = one(
      '{"partition":3,"timestamp":"2026-11-22T10:00:00.1234567Z","headers":{"a":"x\\ny","é~/":""},"headersBase64":{"b":"/w=="},"keyBase64":"AAE=","valueBase64":"\\/\\/8="}',
    )
    expect(record).toEqual({
      key: Buffer.from([0, 1]),
      value: Buffer.from([0xff, 0xff]),
      media: MEDIA.bytes,
      headers: [
        { name: 'a', value: Buffer.from('x\ny') },
        { name: 'é~/', value: Buffer.from('') },
        { name: 'b', value: Buffer.from([0xff]) },
      ],
      partition: 3,
      timestampMs: Date.UTC(2026, 10, 22, 10, 0, 0, 123),
    })
  })

  it('leaves unset what a record does not name', () => {
    expect(one('{"value":1}')).toEqual({
      key: null,
      value: Buffer.from('1'),
      media: MEDIA.json,
      headers: [],
      partition: -1,
      timestampMs: Number.NaN,
    })
  })

  it('tells a tombstone from a JSON null', () => {
    expect(text(one('{"value":null}').value)).toBe('null')
    for (const record of ['{"tombstone":true}', '{"value": null, "tombstone": true}']) {
      expect(one(record)).toMatchObject({ value: null, media: MEDIA.bytes })
    }
    expect(text(one('{"tombstone":false,"value":5}').value)).toBe('5')
  })

  it('takes the media type of bytes from their header', () => {
    expect(one('{"valueBase64":"","headers":{"content-type":"image/png"}}').media).toBe(
      MEDIA.header,
    )
    expect(one('{"value":1,"headers":{"content-type":"a/b+json"}}').media).toBe(MEDIA.json)
  })

  it('reads escapes in names, keys and headers', () => {
    const record = one('{"k\\u0065y":"\\ud83d\\ude00\\"","value":1,"headers":{"\\u0061":"\\t"}}')
    expect(text(record.key)).toBe('😀"')
    expect(record.headers).toEqual([{ name: 'a', value: Buffer.from('\t') }])
  })

  it('names records by their index', () => {
    const sliced = sliceRecords(Buffer.from('{"records":[{"value":1},{"value":2}]}'))
    expect('pointerOf' in sliced && sliced.pointerOf(1)).toBe('/records/1')
  })

  it.each([
    ['{}', '/records/0: needs value, valueBase64 or "tombstone": true'],
    ['5', '/records/0: must be an object'],
    ['{"value":1},[{"value":1}]', '/records/1: must be an object'],
    ['{"value":1,"valu":2}', '/records/0/valu: is not known'],
    ['{"value":1,"a/b~":2}', '/records/0/a~1b~0: is not known'],
    ['{"value":1,"topic":"a"}', '/records/0/topic: is not taken here: the path names the topic'],
    ['{"value":1,"offset":7}', '/records/0/offset: is not taken here: the log assigns offsets'],
    ['{"value":1,"value":1}', '/records/0/value: is given twice'],
    ['{"value":1,"v\\u0061lue":1}', '/records/0/value: is given twice'],
    ['{"value":1,"valueBase64":""}', '/records/0: has both value and valueBase64'],
    ['{"value":1,"key":"a","keyBase64":""}', '/records/0: has both key and keyBase64'],
    ['{"value":1,"key":null}', '/records/0/key: must be a string'],
    ['{"value":1,"key":5}', '/records/0/key: must be a string'],
    ['{"value":1,"key":"\\udc00"}', '/records/0/key: has half a surrogate pair, which is no text'],
    ['{"value":1,"tombstone":true}', '/records/0/tombstone: contradicts the value beside it'],
    [
      '{"valueBase64":"","tombstone":true}',
      '/records/0/tombstone: contradicts the value beside it',
    ],
    ['{"value":1,"tombstone":"true"}', '/records/0/tombstone: must be a boolean'],
    ['{"value":1,"headers":[]}', '/records/0/headers: must be an object of strings'],
    ['{"value":1,"headers":{"a":1}}', '/records/0/headers/a: must be a string of text'],
    ['{"value":1,"headers":{"a":"","a":""}}', '/records/0/headers/a: is given twice'],
    [
      '{"value":1,"headers":{"a":""},"headersBase64":{"a":""}}',
      '/records/0/headersBase64/a: is given twice',
    ],
    ['{"value":1,"headers":{"__a":""}}', '/records/0/headers/__a: is a reserved name'],
    ['{"value":1,"headers":{"\\u005f_a":""}}', '/records/0/headers/__a: is a reserved name'],
    ['{"value":1,"headers":{"":""}}', '/records/0/headers/: is a header without a name'],
    [
      '{"value":1,"timestamp":5}',
      '/records/0/timestamp: must be an RFC 3339 date-time, 1970 or later',
    ],
    [
      '{"value":1,"timestamp":"1969-12-31T23:59:59Z"}',
      '/records/0/timestamp: must be an RFC 3339 date-time, 1970 or later',
    ],
    [
      '{"value":01}',
      '/records/0: not JSON at byte 22: "1" where a comma or a closing bracket should come',
    ],
    ['{"value":1},{"value":}', '/records/1: not JSON at byte 33: "}" where a value should come'],
  ])('refuses the record %s', (record, fault) => {
    expect(faultOf(record)).toBe(fault)
  })

  it.each(['-1', '1.5', '"1"', 'null', '2147483648', '1e400', 'true'])(
    'refuses partition %s',
    (partition) => {
      expect(faultOf(`{"value":1,"partition":${partition}}`)).toBe(
        '/records/0/partition: must be an integer from 0 to 2147483647',
      )
    },
  )

  it.each(['5', '"YQ"', '"YQ="', '"YR=="', '"Y Q=="', '"YQ==\\n"', '"-_8="', '"YQ==YQ=="'])(
    'refuses base64 %s',
    (base64) => {
      expect(faultOf(`{"valueBase64":${base64}}`)).toBe(
        '/records/0/valueBase64: must be a string of base64, with padding',
      )
    },
  )

  it.each([
    ['', ': not JSON at byte 0: ends where a value should come'],
    ['[]', ': must be an object'],
    ['{}', '/records: is missing'],
    ['{"records":{}}', '/records: must be an array'],
    ['{"records":[]}', '/records: has no record'],
    ['{"records":[{"value":1}],"acks":1}', '/acks: is not known'],
    ['{"records":[{"value":1}],"records":[{"value":1}]}', '/records: is given twice'],
    [
      '{"records":[{"value":1}]',
      ': not JSON at byte 24: ends where a comma or a closing bracket should come',
    ],
    ['{"records":[{"value":1}]} x', ': not JSON at byte 26: "x" where the end should come'],
    [
      '{"records":[{"value":1},]}',
      '/records/1: not JSON at byte 24: "]" where a value should come',
    ],
    [
      '{"records":[{"value":1} {"value":1}]}',
      '/records/0: not JSON at byte 24: "{" where a comma or a closing bracket should come',
    ],
  ])('refuses the body %s', (body, fault) => {
    expect(faultsOf(body)).toEqual([fault])
  })

  it('gives the same records in one body as in one each', () => {
    const value = fc.jsonValue({ maxDepth: 2 }).map((each) => JSON.stringify(each))
    const before = fc.constantFrom('', '', '"key":"k",', '"key":"\\t",', '"partition":1,')
    const record = fc.tuple(before, value).map(([head, body]) => `{${head}"value":${body}}`)
    fc.assert(
      fc.property(fc.array(record, { minLength: 1, maxLength: 40 }), (records) => {
        const together = slice(`{"records":[${records.join(',')}]}`)
        expect(together.map(withTexts)).toEqual(records.map(one).map(withTexts))
      }),
      { numRuns: 500 },
    )
  })

  it('names a fault behind others that are fine', () => {
    const fine = '{"value":1},'.repeat(20)
    expect(faultOf(`${fine}{"key":5,"value":1},${fine}{"value":2},{}`)).toBe(
      '/records/20/key: must be a string; /records/42: needs value, valueBase64 or "tombstone": true',
    )
    const key = 'k'.repeat(LIMITS.keyBytes + 1)
    expect(faultOf(`${fine}{"key":"${key}","value":1},${fine}{"value":2}`)).toBe(
      `/records/20/key: is longer than ${LIMITS.keyBytes} bytes`,
    )
  })

  it('refuses a body that is not UTF-8, and says where', () => {
    const body = Buffer.from('{"records":[{"value":"\u00e9"}]}', 'latin1')
    expect(faultsOf(body)).toEqual([': not UTF-8 at byte 22'])
  })

  it('lists the faults of all records, up to a bound', () => {
    const records = Array.from({ length: 30 }, () => '{"valu":1}').join(',')
    const faults = faultsOf(`{"records":[{"value":1},${records}]}`)
    expect(faults.slice(0, 3)).toEqual([
      '/records/1/valu: is not known',
      '/records/1: needs value, valueBase64 or "tombstone": true',
      '/records/2/valu: is not known',
    ])
    expect(faults).toHaveLength(LIMITS.faultsPerAnswer)
  })

  it('bounds headers, keys, records and names in pointers', () => {
    const headers = Array.from({ length: 101 }, (_, i) => `"h${i}":""`).join(',')
    expect(faultOf(`{"value":1,"headers":{${headers}}}`)).toBe(
      '/records/0/headers/h100: is one too many: a record has at most 100 headers',
    )
    const key = 'k'.repeat(LIMITS.keyBytes)
    expect(one(`{"value":1,"key":"${key}"}`).key).toHaveLength(LIMITS.keyBytes)
    expect(faultOf(`{"value":1,"key":"${key}k"}`)).toBe(
      '/records/0/key: is longer than 65536 bytes',
    )
    expect(faultOf(`{"value":1,"${'n'.repeat(1000)}":1}`)).toBe(
      `/records/0/${'n'.repeat(64)}…: is not known`,
    )
    const many = `{"value":1}${',{"value":1}'.repeat(LIMITS.recordsPerRequest)}`
    expect(faultOf(many)).toBe('/records: has more than 100000 records')
  })
})
