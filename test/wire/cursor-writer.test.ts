import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { TopicId } from '../../src/core/ids.ts'
import { encodeCursor } from '../../src/wire/cursor.ts'
import { CursorWriter } from '../../src/wire/cursor-writer.ts'

const TOPIC_ID = '00112233445566778899aabbccddeeff' as TopicId

describe('CursorWriter', () => {
  it('has at every step what encoding anew would give', () => {
    const steps = fc.array(
      fc.record({
        partition: fc.nat(299),
        lastEpoch: fc.integer({ min: -1, max: 300 }),
        offset: fc.oneof(fc.nat(300), fc.maxSafeNat()),
        isRead: fc.boolean(),
      }),
      { maxLength: 40 },
    )
    fc.assert(
      fc.property(fc.constantFrom(1, 2, 3, 6, 256), steps, (count, all) => {
        const positions = Array.from({ length: count }, (_, i) => ({
          partition: i * 3,
          lastEpoch: -1,
          offset: i * 60,
        }))
        const writer = new CursorWriter(TOPIC_ID, 1, positions.toReversed())
        for (const { partition, lastEpoch, offset, isRead } of all) {
          const index = partition % count
          positions[index] = { partition: index * 3, lastEpoch, offset }
          writer.set(index * 3, lastEpoch, offset)
          const topics = [{ topicId: TOPIC_ID, mapVersion: 1, positions }]
          if (isRead) expect(writer.text()).toBe(encodeCursor({ topics }))
        }
        expect(writer.text()).toBe(
          encodeCursor({ topics: [{ topicId: TOPIC_ID, mapVersion: 1, positions }] }),
        )
      }),
      { numRuns: 300 },
    )
  })

  it('refuses a partition that it does not have', () => {
    const writer = new CursorWriter(TOPIC_ID, 1, [{ partition: 0, lastEpoch: -1, offset: 0 }])
    expect(() => writer.set(1, 0, 1)).toThrow('partition 1')
  })
})
