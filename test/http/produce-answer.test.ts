import { expect, test } from 'vitest'
import type { ProduceOutcome, ProducePart } from '../../src/front/produce.ts'
import { produceAnswer } from '../../src/http/public/produce-answer.ts'
import type { TopicImage } from '../../src/metadata/metadata-image.ts'

const TOPIC = { name: 'weather' } as TopicImage
const FIRST_MS = Date.parse('2026-11-23T08:00:00Z')

function part(partition: number, firstOffset: number, appendTimeMs = -1): ProducePart {
  return { partition, firstOffset, result: { ok: true, baseOffset: firstOffset, appendTimeMs } }
}

function receiptsOf(outcome: Pick<ProduceOutcome, 'parts' | 'partOf' | 'timesMs'>): unknown {
  const { receipts, failed } = produceAnswer(TOPIC, { queueMs: 0, storageMs: 0, ...outcome }, 'id')
  expect(failed).toBe(0)
  return JSON.parse(receipts)
}

function receipt(partition: number, offset: number, timestampMs: number) {
  return { partition, offset, timestamp: new Date(timestampMs).toISOString() }
}

test.each([
  [0, 1],
  [0, 250],
  [7, 5],
  [9, 3],
  [98, 4],
  [99, 2],
  [100, 100],
  [999, 2],
  [1_234_567, 1000],
  [Number.MAX_SAFE_INTEGER - 150, 150],
])('receipts of records from offset %d on, %d of them', (firstOffset, count) => {
  const timesMs = new Array<number>(count).fill(FIRST_MS)
  expect(receiptsOf({ parts: [part(3, firstOffset)], partOf: undefined, timesMs })).toEqual(
    timesMs.map((timeMs, i) => receipt(3, firstOffset + i, timeMs)),
  )
})

test('records with times of their own, and with that of the leader', () => {
  const timesMs = [0, 0, 1, 2, 2, 2, 0].map((ms) => FIRST_MS + ms)
  expect(receiptsOf({ parts: [part(0, 97)], partOf: undefined, timesMs })).toEqual(
    timesMs.map((timeMs, i) => receipt(0, 97 + i, timeMs)),
  )
  const stampedMs = FIRST_MS + 500
  expect(receiptsOf({ parts: [part(0, 97, stampedMs)], partOf: undefined, timesMs })).toEqual(
    timesMs.map((_, i) => receipt(0, 97 + i, stampedMs)),
  )
})

test('records of several partitions, in the order of the request', () => {
  const partOf = Uint16Array.of(0, 1, 1, 0, 0, 1)
  const timesMs = new Array<number>(6).fill(FIRST_MS)
  const next = [198, 5]
  expect(receiptsOf({ parts: [part(4, 198), part(9, 5)], partOf, timesMs })).toEqual(
    [...partOf].map((index) => {
      const offset = next[index] as number
      next[index] = offset + 1
      return receipt([4, 9][index] as number, offset, FIRST_MS)
    }),
  )
})
