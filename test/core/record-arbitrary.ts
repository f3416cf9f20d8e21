/** Records as property tests make them up. */
import fc from 'fast-check'
import type { RecordInput } from '../../src/core/record.ts'
import { MEDIA } from '../../src/core/record.ts'

const bytes = fc.uint8Array({ maxLength: 200 })
const nullableBytes = fc.option(bytes, { nil: null })

export const recordArbitrary: fc.Arbitrary<RecordInput> = fc.record({
  key: nullableBytes,
  value: nullableBytes,
  headers: fc.array(
    fc.record({ name: fc.string({ unit: 'binary', maxLength: 20 }), value: nullableBytes }),
    {
      maxLength: 4,
    },
  ),
  timestampMs: fc.oneof(
    fc.integer({ min: 0, max: 4_000_000_000_000 }),
    fc.integer({ min: 1_700_000_000_000, max: 1_700_000_000_200 }),
  ),
  media: fc.constantFrom(...Object.values(MEDIA)),
})

export const recordsArbitrary = fc.array(recordArbitrary, { minLength: 1, maxLength: 20 })
