import { expect, test } from 'vitest'
import { unlessAborted } from '../../src/lib/unless-aborted.ts'

test('settles as the promise does', async () => {
  const { signal } = new AbortController()
  await expect(unlessAborted(Promise.resolve(7), signal)).resolves.toBe(7)
  await expect(unlessAborted(Promise.reject(new Error('broken')), signal)).rejects.toThrow('broken')
})

test('an abort ends the wait, and what comes of the promise later is dropped', async () => {
  const stop = new AbortController()
  const { promise, reject } = Promise.withResolvers<void>()
  const waiting = unlessAborted(promise, stop.signal)
  stop.abort(new Error('enough'))
  await expect(waiting).rejects.toThrow('enough')
  await expect(unlessAborted(promise, stop.signal)).rejects.toThrow('enough')
  reject(new Error('late'))
  await expect(promise).rejects.toThrow('late')
})
