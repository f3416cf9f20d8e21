import { expect, test } from 'vitest'
import { ownBytes } from '../../src/replication/own-bytes.ts'

const BATCH_BYTES = 100_000
const bodyOf = (batches: number) => new Uint8Array(batches * BATCH_BYTES)

test('a batch that is alone in its buffer stays as it is', () => {
  const batch = bodyOf(1).subarray(50)
  expect(ownBytes(batch)).toBe(batch)
})

test('a batch keeps no larger buffer alive, unless its neighbours do anyway', () => {
  const batch = bodyOf(8).subarray(0, BATCH_BYTES).fill(7)
  const own = ownBytes(batch)
  expect(own.buffer.byteLength).toBe(BATCH_BYTES)
  expect(own).toEqual(batch)
  expect(ownBytes(batch, 8 * BATCH_BYTES)).toBe(batch)
  expect(ownBytes(batch, 2 * BATCH_BYTES).buffer.byteLength).toBe(BATCH_BYTES)
})
