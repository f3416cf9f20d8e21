import { expect, test, vi } from 'vitest'
import { SystemClock } from '../../src/env/system-clock.ts'

test('a timer runs once at its time and not when cancelled', () => {
  vi.useFakeTimers()
  const clock = new SystemClock()
  const run = vi.fn()
  clock.timer(10, run)
  clock.timer(10, run).cancel()
  vi.advanceTimersByTime(9)
  expect(run).not.toHaveBeenCalled()
  vi.advanceTimersByTime(100)
  expect(run).toHaveBeenCalledTimes(1)
  vi.useRealTimers()
})

test('a timer beyond what Node can hold does not fire early', () => {
  vi.useFakeTimers()
  const run = vi.fn()
  const days = 24 * 3_600_000
  new SystemClock().timer(60 * days, run)
  vi.advanceTimersByTime(60 * days - 1)
  expect(run).not.toHaveBeenCalled()
  vi.advanceTimersByTime(1)
  expect(run).toHaveBeenCalledTimes(1)
  vi.useRealTimers()
})

test('a sleep ends at its time or with the reason of the abort', async () => {
  const clock = new SystemClock()
  await expect(clock.sleep(0, new AbortController().signal)).resolves.toBeUndefined()
  const abort = new AbortController()
  const slept = clock.sleep(1e9, abort.signal)
  abort.abort(new Error('enough'))
  await expect(slept).rejects.toThrow('enough')
  await expect(clock.sleep(1, abort.signal)).rejects.toThrow('enough')
})
