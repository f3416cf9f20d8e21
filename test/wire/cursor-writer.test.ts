import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { MemberId } from '../../src/core/group-settings.ts'
import type { TopicId } from '../../src/core/ids.ts'
import type { Cursor } from '../../src/wire/cursor.ts'
import { encodeCursor } from '../../src/wire/cursor.ts'
import { CursorWriter } from '../../src/wire/cursor-writer.ts'

const TOPIC_ID = '00112233445566778899aabbccddeeff' as TopicId
const OTHER_ID = 'ffeeddccbbaa99887766554433221100' as TopicId

describe('CursorWriter', () => {
  it('has at every step what encoding anew would give', () => {
    const steps = fc.array(
      fc.record({
        partition: fc.nat(299),
        lastEpoch: fc.integer({ min: -1, max: 300 }),
        offset: fc.oneof(fc.nat(300), fc.maxSafeNat()),
        isRead: fc.boolean(),
        isOther: fc.boolean(),
      }),
      { maxLength: 40 },
    )
    fc.assert(
      fc.property(
        fc.constantFrom(1, 2, 3, 6, 255),
        steps,
        fc.boolean(),
        (count, all, hasMember) => {
          const positions = Array.from({ length: count }, (_, i) => ({
            partition: i * 3,
            lastEpoch: -1,
            offset: i * 60,
          }))
          const cursor = (): Cursor => ({
            ...(hasMember && { member: { memberId: 'me' as MemberId, memberEpoch: 300 } }),
            topics: [
              { topicId: OTHER_ID, mapVersion: 200, positions: other },
              { topicId: TOPIC_ID, mapVersion: 1, positions },
            ],
          })
          const other = [{ partition: 7, lastEpoch: -1, offset: 1 }]
          const writer = new CursorWriter(cursor())
          const topic = writer.of(TOPIC_ID)
          for (const { partition, lastEpoch, offset, isRead, isOther } of all) {
            if (isOther) {
              other[0] = { partition: 7, lastEpoch, offset }
              writer.of(OTHER_ID).set(7, lastEpoch, offset)
            } else {
              const index = partition % count
              positions[index] = { partition: index * 3, lastEpoch, offset }
              topic.set(index * 3, lastEpoch, offset)
            }
            if (isRead) expect(writer.text()).toBe(encodeCursor(cursor()))
          }
          expect(writer.text()).toBe(encodeCursor(cursor()))
          expect(Buffer.from(topic.bytes()).toString()).toBe(writer.text())
        },
      ),
      { numRuns: 300 },
    )
  })

  it('refuses a topic and a partition that it does not have', () => {
    const positions = [{ partition: 0, lastEpoch: -1, offset: 0 }]
    const writer = new CursorWriter({ topics: [{ topicId: TOPIC_ID, mapVersion: 1, positions }] })
    expect(() => writer.of(TOPIC_ID).set(1, 0, 1)).toThrow('partition 1')
    expect(() => writer.of(OTHER_ID)).toThrow(OTHER_ID)
  })
})
