import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { MemberId } from '../../src/core/group-settings.ts'
import type { TopicId } from '../../src/core/ids.ts'
import { crc32c } from '../../src/lib/crc32c.ts'
import type { Cursor, CursorPosition } from '../../src/wire/cursor.ts'
import { decodeCursor, encodeCursor } from '../../src/wire/cursor.ts'

const TOPIC_ID = '00112233445566778899aabbccddeeff' as TopicId

const position: fc.Arbitrary<CursorPosition> = fc.record({
  partition: fc.nat(9999),
  lastEpoch: fc.integer({ min: -1, max: 2 ** 31 - 2 }),
  offset: fc.maxSafeNat(),
})
const positions = fc
  .uniqueArray(position, { maxLength: 20, selector: ({ partition }) => partition })
  .map((all) => all.sort((a, b) => a.partition - b.partition))
const topicId = fc
  .array(fc.constantFrom(...'0123456789abcdef'), { minLength: 32, maxLength: 32 })
  .map((digits) => digits.join('') as TopicId)
const member = fc.record({
  memberId: fc.stringMatching(/^[A-Za-z0-9._-]{1,64}$/).map((text) => text as MemberId),
  memberEpoch: fc.nat(),
})
const cursors: fc.Arbitrary<Cursor> = fc.record(
  {
    topics: fc.array(fc.record({ topicId, mapVersion: fc.nat(), positions }), { maxLength: 4 }),
    member,
  },
  { requiredKeys: ['topics'] },
)

/** A cursor of any content with a right checksum. */
function sealed(content: Uint8Array): string {
  const checksum = Buffer.alloc(4)
  checksum.writeUInt32BE(crc32c(content))
  return Buffer.concat([content, checksum]).toString('base64url')
}

describe('cursors', () => {
  it('come back as they were', () => {
    fc.assert(
      fc.property(cursors, (cursor) => {
        const text = encodeCursor(cursor)
        expect(text).toMatch(/^[A-Za-z0-9_-]+$/)
        expect(decodeCursor(text)).toEqual(cursor)
      }),
    )
  })

  it('have a fixed form', () => {
    const positions = [
      { partition: 0, lastEpoch: -1, offset: 0 },
      { partition: 3, lastEpoch: 4, offset: 1042 },
    ]
    const content = `0101${TOPIC_ID}0202${'000000'}${'03059208'}`
    const text = encodeCursor({ topics: [{ topicId: TOPIC_ID, mapVersion: 2, positions }] })
    expect(text).toBe(sealed(Buffer.from(content, 'hex')))
  })

  it('of a member have a fixed form', () => {
    const member = { memberId: 'm-1' as MemberId, memberEpoch: 300 }
    const content = `02${'03'}${Buffer.from('m-1').toString('hex')}${'ac02'}00`
    expect(encodeCursor({ topics: [], member })).toBe(sealed(Buffer.from(content, 'hex')))
  })

  it('are refused after any change of a character', () => {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+/ \n'
    fc.assert(
      fc.property(cursors, fc.nat(), fc.constantFrom(...alphabet), (cursor, place, character) => {
        const text = encodeCursor(cursor)
        const at = place % text.length
        const changed = text.slice(0, at) + character + text.slice(at + 1)
        if (changed !== text) expect(decodeCursor(changed)).toBeUndefined()
        expect(decodeCursor(text.slice(0, at) + character + text.slice(at))).toBeUndefined()
        expect(decodeCursor(text.slice(0, at) + text.slice(at + 1))).toBeUndefined()
      }),
      { numRuns: 1000 },
    )
  })

  it.each([
    ['nothing', ''],
    ['another version', sealed(Buffer.from('0300', 'hex'))],
    ['a member without a name', sealed(Buffer.from('02000100', 'hex'))],
    ['a member of another alphabet', sealed(Buffer.from('02012f0100', 'hex'))],
    ['a name that is longer than the rest', sealed(Buffer.from('02ff6d0100', 'hex'))],
    ['bytes behind the end', sealed(Buffer.from('010000', 'hex'))],
    ['a number that is longer than it need be', sealed(Buffer.from('018000', 'hex'))],
    ['more topics than there are bytes', sealed(Buffer.from('01ff01', 'hex'))],
    ['more positions than there are bytes', sealed(Buffer.from(`0101${TOPIC_ID}01ff01`, 'hex'))],
    ['partitions out of order', sealed(Buffer.from(`0101${TOPIC_ID}0102010000000000`, 'hex'))],
    ['padding', `${encodeCursor({ topics: [] })}=`],
    ['a megabyte', 'A'.repeat(1_000_000)],
  ])('with %s are refused', (_, text) => {
    expect(decodeCursor(text)).toBeUndefined()
  })

  it('never throw, whatever the text or the sealed content', () => {
    fc.assert(
      fc.property(fc.string(), fc.uint8Array({ maxLength: 60 }), (text, content) => {
        decodeCursor(text)
        const cursor = decodeCursor(sealed(Uint8Array.of(1 + (content.length % 2), ...content)))
        expect(cursor === undefined || cursor.topics.length <= 256).toBe(true)
      }),
      { numRuns: 2000 },
    )
  })

  it('hold 256 partitions at their largest and no more', () => {
    const cursorOf = (count: number) => {
      const positions = Array.from({ length: count }, (_, i) => ({
        partition: 2 ** 31 - 257 + i,
        lastEpoch: 2 ** 31 - 2,
        offset: Number.MAX_SAFE_INTEGER,
      }))
      return { topics: [{ topicId: TOPIC_ID, mapVersion: 2 ** 31 - 1, positions }] }
    }
    expect(decodeCursor(encodeCursor(cursorOf(256)))).toEqual(cursorOf(256))
    expect(decodeCursor(encodeCursor(cursorOf(257)))).toBeUndefined()
  })
})
