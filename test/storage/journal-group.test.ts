import { expect, test } from 'vitest'
import { crc32c } from '../../src/lib/crc32c.ts'
import { decodeEcho, ECHO_MAX_BYTES } from '../../src/storage/journal-echo.ts'
import {
  framesOf,
  GROUP_HEADER_BYTES,
  GROUP_KIND,
  GroupBuilder,
  isIntactGroup,
  readGroupHeader,
  trailerOf,
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
    hasEcho: false,
    trailerBytes: 0,
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

test('a group is repeated without its records, each log once as long as nothing else comes between', () => {
  const builder = new GroupBuilder(8192)
  builder.add(1, 7, [new Uint8Array(100)], 100)
  builder.add(1, 7, [new Uint8Array(100)], 100)
  builder.add(1, 8, [new Uint8Array(100)], 100)
  builder.add(4, 7, [Uint8Array.of(1, 2), Uint8Array.of(3)], 3)
  builder.add(1, 7, [new Uint8Array(100)], 100)
  const { echo } = builder
  builder.clear()
  builder.add(1, 9, [Uint8Array.of(5)], 1)
  builder.follow(echo)
  const bytes = builder.finish(GROUP_KIND.frames, EPOCH, 1, 5)
  const header = readGroupHeader(bytes, 0, EPOCH)
  if (header === undefined) throw new Error('the group has a header')
  expect(isIntactGroup(bytes, header)).toBe(true)
  expect(header.hasEcho).toBe(true)
  expect([...framesOf(bytes, header)].map(({ logId }) => logId)).toEqual([9])
  expect(decodeEcho(trailerOf(bytes, header))).toEqual([
    { kind: 1, logId: 7, payload: new Uint8Array(0) },
    { kind: 1, logId: 8, payload: new Uint8Array(0) },
    { kind: 4, logId: 7, payload: Uint8Array.of(1, 2, 3) },
    { kind: 1, logId: 7, payload: new Uint8Array(0) },
  ])
})

test('what is too much to repeat, or does not fit, is not repeated in part', () => {
  const builder = new GroupBuilder(1024 * 1024)
  for (let logId = 0; logId <= ECHO_MAX_BYTES / 5; logId++) builder.add(1, logId, [], 0)
  expect(builder.echo).toBeUndefined()
  builder.clear()
  expect(builder.echo).toEqual(new Uint8Array(0))
  const small = new GroupBuilder(4096)
  small.add(1, 1, [new Uint8Array(4000)], 4000)
  small.follow(new Uint8Array(100))
  const bytes = small.finish(GROUP_KIND.frames, EPOCH, 1, 1)
  expect(readGroupHeader(bytes, 0, EPOCH)).toMatchObject({ hasEcho: false, trailerBytes: 0 })
})

test.each([0, 21])('a checksum that is known from byte %i on gives the same group', (from) => {
  const payloads = [10, 5000, 4096 + from, 4095 + from, 90, 100_000].map((size) =>
    Uint8Array.from({ length: size }, (_, i) => (i * 31 + size) & 0xff),
  )
  const groups = [true, false].map((isKnown) => {
    const builder = new GroupBuilder(256 * 1024)
    for (const payload of payloads) {
      const known = { from, crc: crc32c(payload, Math.min(from, payload.length)) }
      builder.add(1, 7, [payload], payload.length, isKnown ? known : undefined)
    }
    return Buffer.from(builder.finish(GROUP_KIND.frames, EPOCH, 3, 4))
  })
  const [known, plain] = groups as [Buffer, Buffer]
  expect(known.equals(plain)).toBe(true)
  const header = readGroupHeader(known, 0, EPOCH)
  expect(header !== undefined && isIntactGroup(known, header)).toBe(true)
})

test('a builder used again forgets the checksums that it knew', () => {
  const builder = new GroupBuilder(64 * 1024)
  const payload = new Uint8Array(8000).fill(0xee)
  builder.add(1, 1, [payload], 8000, { from: 0, crc: crc32c(payload) })
  builder.finish(GROUP_KIND.frames, EPOCH, 0, 0)
  builder.clear()
  builder.add(1, 1, [new Uint8Array(9000)], 9000)
  const bytes = builder.finish(GROUP_KIND.frames, EPOCH, 1, 1)
  const header = readGroupHeader(bytes, 0, EPOCH)
  expect(header !== undefined && isIntactGroup(bytes, header)).toBe(true)
})
