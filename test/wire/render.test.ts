import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { TopicId, TopicName } from '../../src/core/ids.ts'
import type { RecordInput } from '../../src/core/record.ts'
import { MEDIA } from '../../src/core/record.ts'
import { encodeBatch, stampBatch } from '../../src/core/record-batch.ts'
import { crc32c } from '../../src/lib/crc32c.ts'
import { ByteWriter } from '../../src/wire/byte-writer.ts'
import { decodeCursor } from '../../src/wire/cursor.ts'
import { CursorWriter } from '../../src/wire/cursor-writer.ts'
import { sliceRecords } from '../../src/wire/json-slice.ts'
import type { RecordFormat, RenderWindow } from '../../src/wire/render.ts'
import { RecordRenderer } from '../../src/wire/render.ts'
import { recordArbitrary } from '../core/record-arbitrary.ts'
import { parseEventStream } from './event-stream.ts'

const TOPIC = 'orders' as TopicName
const TOPIC_ID = '00112233445566778899aabbccddeeff' as TopicId
const TIME_MS = Date.UTC(2026, 10, 22, 10, 0, 0, 123)

const bytes = (text: string) => Buffer.from(text)
const record = (fields: Partial<RecordInput>): RecordInput => ({
  key: null,
  value: null,
  headers: [],
  timestampMs: TIME_MS,
  media: MEDIA.bytes,
  ...fields,
})

function batchOf(records: readonly RecordInput[], baseOffset = 1042): Uint8Array {
  const batch = encodeBatch(records)
  stampBatch(batch, { baseOffset, leaderEpoch: 4 })
  return batch
}

function render(format: RecordFormat, batch: Uint8Array, window: Partial<RenderWindow> = {}) {
  const out = new ByteWriter()
  const cursor = new CursorWriter({
    topics: [
      { topicId: TOPIC_ID, mapVersion: 1, positions: [{ partition: 3, lastEpoch: -1, offset: 0 }] },
    ],
  }).of(TOPIC_ID)
  const result = new RecordRenderer(TOPIC, format).render(out, 3, batch, {
    from: 0,
    cursor,
    ...window,
  })
  return { text: out.copy().toString(), bytes: out.copy(), ...result }
}

const SAMPLE = batchOf([
  record({
    key: bytes('customer-7'),
    value: bytes('{"total": 12,\r\n "at": 1e400}'),
    headers: [{ name: 'source', value: bytes('web') }],
    media: MEDIA.json,
  }),
  record({ key: bytes('a"\n'), timestampMs: TIME_MS + 900 }),
  record({ value: bytes('two\r\nlines "é"\\\u0001'), media: MEDIA.text }),
  record({ key: Buffer.from([0xff]), value: Buffer.from([0, 1, 254]), media: MEDIA.header }),
  record({ value: bytes('null'), media: MEDIA.json }),
])

const at = (offset: number, time: string) =>
  `{"topic":"orders","partition":3,"offset":${offset},"timestamp":"2026-11-22T10:00:${time}Z"`
const SAMPLE_RECORDS = [
  `${at(1042, '00.123')},"key":"customer-7","value":{"total": 12,   "at": 1e400},"headers":{"source":"web"}}`,
  `${at(1043, '01.023')},"key":"a\\"\\n","value":null,"tombstone":true}`,
  `${at(1044, '00.123')},"value":"two\\r\\nlines \\"é\\"\\\\\\u0001"}`,
  `${at(1045, '00.123')},"keyBase64":"/w==","valueBase64":"AAH+"}`,
  `${at(1046, '00.123')},"value":null}`,
]

