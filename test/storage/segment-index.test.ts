import { expect, test } from 'vitest'
import { OffsetIndex } from '../../src/storage/offset-index.ts'
import { SegmentIndex } from '../../src/storage/segment-index.ts'
import { TimeIndex } from '../../src/storage/time-index.ts'

/** Batches of one record and 1000 bytes each, from base offset 100 on. */
function filled(batches: number): SegmentIndex {
  const index = SegmentIndex.empty(100)
  for (let i = 0; i < batches; i++) index.note(i * 1000, 1000, 100 + i, 5000 + i)
  return index
}

test('an entry is made for the batch behind each 4096 bytes, as Kafka does', () => {
  const index = filled(20)
  const bytes = Buffer.from(index.offsets.encoded())
  const entries = Array.from({ length: bytes.length / 8 }, (_, i) => [
    bytes.readInt32BE(i * 8),
    bytes.readInt32BE(i * 8 + 4),
  ])
  expect(entries).toEqual([
    [5, 5000],
    [10, 10_000],
    [15, 15_000],
  ])
  const times = Buffer.from(index.times.encoded())
  expect(times.length).toBe(3 * 12)
  expect([times.readBigInt64BE(0), times.readInt32BE(8)]).toEqual([5005n, 5])
})

test('lookups give the last entry that is not too late', () => {
  const index = filled(20)
  expect(index.floor(104)).toBeUndefined()
  expect(index.floor(105)).toEqual({ position: 5000, lastOffset: 105, approachBytes: 5000 })
  expect(index.floor(114)).toEqual({ position: 10_000, lastOffset: 110, approachBytes: 5000 })
  expect(index.floor(9999)).toEqual({ position: 15_000, lastOffset: 115 })
  expect(index.below(5005)).toBeUndefined()
  expect(index.below(5006)).toEqual({ lastOffset: 105, maxTimestampMs: 5005 })
  index.finish()
  expect(index.below(9999)).toEqual({ lastOffset: 119, maxTimestampMs: 5019 })
})

test('an index that was begun in the middle is joined to its earlier part', () => {
  const later = new SegmentIndex(100, {
    position: 12_000,
    maxTimestampMs: 5011,
    offsetOfMaxTimestamp: 111,
  })
  for (let i = 12; i < 30; i++) later.note(i * 1000, 1000, 100 + i, 5000 + i)
  const whole = later.joinedTo(filled(12))
  expect(whole.fromPosition).toBe(0)
  expect(whole.offsets.isPlausible(30_000)).toBe(true)
  expect(whole.times.isPlausible(30)).toBe(true)
  expect(whole.floor(111)).toEqual({ position: 10_000, lastOffset: 110, approachBytes: 7000 })
  expect(whole.floor(129)).toEqual({ position: 27_000, lastOffset: 127 })
})

test('a cut takes the entries behind it', () => {
  const index = filled(20)
  index.offsets.cut(10_000)
  index.times.cut(10)
  expect([index.offsets.entries, index.times.entries]).toEqual([1, 1])
  index.offsets.append(11, 11_000)
  expect(index.floor(115)).toEqual({ position: 11_000, lastOffset: 111 })
})

test('entries that do not ascend, or lie outside, are implausible', () => {
  const offsets = (...numbers: number[]) => {
    const bytes = Buffer.alloc(numbers.length * 4)
    for (const [i, number] of numbers.entries()) bytes.writeInt32BE(number, i * 4)
    return new OffsetIndex(bytes)
  }
  expect(offsets(5, 5000, 10, 10_000).isPlausible(20_000)).toBe(true)
  expect(offsets(5, 5000, 5, 10_000).isPlausible(20_000)).toBe(false)
  expect(offsets(5, 5000, 10, 4000).isPlausible(20_000)).toBe(false)
  expect(offsets(5, 5000, 10, 20_000).isPlausible(20_000)).toBe(false)
  expect(offsets(5, 5000, 0, 0).isPlausible(20_000)).toBe(false)
  expect(offsets(-5, 5000).isPlausible(20_000)).toBe(false)
  const times = new TimeIndex()
  times.append(10, 3)
  times.append(10, 4)
  expect(times.entries).toBe(1)
  times.append(11, 2)
  expect(times.isPlausible(10)).toBe(false)
})
