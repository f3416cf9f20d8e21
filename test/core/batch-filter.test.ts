import { describe, expect, test } from 'vitest'
import { BatchFilter } from '../../src/core/batch-filter.ts'
import {
  BATCH_CONTROL,
  batchDeleteHorizon,
  batchLastOffset,
  checkBatch,
  encodeBatch,
  stampBatch,
} from '../../src/core/record-batch.ts'
import { RecordCursor } from '../../src/core/record-cursor.ts'
import { crc32c } from '../../src/lib/crc32c.ts'

const HORIZON_MS = 1_800_000_000_000

function batch(): Uint8Array {
  const bytes = encodeBatch(
    ['a', 'b', 'c', 'd'].map((key, i) => ({
      key: Buffer.from(key),
      value: key === 'c' ? null : Buffer.from(key.repeat(300)),
      headers: [{ name: 'n', value: Buffer.from(key) }],
      timestampMs: 1_700_000_000_000 - i * 1_000,
      media: 2 as const,
    })),
  )
  stampBatch(bytes, { baseOffset: 100, leaderEpoch: 7 })
  return bytes
}

function describeRecords(bytes: Uint8Array, at = 0) {
  const cursor = new RecordCursor()
  cursor.reset(bytes, at)
  const found: [number, number, string][] = []
  while (cursor.next()) {
    const { offset, timestampMs, keyStart, keyEnd } = cursor
    found.push([offset, timestampMs, Buffer.from(bytes.subarray(keyStart, keyEnd)).toString()])
    while (cursor.nextHeader());
  }
  expect(cursor.fault).toBeUndefined()
  return found
}

const keep = (offsets: readonly number[], horizonMs = -1) => ({
  horizonMs,
  keeps: ({ offset }: RecordCursor) => offsets.includes(offset),
})

describe('BatchFilter', () => {
  test.each([-1, HORIZON_MS])('what stays is as it was, with horizon %i', (horizonMs) => {
    const before = batch()
    const padded = new Uint8Array([9, 9, 9, ...before, 9])
    const after = new BatchFilter().apply(padded, 3, keep([101, 102], horizonMs))
    if (typeof after === 'string') throw new Error(after)
    expect(checkBatch(after, 0, after.length)).toBe('valid')
    expect(describeRecords(after)).toEqual(describeRecords(before).slice(1, 3))
    expect(batchLastOffset(after)).toBe(103)
    expect(batchDeleteHorizon(after)).toBe(horizonMs)
  })

  test('only tombstones get a horizon, and only once', () => {
    const filter = new BatchFilter()
    expect(filter.apply(batch(), 0, keep([100, 101, 102, 103]))).toBe('same')
    const after = filter.apply(batch(), 0, keep([100, 101, 103], HORIZON_MS))
    expect(batchDeleteHorizon(after as Uint8Array)).toBe(-1)
    const marked = filter.apply(batch(), 0, keep([100, 101, 102, 103], HORIZON_MS)) as Uint8Array
    expect(batchDeleteHorizon(marked)).toBe(HORIZON_MS)
    expect(describeRecords(marked)).toEqual(describeRecords(batch()))
    expect(filter.apply(marked, 0, keep([100, 101, 102, 103], HORIZON_MS + 1))).toBe('same')
  })

  test('nothing is left when no record stays', () => {
    expect(new BatchFilter().apply(batch(), 0, keep([]))).toBe('empty')
  })

  test('of a batch that a producer numbered the head stays, with its last number', () => {
    const numbered = Buffer.from(batch())
    numbered.writeBigInt64BE(5n, 43)
    numbered.writeUInt32BE(crc32c(numbered, 21), 17)
    const filter = new BatchFilter()
    const head = filter.apply(numbered, 0, keep([])) as Uint8Array
    expect(checkBatch(head, 0, head.length)).toBe('valid')
    expect([head.length, batchLastOffset(head)]).toEqual([61, 103])
    expect(filter.apply(head, 0, keep([]))).toBe('same')
  })

  test('control batches, which all have one key, stay', () => {
    const control = Buffer.from(batch())
    control.writeInt16BE(BATCH_CONTROL, 21)
    control.writeUInt32BE(crc32c(control, 21), 17)
    expect(new BatchFilter().apply(control, 0, keep([]))).toBe('same')
  })
})
