import { expect, test } from 'vitest'
import { SeededRandom } from '../../src/env/seeded-random.ts'
import { JournalIndex } from '../../src/storage/journal-index.ts'

test('a position never lies behind its frame, and slots come free once and in order', () => {
  for (let seed = 0; seed < 50; seed++) {
    const random = new SeededRandom(seed)
    const index = new JournalIndex('00000000000000aa')
    const groups: { slot: number; offsetBytes: number; frameSequence: number }[] = []
    const freed: number[] = []
    let [slot, offsetBytes, frameSequence, released] = [0, 0, 0, 0]
    for (let groupSequence = 0; groupSequence < 300; groupSequence++) {
      const sizeBytes = 4096 * (1 + (random.uint32() % 100))
      if (offsetBytes + sizeBytes > 1024 * 1024) {
        slot++
        offsetBytes = 0
      }
      index.add({ slot, offsetBytes, groupSequence, frameSequence }, sizeBytes)
      groups.push({ slot, offsetBytes, frameSequence })
      offsetBytes += sizeBytes
      frameSequence += 1 + (random.uint32() % 9)
      const wanted = released + (random.uint32() % (frameSequence - released))
      const position = index.positionOf(wanted)
      const at = groups[position.groupSequence]
      expect(at).toMatchObject({ slot: position.slot, offsetBytes: position.offsetBytes })
      expect(at?.frameSequence).toBeLessThanOrEqual(wanted)
      if (random.float() < 0.1) {
        freed.push(...index.release(position))
        released = wanted
        expect(freed.includes(position.slot)).toBe(false)
        expect(index.positionOf(wanted)).toEqual(position)
      }
    }
    expect(freed).toEqual(freed.map((_, i) => i))
    expect(index.bytesInUse).toBeGreaterThan(0)
    index.release(index.positionOf(frameSequence - 1))
    expect(index.bytesInUse).toBeLessThan(1024 * 1024)
  }
})

test('what was released has no position', () => {
  const index = new JournalIndex('00000000000000aa')
  index.add({ slot: 0, offsetBytes: 0, groupSequence: 0, frameSequence: 10 }, 4096)
  index.add({ slot: 1, offsetBytes: 0, groupSequence: 1, frameSequence: 20 }, 4096)
  expect(index.release(index.positionOf(20))).toEqual([0])
  expect(() => index.positionOf(19)).toThrow('released')
  expect(index.bytesInUse).toBe(4096)
})

test('a slot that a checkpoint names is kept, though the frame that it wants came to lie in the next one', () => {
  const index = new JournalIndex('00000000000000aa')
  index.add({ slot: 0, offsetBytes: 0, groupSequence: 0, frameSequence: 0 }, 4096)
  // The checkpoint is made of the journal as it is, and becomes durable later.
  const position = index.positionOf(5)
  index.add({ slot: 1, offsetBytes: 0, groupSequence: 1, frameSequence: 5 }, 4096)
  expect(position.slot).toBe(0)
  expect(index.release(position)).toEqual([])
})
