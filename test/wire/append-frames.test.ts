import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { AppendFrame } from '../../src/wire/append-frames.ts'
import { AppendFrameReader, encodeAppendFrame } from '../../src/wire/append-frames.ts'
import { MalformedMessage } from '../../src/wire/message.ts'
import { appendResult } from './node-messages.ts'

const frames: fc.Arbitrary<AppendFrame[]> = fc.array(
  fc.record({ index: fc.nat(), result: appendResult }),
  { minLength: 1, maxLength: 6 },
)

function bytesOf(all: readonly AppendFrame[]): Buffer {
  return Buffer.concat(all.map(encodeAppendFrame))
}

test('frames come back however they were cut on the way', () => {
  fc.assert(
    fc.property(frames, fc.array(fc.integer({ min: 1, max: 60 })), (all, cuts) => {
      const bytes = bytesOf(all)
      const reader = new AppendFrameReader()
      const read: AppendFrame[] = []
      let at = 0
      for (const cut of [...cuts, bytes.length]) {
        read.push(...reader.push(bytes.subarray(at, at + cut)))
        at += cut
      }
      expect(read).toEqual(all)
    }),
  )
})

test('a frame counts only when it is whole', () => {
  fc.assert(
    fc.property(frames, (all) => {
      const bytes = bytesOf(all)
      const lastBytes = encodeAppendFrame(all.at(-1) as AppendFrame).length
      for (let missing = 1; missing < lastBytes; missing++) {
        const reader = new AppendFrameReader()
        expect(reader.push(bytes.subarray(0, bytes.length - missing))).toEqual(all.slice(0, -1))
      }
    }),
    { numRuns: 20 },
  )
})

test('a frame that is larger than any is refused before it has come', () => {
  expect(() => new AppendFrameReader().push(Buffer.of(0, 2, 0, 0))).toThrow(MalformedMessage)
})

test('garbage is refused or read, and nothing else', () => {
  const garbled = fc.tuple(frames, fc.nat(), fc.nat(255))
  fc.assert(
    fc.property(garbled, ([all, at, byte]) => {
      const bytes = bytesOf(all)
      bytes[at % bytes.length] = byte
      try {
        expect(new AppendFrameReader().push(bytes).length).toBeLessThanOrEqual(all.length + 1)
      } catch (error) {
        expect(error).toBeInstanceOf(MalformedMessage)
      }
    }),
    { numRuns: 500 },
  )
})
