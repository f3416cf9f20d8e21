/** Batches read from a segment file: byte for byte, and in memory that nothing else writes to. */
import { describe, expect, test, vi } from 'vitest'
import { batchBytes, encodeBatch, stampBatch } from '../../src/core/record-batch.ts'
import type { FileHandle } from '../../src/env/file-system.ts'
import { LeaderEpochs } from '../../src/storage/leader-epochs.ts'
import { ReadMemory } from '../../src/storage/read-memory.ts'
import { walkSegment } from '../../src/storage/segment-walk.ts'
import { textRecord } from '../front/topics.ts'

const KIB = 1024

/** One record a batch. */
function segmentOf(valueBytes: readonly number[]): Buffer {
  const batches = valueBytes.map((size, baseOffset) => {
    const batch = encodeBatch([
      textRecord(String(baseOffset % 10).repeat(size), { timestampMs: 0 }),
    ])
    stampBatch(batch, { baseOffset, leaderEpoch: 0 })
    return batch
  })
  return Buffer.concat(batches)
}

function fileOf(bytes: Buffer): Pick<FileHandle, 'readAt'> {
  return {
    readAt: (target, position) => {
      const part = bytes.subarray(position, position + target.length)
      target.set(part)
      return Promise.resolve(part.length)
    },
  }
}

interface WalkOptions {
  readonly file?: Pick<FileHandle, 'readAt'>
  readonly approachBytes?: number
}

async function walk(
  bytes: Buffer,
  offset: number,
  maxBytes: number,
  memory = new ReadMemory(256 * KIB, KIB * KIB),
  { file = fileOf(bytes), approachBytes }: WalkOptions = {},
) {
  const buffer = new Uint8Array(KIB * KIB)
  const place = { position: 0, baseOffset: 0, approachBytes }
  const range = { offset, endOffset: Number.MAX_SAFE_INTEGER, maxBytes }
  const walked = {
    file: file as FileHandle,
    writtenBytes: bytes.length,
    epochs: new LeaderEpochs(),
  }
  const found = await walkSegment(walked, place, range, { buffer, memory })
  buffer.fill(0)
  return found
}

describe('a walk through a segment', () => {
  const SIZES: readonly [
    what: string,
    sizes: readonly number[],
    maxBytes: number,
    expected: number,
  ][] = [
    ['small batches', Array.from({ length: 100 }, () => 500), 20 * KIB, 35],
    ['more than has memory of its own', Array.from({ length: 700 }, () => KIB), 600 * KIB, 561],
    ['more than the buffer holds', Array.from({ length: 700 }, () => 4 * KIB), 2048 * KIB, 503],
    ['a batch larger than what is wanted', [300 * KIB, 10, 10], KIB, 1],
    ['a batch larger than the buffer', [1500 * KIB, 10, 10], KIB, 1],
    ['small ones before a large one', [10, 10, 200 * KIB, 10], 100 * KIB, 2],
  ]

  test.each(SIZES)('finds %s', async (_what, sizes, maxBytes, expected) => {
    const bytes = segmentOf(sizes)
    const { batches, sizeBytes, end, nextOffset } = await walk(bytes, 0, maxBytes)
    expect(end).toBe('done')
    expect(Buffer.compare(Buffer.concat(batches), bytes.subarray(0, sizeBytes))).toBe(0)
    expect(batches.every((batch) => batchBytes(batch) === batch.length)).toBe(true)
    expect([batches.length, nextOffset]).toEqual([expected, expected])
  })

  test.each([
    { from: 0, approachBatches: 0 },
    { from: 1, approachBatches: 1 },
    // The index had an entry behind the batch that was wanted first.
    { from: 1, approachBatches: 2 },
  ])('reads a page at once, $approachBatches batches from the start place', async (page) => {
    const bytes = segmentOf(Array.from({ length: 20 }, () => 16 * KIB))
    const size = batchBytes(bytes)
    const file = fileOf(bytes)
    const reads = vi.spyOn(file, 'readAt')
    const options = { file, approachBytes: page.approachBatches * size }
    for (const maxBytes of [4 * size, 5 * size - 1]) {
      const found = await walk(bytes, page.from, maxBytes, undefined, options)
      const expected = { end: 'done', nextOffset: page.from + 4, position: (page.from + 4) * size }
      expect(found).toMatchObject(expected)
    }
    expect(reads).toHaveBeenCalledTimes(2)
  })

  test('leaves what it found alone when it reads on', async () => {
    const behind = Array.from({ length: 30 }, () => 4 * KIB)
    const bytes = segmentOf([20 * KIB, ...behind])
    const { batches, sizeBytes } = await walk(bytes, 1, 60 * KIB)
    const first = batchBytes(bytes)
    expect(batches).toHaveLength(14)
    expect(Buffer.compare(Buffer.concat(batches), bytes.subarray(first, first + sizeBytes))).toBe(0)
  })

  test('keeps no more than twice what it found in memory', async () => {
    const bytes = segmentOf(Array.from({ length: 100 }, () => 500))
    const { batches, sizeBytes } = await walk(bytes, 95, 64 * KIB)
    expect(batches).toHaveLength(5)
    expect((batches[0] as Uint8Array).buffer.byteLength).toBeLessThanOrEqual(2 * sizeBytes)
  })

  test('reads into memory that was given back, and into no other', async () => {
    const memory = new ReadMemory(256 * KIB, KIB * KIB)
    const [some, others] = [500, 600].map((size) =>
      segmentOf(Array.from({ length: 100 }, () => size)),
    )
    const read = async (bytes = others) => {
      const found = await walk(bytes as Buffer, 0, 20 * KIB, memory)
      return { ...found, memory: found.batches[0]?.buffer }
    }
    const [first, kept] = [await read(), await read(some)]
    first.release?.()
    first.release?.()
    const [second, third] = [await read(), await read()]
    expect(second.memory).toBe(first.memory)
    expect(new Set([first.memory, kept.memory, third.memory]).size).toBe(3)
    expect(Buffer.concat(kept.batches)).toEqual(some?.subarray(0, kept.sizeBytes))
  })

  test('gives memory back itself if it copied what it found', async () => {
    const memory = new ReadMemory(256 * KIB, KIB * KIB)
    const bytes = segmentOf(Array.from({ length: 100 }, () => 500))
    const taken = vi.spyOn(memory, 'take')
    const few = await walk(bytes, 95, 20 * KIB, memory)
    expect(few.release).toBeUndefined()
    const piece = memory.take(32 * KIB)
    expect(piece).toBe(taken.mock.results[0]?.value)
    expect(few.batches[0]?.buffer).not.toBe(piece?.buffer)
  })
})
