import { receiveMessageOnPort } from 'node:worker_threads'
import { expect, test } from 'vitest'
import type { DurableFailure } from '../../src/env/durable-file-thread.ts'
import { WriteSlot, WriteSource } from '../../src/env/write-slot.ts'

const write = {
  fd: 3,
  directFd: undefined,
  parts: [new Uint8Array([1, 2]), new Uint8Array([3])],
  position: 4096,
  syncAfter: true,
}
const failure: DurableFailure = { code: 'ENOSPC', errno: -28, syscall: 'write', message: 'full' }

test('a write arrives as it was given, and its failure comes back', async () => {
  const slot = new WriteSlot()
  const source = new WriteSource(slot.thread)
  const outcome = slot.give(write)
  const { parts, ...rest } = source.take()
  expect(rest).toEqual({ fd: 3, directFd: undefined, position: 4096, syncAfter: true })
  expect(Buffer.concat(parts)).toEqual(Buffer.from([1, 2, 3]))
  source.finish(failure)
  expect(await outcome).toEqual(failure)
  const next = slot.give(write)
  source.take()
  source.finish(undefined)
  expect(await next).toBeUndefined()
  slot.close()
})

test('a write that failed counts as failed also when the reason does not arrive', async () => {
  const slot = new WriteSlot()
  const source = new WriteSource({ ...slot.thread, port: new WriteSlot().thread.port })
  const outcome = slot.give(write)
  source.take()
  source.finish(failure)
  expect(receiveMessageOnPort(slot.thread.port)).toBeUndefined()
  expect(await outcome).toMatchObject({ code: 'EIO' })
  slot.close()
})
