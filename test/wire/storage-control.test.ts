import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { TopicId } from '../../src/core/ids.ts'
import { MalformedMessage } from '../../src/wire/message.ts'
import {
  decodeDeleteRecords,
  decodeLogStart,
  decodeOffsets,
  decodeOffsetsOf,
  decodePartitionCall,
  decodePlaces,
  decodeResolvedOffset,
  decodeResolveOffset,
  encodeControl,
} from '../../src/wire/storage-control.ts'
import { topicId } from './node-messages.ts'

const decoders = {
  decodeOffsetsOf: (body: Uint8Array) => decodeOffsetsOf(body, 1),
  decodePlaces,
  decodeDeleteRecords,
  decodeLogStart,
  decodeOffsets,
  decodePartitionCall,
  decodeResolvedOffset,
  decodeResolveOffset,
}

test('calls and answers come back as they were', () => {
  const at = fc.oneof(
    fc.constantFrom('earliest' as const, 'latest' as const),
    fc.record({ timeMs: fc.maxSafeInteger() }),
    fc.record({ last: fc.maxSafeNat() }),
  )
  fc.assert(
    fc.property(topicId, fc.nat(), at, fc.maxSafeNat(), (id, partition, place, offset) => {
      const call = { topicId: id, partition }
      expect(decodePartitionCall(encodeControl(call))).toEqual(call)
      const resolve = { ...call, at: place }
      expect(decodeResolveOffset(encodeControl(resolve))).toEqual(resolve)
      const deletion = { ...call, before: offset }
      expect(decodeDeleteRecords(encodeControl(deletion))).toEqual(deletion)
      const resolved = { offset, lastEpoch: -1 }
      expect(decodeResolvedOffset(encodeControl(resolved))).toEqual(resolved)
      const start = { logStartOffset: offset }
      expect(decodeLogStart(encodeControl(start))).toEqual(start)
    }),
  )
  const offsets = {
    logStartOffset: 1,
    highWatermark: 5,
    logEndOffset: 7,
    sizeBytes: 900,
    leaderEpoch: 3,
  }
  expect(decodeOffsets(encodeControl(offsets))).toEqual(offsets)
  const many = { offsets: [offsets, undefined] }
  expect(decodeOffsetsOf(encodeControl(many), 2)).toEqual(many.offsets)
  expect(() => decodeOffsetsOf(encodeControl(many), 3)).toThrow(MalformedMessage)
  const places = [{ topicId: 'ab'.repeat(16) as TopicId, partition: 4 }]
  expect(decodePlaces(encodeControl({ places }))).toEqual(places)
})

test('what is no message is refused', () => {
  const garbage = fc.oneof(
    fc.string().map((text) => Buffer.from(text)),
    fc.json().map((text) => Buffer.from(text)),
    fc.uint8Array(),
  )
  fc.assert(
    fc.property(garbage, fc.constantFrom(...Object.values(decoders)), (bytes, decode) => {
      expect(() => decode(bytes)).toThrow(MalformedMessage)
    }),
  )
})
