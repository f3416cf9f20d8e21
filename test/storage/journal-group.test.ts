import { expect, test } from 'vitest'
import {
  framesOf,
  GROUP_HEADER_BYTES,
  GROUP_KIND,
  GroupBuilder,
  isIntactGroup,
  readGroupHeader,
} from '../../src/storage/journal-group.ts'

const EPOCH = 0xfedcba9876543210n

test('numbers beyond 32 bits survive', () => {
  const builder = new GroupBuilder(4096)
  builder.add(200, 0x80000001, [Uint8Array.of(1, 2), Uint8Array.of(3)], 3)
  const bytes = builder.finish(GROUP_KIND.frames, EPOCH, 2 ** 40 + 5, 2 ** 52 + 7)
  const header = readGroupHeader(bytes, 0, EPOCH)
  expect(header).toEqual({
    lengthBytes: 12,
    frames: 1,
    groupSequence: 2 ** 40 + 5,
    frameSequence: 2 ** 52 + 7,
    kind: GROUP_KIND.frames,
  })
  if (header === undefined) return
  expect(isIntactGroup(bytes, header)).toBe(true)
  expect([...framesOf(bytes, header)]).toEqual([
    { sequence: 2 ** 52 + 7, kind: 200, logId: 0x80000001, payload: Uint8Array.of(1, 2, 3) },
  ])
})

test('a builder used again leaves nothing of what it held', () => {
  const builder = new GroupBuilder(8192)
  builder.add(1, 1, [new Uint8Array(8000).fill(0xee)], 8000)
  builder.finish(GROUP_KIND.frames, EPOCH, 0, 0)
  builder.clear()
  const bytes = builder.finish(GROUP_KIND.idleSeal, EPOCH, 1, 1)
  expect(bytes.length).toBe(4096)
  expect(bytes.subarray(GROUP_HEADER_BYTES).every((byte) => byte === 0)).toBe(true)
})

test('another epoch, a cut header and a cut group are not groups', () => {
  const builder = new GroupBuilder(8192)
  builder.add(1, 1, [new Uint8Array(5000)], 5000)
  const bytes = builder.finish(GROUP_KIND.frames, EPOCH, 0, 0)
  expect(readGroupHeader(bytes, 0, EPOCH + 1n)).toBeUndefined()
  expect(readGroupHeader(bytes.subarray(0, GROUP_HEADER_BYTES - 1), 0, EPOCH)).toBeUndefined()
  const header = readGroupHeader(bytes, 0, EPOCH)
  expect(header && isIntactGroup(bytes.subarray(0, 4096), header)).toBe(false)
})
