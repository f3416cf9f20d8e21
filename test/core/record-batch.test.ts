import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { RecordInput } from '../../src/core/record.ts'
import { MEDIA } from '../../src/core/record.ts'
import {
  BATCH_APPEND_TIME,
  batchLastOffset,
  batchMaxTimestamp,
  checkBatch,
  encodeBatch,
  encodedBatchBytes,
  encodedRecordBytes,
  readBatchHeader,
  stampBatch,
} from '../../src/core/record-batch.ts'
import { recordsArbitrary } from './record-arbitrary.ts'
import { walkBatch } from './walk-batch.ts'

const hex = (...parts: string[]) => Buffer.from(parts.join('').replaceAll(' ', ''), 'hex')
const text = (value: string) => Buffer.from(value)
const record = (fields: Partial<RecordInput>): RecordInput => ({
  key: null,
  value: null,
  headers: [],
  timestampMs: 0,
  media: MEDIA.bytes,
  ...fields,
})

/** Field by field after Kafka's published description of the format. */
const TWO_RECORDS = hex(
  '0000000000000000', // baseOffset
  '00000048', // batchLength: 72 = 49 of the header + 23 of records
  'ffffffff', // partitionLeaderEpoch
  '02', // magic
  'd6c6bba0', // crc
  '0000', // attributes
  '00000001', // lastOffsetDelta
  '0000018bcfe56800', // baseTimestamp 1700000000000
  '0000018bcfe5692c', // maxTimestamp 1700000000300
  'ffffffffffffffff', // producerId
  'ffff', // producerEpoch
  'ffffffff', // baseSequence
  '00000002', // recordCount
  '18 00 00 00 02 6b 02 76 02 02 68 02 78', // 12 bytes, key k, value v, one header h = x
  '12 01 d804 02 01 04 3432 00', // 9 bytes, JSON, 300 ms and one offset on, null key, value 42
)

describe('encodeBatch', () => {
  it('writes the published bytes', () => {
    const batch = encodeBatch([
      record({
        key: text('k'),
        value: text('v'),
        headers: [{ name: 'h', value: text('x') }],
        timestampMs: 1_700_000_000_000,
      }),
      record({ value: text('42'), timestampMs: 1_700_000_000_300, media: MEDIA.json }),
    ])
    expect(Buffer.from(batch).toString('hex')).toBe(TWO_RECORDS.toString('hex'))
  })

  it('walks back to the same records, and sizes are right', () => {
    fc.assert(
      fc.property(recordsArbitrary, (records) => {
        const batch = encodeBatch(records)
        expect(checkBatch(batch, 0, batch.length)).toBe('valid')
        expect(batch.length).toBe(encodedBatchBytes(records))
        const bounds = records.reduce((sum, each) => sum + encodedRecordBytes(each), 61)
        expect(batch.length).toBeLessThanOrEqual(bounds)
        expect(walkBatch(batch)).toEqual(
          records.map((each, offset) => ({
            offset,
            timestampMs: each.timestampMs,
            media: each.media,
            key: each.key && Buffer.from(each.key),
            value: each.value && Buffer.from(each.value),
            headers: each.headers.map(({ name, value }) => ({
              name: Buffer.from(name).toString(),
              value: value && Buffer.from(value),
            })),
          })),
        )
      }),
      { numRuns: 500 },
    )
  })

  it('refuses an empty batch', () => {
    expect(() => encodeBatch([])).toThrow('at least one record')
  })
})

describe('readBatchHeader', () => {
  it('reads the published bytes', () => {
    expect(readBatchHeader(TWO_RECORDS)).toEqual({
      baseOffset: 0,
      sizeBytes: TWO_RECORDS.length,
      leaderEpoch: -1,
      attributes: 0,
      lastOffsetDelta: 1,
      baseTimestampMs: 1_700_000_000_000,
      maxTimestampMs: 1_700_000_000_300,
      producerId: -1,
      producerEpoch: -1,
      baseSequence: -1,
      recordCount: 2,
    })
  })
})

describe('stampBatch', () => {
  it('sets offset and epoch without touching what the checksum covers', () => {
    const batch = Buffer.from(TWO_RECORDS)
    stampBatch(batch, { baseOffset: 2 ** 52 + 3, leaderEpoch: 7 })
    expect(checkBatch(batch, 0, batch.length)).toBe('valid')
    expect(readBatchHeader(batch)).toMatchObject({ baseOffset: 2 ** 52 + 3, leaderEpoch: 7 })
    expect(batchLastOffset(batch)).toBe(2 ** 52 + 4)
    expect(batch.subarray(16)).toEqual(TWO_RECORDS.subarray(16))
  })

  it("replaces every record's time by the leader's", () => {
    const batch = Buffer.from(TWO_RECORDS)
    stampBatch(batch, { baseOffset: 5, leaderEpoch: 0, appendTimeMs: 1_800_000_000_000 })
    expect(checkBatch(batch, 0, batch.length)).toBe('valid')
    expect(readBatchHeader(batch).attributes).toBe(BATCH_APPEND_TIME)
    expect(batchMaxTimestamp(batch)).toBe(1_800_000_000_000)
    expect(walkBatch(batch).map(({ offset, timestampMs }) => [offset, timestampMs])).toEqual([
      [5, 1_800_000_000_000],
      [6, 1_800_000_000_000],
    ])
  })
})

describe('checkBatch', () => {
  it('calls every prefix short', () => {
    for (let end = 0; end < TWO_RECORDS.length; end++) {
      expect(checkBatch(TWO_RECORDS, 0, end)).toBe('short')
    }
  })

  it('finds a batch between others', () => {
    const around = Buffer.concat([Buffer.alloc(5, 0xee), TWO_RECORDS, Buffer.alloc(9, 0xdd)])
    expect(checkBatch(around, 5, around.length)).toBe('valid')
  })

  it('finds every flipped bit that the checksum covers, and those of length, magic and checksum', () => {
    for (let at = 8; at < TWO_RECORDS.length; at++) {
      if (at >= 12 && at < 16) continue
      for (let bit = 0; bit < 8; bit++) {
        const damaged = Buffer.from(TWO_RECORDS)
        damaged[at]! ^= 1 << bit
        expect(checkBatch(damaged, 0, damaged.length)).not.toBe('valid')
      }
    }
  })

  it.each([
    ['an offset beyond 2^53', 0, '7fffffffffffffff'],
    ['an offset below zero', 0, 'ffffffffffffffff'],
    ['a length below the header', 8, '00000030'],
    ['a length beyond the bound', 8, '7fffffff'],
    ['a length below zero', 8, 'ffffffff'],
    ['another magic', 16, '01'],
  ])('calls %s garbage', (_, at, bytes) => {
    const damaged = Buffer.from(TWO_RECORDS)
    damaged.write(bytes, at, 'hex')
    expect(checkBatch(damaged, 0, damaged.length)).toBe('garbage')
  })

  it('never throws, whatever the bytes', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 400 }),
        fc.boolean(),
        fc.nat(20),
        (bytes, hasMagic, at) => {
          if (hasMagic && bytes.length > 16) bytes[16] = 2
          expect(['valid', 'short', 'garbage']).toContain(checkBatch(bytes, at, bytes.length))
        },
      ),
      { numRuns: 2000 },
    )
  })
})
