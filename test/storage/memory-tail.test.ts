import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { LogTail } from '../../src/storage/log-tail.ts'
import { MemoryTail } from '../../src/storage/memory-tail.ts'

const OVERHEAD = 256

function push(tail: LogTail, baseOffset: number, sizeBytes: number, segmentBase = 0): void {
  tail.push({
    batch: new Uint8Array(sizeBytes),
    baseOffset,
    endOffset: baseOffset + 1,
    segmentBase,
    position: 0,
  })
}

test('written batches go oldest first, whichever log they belong to; unwritten ones stay', () => {
  const memory = new MemoryTail(3 * (100 + OVERHEAD))
  const [a, b] = [memory.open(), memory.open()]
  push(a, 0, 100)
  push(b, 0, 100)
  push(a, 1, 100)
  a.markWritten(2)
  push(b, 1, 100)
  expect([a.find(0), a.find(1) >= 0, b.find(0), b.find(1)]).toEqual([-1, true, 0, 1])
  // The turn of the oldest of b has come, but it is in no segment yet: that of a goes.
  push(a, 2, 100)
  expect([a.find(1), a.find(2) >= 0, b.find(0), b.find(1)]).toEqual([-1, true, 0, 1])
  expect(memory.pinnedBytes).toBe(300)
  b.markWritten(2)
  push(a, 3, 100)
  expect([a.find(2) >= 0, b.find(0), b.find(1) >= 0]).toEqual([true, -1, true])
  expect(memory.usedBytes).toBeLessThanOrEqual(memory.limitBytes)
})

test('writes come in pieces of one segment, up to what is durable', () => {
  const tail = new MemoryTail(1e9).open()
  for (let i = 0; i < 6; i++) push(tail, i, 10, i < 4 ? 0 : 4)
  const offsets = (endOffset: number, maxBytes: number) =>
    tail.unwritten(endOffset, maxBytes).map(({ baseOffset }) => baseOffset)
  expect(offsets(6, 1000)).toEqual([0, 1, 2, 3])
  expect(offsets(6, 25)).toEqual([0, 1])
  expect(offsets(6, 1)).toEqual([0])
  expect(offsets(3, 1000)).toEqual([0, 1, 2])
  tail.markWritten(4)
  expect(offsets(6, 1000)).toEqual([4, 5])
  expect(offsets(4, 1000)).toEqual([])
})

test('batches that are dropped before their turn leave nothing behind', () => {
  const memory = new MemoryTail(1e9)
  const [stays, passes] = [memory.open(), memory.open()]
  push(stays, 0, 10)
  for (let i = 0; i < 100_000; i++) {
    push(passes, i, 10)
    passes.cutStart(i + 1)
  }
  expect(memory.usedBytes).toBe(10 + OVERHEAD)
  expect(memory.turns).toBeLessThan(3000)
  stays.markWritten(1)
  const small = new MemoryTail(0).open()
  push(small, 0, 10)
  small.markWritten(1)
  expect([stays.find(0), small.find(0)]).toEqual([0, -1])
})

test('accounts agree with a list under any sequence of changes', () => {
  const change = fc.record({
    log: fc.nat(2),
    what: fc.constantFrom('push', 'push', 'push', 'write', 'cut', 'start', 'clear'),
    size: fc.integer({ min: 1, max: 2000 }),
    share: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  })
  fc.assert(
    fc.property(fc.array(change, { maxLength: 300 }), (changes) => {
      const memory = new MemoryTail(20_000)
      const logs = [0, 1, 2].map(() => ({
        tail: memory.open(),
        sizes: [] as number[],
        base: 0,
        written: 0,
      }))
      for (const { log, what, size, share } of changes) {
        const one = logs[log] as (typeof logs)[number]
        const end = one.base + one.sizes.length
        const at = one.base + Math.floor(share * (one.sizes.length + 1))
        if (what === 'push') {
          push(one.tail, end, size)
          one.sizes.push(size)
        } else if (what === 'write') {
          one.tail.markWritten(at)
          one.written = Math.max(one.written, at)
        } else if (what === 'cut') {
          one.tail.cutEnd(at)
          one.sizes.length = at - one.base
          one.written = Math.min(one.written, at)
        } else if (what === 'start') {
          one.tail.cutStart(at)
          one.sizes.splice(0, at - one.base)
          one.base = at
          one.written = Math.max(one.written, at)
        } else {
          one.tail.clear()
          one.base = end
          one.written = end
          one.sizes.length = 0
        }
      }
      let pinned = 0
      for (const { tail, sizes, base, written } of logs) {
        const unwritten = sizes
          .slice(Math.max(0, written - base))
          .reduce((sum, size) => sum + size, 0)
        expect(tail.unwrittenBytes).toBe(unwritten)
        pinned += unwritten
        for (let offset = Math.max(written, base); offset < base + sizes.length; offset++) {
          expect(tail.at(tail.find(offset))?.batch.length).toBe(sizes[offset - base])
        }
      }
      expect(memory.pinnedBytes).toBe(pinned)
      const overheadOfPinned = logs.reduce(
        (sum, { sizes, base, written }) =>
          sum + (base + sizes.length - Math.max(base, written)) * OVERHEAD,
        0,
      )
      expect(memory.usedBytes).toBeLessThanOrEqual(
        Math.max(memory.limitBytes, pinned + overheadOfPinned),
      )
    }),
  )
})