describe('RecordRenderer', () => {
  it('renders NDJSON, one record a line', () => {
    expect(render('ndjson', SAMPLE).text).toBe(SAMPLE_RECORDS.map((line) => `${line}\n`).join(''))
  })

  it('renders members of an array, their bytes untouched', () => {
    const untouched = SAMPLE_RECORDS.join(',').replace('12,   "at"', '12,\r\n "at"')
    const { text } = render('json', SAMPLE)
    expect(text).toBe(untouched)
    expect(JSON.parse(`[${text}]`)).toHaveLength(5)
  })

  it('renders frames whose id is the cursor behind the record', () => {
    const events = parseEventStream(render('sse', SAMPLE).bytes)
    expect(events.map(({ data }) => data)).toEqual(SAMPLE_RECORDS)
    expect(events.map(({ id }) => decodeCursor(id)?.topics[0]?.positions)).toEqual(
      [1043, 1044, 1045, 1046, 1047].map((offset) => [{ partition: 3, lastEpoch: 4, offset }]),
    )
    expect(render('sse', SAMPLE).text).toMatch(/^id: [\w-]+\ndata: \{"topic".*\}\n\nid: /)
  })

  it('renders frames of the bare value', () => {
    const frames = render('sse-value', SAMPLE).text.replaceAll(/id: [\w-]+\n/g, '')
    expect(frames).toBe(
      [
        'data: {"total": 12,   "at": 1e400}\n\n',
        'data: null\n\n',
        'data: two\ndata: lines "é"\\\u0001\n\n',
        'data: AAH+\n\n',
        'data: null\n\n',
      ].join(''),
    )
  })

  it('shows headers as text where they are, hides its own, and lets the last of a name count', () => {
    const headers = [
      { name: '__idem', value: bytes('x') },
      { name: 'a', value: bytes('1') },
      { name: 'b', value: Buffer.from([0xff]) },
      { name: 'a', value: bytes('2') },
      { name: 'é"', value: null },
    ]
    expect(render('ndjson', batchOf([record({ headers })])).text).toContain(
      ',"headers":{"a":"2","é\\"":""},"headersBase64":{"b":"/w=="}}\n',
    )
    const own = batchOf([record({ headers: headers.slice(0, 1) })])
    expect(render('ndjson', own).text).toContain('"tombstone":true}\n')
    const many = Array.from({ length: 100 }, (_, i) => ({ name: `h${i}`, value: bytes(`${i}`) }))
    const parsed = JSON.parse(render('json', batchOf([record({ headers: many })])).text) as object
    expect(parsed).toMatchObject({
      headers: Object.fromEntries(many.map(({ name }, i) => [name, `${i}`])),
    })
  })

  it('shows as bytes what claims to be text and is not, and JSON of nothing', () => {
    const notText = Buffer.from('é'.repeat(100), 'latin1')
    const batch = batchOf([
      record({ value: notText, media: MEDIA.text }),
      record({ value: notText, media: 5 as typeof MEDIA.bytes }),
      record({ value: bytes(''), media: MEDIA.json }),
    ])
    const values = render('ndjson', batch)
      .text.trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { valueBase64: string }).valueBase64)
    expect(values).toEqual([notText.toString('base64'), notText.toString('base64'), ''])
  })

  it.each([
    [{ from: 0 }, [1042, 1043, 1044, 1045, 1046], 1047],
    [{ from: 1044 }, [1044, 1045, 1046], 1047],
    [{ from: 1043, upTo: 1045 }, [1043, 1044], 1045],
    [{ from: 1043, limit: 2 }, [1043, 1044], 1045],
    [{ from: 1043, limit: 4 }, [1043, 1044, 1045, 1046], 1047],
    [{ from: 2000 }, [], 2000],
    [{ from: 0, upTo: 1042 }, [], 1042],
  ])('cuts to the window %j', (window, offsets, nextOffset) => {
    const rendered = render('json', SAMPLE, window)
    const parsed = JSON.parse(`[${rendered.text}]`) as { offset: number }[]
    expect(parsed.map(({ offset }) => offset)).toEqual(offsets)
    expect(rendered).toMatchObject({ records: offsets.length, nextOffset, lastEpoch: 4 })
  })

  it('passes over control batches', () => {
    const batch = Buffer.from(SAMPLE)
    batch[22] = 0x20
    batch.writeUInt32BE(crc32c(batch, 21), 17)
    expect(render('sse', batch)).toMatchObject({ text: '', records: 0, nextOffset: 1047 })
  })

  it.each([
    [1, 'is compressed, which is not supported'],
    [0, 'does not parse'],
  ])('refuses a batch of codec %d that it cannot read', (codec, reason) => {
    const batch = Buffer.from(SAMPLE)
    batch[22] = codec
    batch[61] = 0xff
    expect(() => render('json', batch)).toThrow(`the batch at offset 1042 of partition 3 ${reason}`)
  })

  it('tells nothing but one event with the right id for each record, whatever it holds', () => {
    const hostile = fc
      .array(
        fc.constantFrom(
          '\n',
          '\r',
          '\r\n',
          '\n\n',
          'id: x',
          'event: end',
          'data: y',
          ':',
          '\0',
          ' ',
          'é',
        ),
      )
      .map((parts) => bytes(parts.join('')))
    const records = fc.array(
      fc.record({
        key: fc.option(hostile, { nil: null }),
        value: fc.option(fc.oneof(hostile, fc.uint8Array()), { nil: null }),
        headers: fc.array(fc.record({ name: hostile.map(String), value: hostile }), {
          maxLength: 3,
        }),
        timestampMs: fc.constant(TIME_MS),
        media: fc.constantFrom(...Object.values(MEDIA)),
      }),
      { minLength: 1, maxLength: 5 },
    )
    fc.assert(
      fc.property(records, fc.constantFrom('sse' as const, 'sse-value' as const), (all, format) => {
        const events = parseEventStream(render(format, batchOf(all)).bytes)
        expect(events.map(({ type }) => type)).toEqual(all.map(() => 'message'))
        expect(events.map(({ id }) => decodeCursor(id)?.topics[0]?.positions[0]?.offset)).toEqual(
          all.map((_, i) => 1043 + i),
        )
        for (const [i, { value, media }] of all.entries()) {
          if (
            format === 'sse-value' &&
            media === MEDIA.text &&
            value !== null &&
            isValidText(value)
          ) {
            expect(events[i]?.data).toBe(
              Buffer.from(value)
                .toString()
                .replaceAll(/\r\n|\r/g, '\n'),
            )
          }
        }
      }),
      { numRuns: 1000 },
    )
  })

  it('gives records that can be produced again, and then read the same', () => {
    const json = fc
      .jsonValue({ stringUnit: 'binary' })
      .map((value) => bytes(JSON.stringify(value, null, 2).replaceAll('\n', '\r\n')))
    const records = fc.array(
      fc
        .tuple(
          recordArbitrary,
          json,
          fc.string({ unit: 'binary' }),
          fc.constantFrom('', '\u0000"\\\n', 'x'.repeat(99)),
        )
        .map(([base, jsonValue, text, more]) => ({
          ...base,
          value:
            { 1: jsonValue, 2: bytes(more + text.toWellFormed()) }[base.media as number] ??
            base.value,
          headers: base.headers.map(({ name, value }, i) => ({ name: `h${i}${name}`, value })),
        })),
      { minLength: 1, maxLength: 5 },
    )
    fc.assert(
      fc.property(records, (all) => {
        const first = render('json', batchOf(all)).text
        const produced = first.replaceAll(/"topic":"orders","partition":3,"offset":\d+,/g, '')
        const sliced = sliceRecords(bytes(`{"records":[${produced}]}`))
        if ('faults' in sliced) throw new Error(JSON.stringify(sliced.faults))
        expect(render('json', batchOf(sliced.records)).text).toBe(first)
      }),
      { numRuns: 1000 },
    )
  })
})

function isValidText(value: Uint8Array): boolean {
  return Buffer.from(Buffer.from(value).toString()).equals(value)
}
