import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { DurableWriter, ThreadedDurableFile } from '../../src/env/durable-file.ts'

const SMALL_BYTES = 4096
/** More than the thread shares memory for. */
const LARGE_BYTES = 1024 * 1024

let directory: string
let fds: number[]

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'curlew-durable-'))
  fds = []
})
afterEach(() => {
  for (const fd of fds) closeSync(fd)
  rmSync(directory, { recursive: true })
})

function open(writer: DurableWriter, name: string, flags: string): ThreadedDurableFile {
  const fd = openSync(join(directory, name), flags)
  fds.push(fd)
  const close = async () => undefined
  return new ThreadedDurableFile(writer, { fd, directFd: undefined, synced: false, close })
}

test('writes of any size that wait for each other are done in order, and fail each for itself', async () => {
  const writer = new DurableWriter()
  const file = open(writer, 'file', 'w+')
  const unwritable = open(writer, 'file', 'r')
  const filled = (bytes: number, fill: number) => [new Uint8Array(bytes).fill(fill)]
  const outcomes = await Promise.allSettled([
    file.write(filled(SMALL_BYTES, 1), 0),
    unwritable.write(filled(SMALL_BYTES, 2), 0),
    unwritable.write(filled(LARGE_BYTES, 3), 0),
    file.write(filled(LARGE_BYTES, 4), SMALL_BYTES),
    unwritable.write(filled(SMALL_BYTES, 5), 0),
    file.write(filled(SMALL_BYTES, 6), 2 * SMALL_BYTES),
    file.write([...filled(1, 7), ...filled(1, 8)], 3 * SMALL_BYTES),
  ])
  expect(
    outcomes.map((outcome) => (outcome.status === 'rejected' ? outcome.reason.code : 'done')),
  ).toEqual(['done', 'EBADF', 'EBADF', 'done', 'EBADF', 'done', 'done'])
  await file.close()
  await unwritable.close()
  const bytes = readFileSync(join(directory, 'file'))
  expect(bytes.length).toBe(SMALL_BYTES + LARGE_BYTES)
  const at = [0, SMALL_BYTES, 2 * SMALL_BYTES, 3 * SMALL_BYTES, 3 * SMALL_BYTES + 1]
  expect(at.map((place) => bytes[place])).toEqual([1, 4, 6, 7, 8])
  expect(bytes.at(-1)).toBe(4)
})

test('a file that is written to after the thread has ended gets another thread', async () => {
  const writer = new DurableWriter()
  const first = open(writer, 'file', 'w+')
  await first.write([new Uint8Array(SMALL_BYTES).fill(1)], 0)
  await first.close()
  const second = open(writer, 'file', 'r+')
  await second.write([new Uint8Array(SMALL_BYTES).fill(2)], SMALL_BYTES)
  await second.close()
  const bytes = readFileSync(join(directory, 'file'))
  expect([bytes[0], bytes[SMALL_BYTES]]).toEqual([1, 2])
})
