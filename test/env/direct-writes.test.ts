import { expect, test } from 'vitest'
import { DirectWrites } from '../../src/env/direct-writes.ts'
import { pageAligned, sharedPageAligned } from '../../src/lib/page-aligned.ts'

const KIB = 1024
const bytes = (sizeBytes: number) => [new Uint8Array(sizeBytes).fill(5)]
const stepOf = (writes: DirectWrites, position: number, sizeBytes: number) => {
  const step = writes.step([...bytes(100), ...bytes(sizeBytes - 100)], position)
  return (
    step && { isDirect: step.isDirect, sizeBytes: step.parts.reduce((n, p) => n + p.length, 0) }
  )
}
const failing = (code: string) => () => Promise.reject(Object.assign(new Error(code), { code }))

test.each([
  ['a small one goes through the cache', 0, 15 * KIB, undefined],
  ['whole blocks go past it', 8 * KIB, 20 * KIB, { isDirect: true, sizeBytes: 20 * KIB }],
  ['what is left of a block does not', 0, 20 * KIB + 5, { isDirect: true, sizeBytes: 20 * KIB }],
  ['up to the first whole block neither', 4097, 70_000, { isDirect: false, sizeBytes: 4095 }],
  ['a large one goes in steps', 0, 3000 * KIB, { isDirect: true, sizeBytes: 1024 * KIB }],
  ['few whole blocks are not worth it', 4097, 18 * KIB, undefined],
])('%s', (_, position, sizeBytes, expected) => {
  expect(stepOf(new DirectWrites(true), position, sizeBytes)).toEqual(expected)
})

test('a file system that takes none is not asked again', async () => {
  const writes = new DirectWrites(true)
  await expect(writes.perform(bytes(8), failing('ENOSPC'))).rejects.toThrow('ENOSPC')
  expect(stepOf(writes, 0, 20 * KIB)).toBeDefined()
  expect(await writes.perform(bytes(8), failing('EINVAL'))).toBeUndefined()
  expect(stepOf(writes, 0, 20 * KIB)).toBeUndefined()
})

test('writes do not share memory, and who finds none is told', async () => {
  const writes = new DirectWrites(true)
  const gates: (() => void)[] = []
  const held: Uint8Array[] = []
  const hold = (given: Uint8Array) => {
    held.push(given)
    return new Promise<number>((resolve) => gates.push(() => resolve(given.length)))
  }
  const running = Array.from({ length: 8 }, (_, i) => writes.perform([Uint8Array.of(i)], hold))
  expect(await writes.perform(bytes(1), hold)).toBeUndefined()
  expect(held.map(([first]) => first)).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
  gates[0]?.()
  expect(await running[0]).toBe(1)
  const next = writes.perform(bytes(3), hold)
  for (const open of gates) open()
  gates.at(-1)?.()
  expect(await next).toBe(3)
  await Promise.all(running)
})

test('memory has the size that was asked for, and is shared where it should be', () => {
  expect(pageAligned(5000).byteLength).toBe(5000)
  expect(sharedPageAligned(5000).buffer).toBeInstanceOf(SharedArrayBuffer)
})
