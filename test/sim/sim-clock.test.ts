import { expect, test } from 'vitest'
import { SimClock } from './sim-clock.ts'

test('runs events in order of time, then of scheduling', async () => {
  const clock = new SimClock()
  const seen: string[] = []
  for (const [delayMs, name] of [
    [5, 'c'],
    [1, 'a'],
    [5, 'd'],
    [3, 'b'],
    [0, '0'],
  ] as const) {
    clock.timer(delayMs, () => seen.push(`${name}@${clock.monotonicMs()}`))
  }
  await clock.runUntilIdle()
  expect(seen).toEqual(['0@0', 'a@1', 'b@3', 'c@5', 'd@5'])
})

test('drains microtasks between events', async () => {
  const clock = new SimClock()
  const seen: string[] = []
  clock.timer(1, () => {
    void (async () => {
      for (let i = 0; i < 20; i++) await null
      seen.push('chain of the first')
    })()
  })
  clock.timer(1, () => seen.push('second'))
  await clock.runUntilIdle()
  expect(seen).toEqual(['chain of the first', 'second'])
})

test('time stands at the end of runFor, and later events wait', async () => {
  const clock = new SimClock({ startMs: 1000 })
  let ran = 0
  clock.timer(10, () => ran++)
  clock.timer(11, () => ran++)
  await clock.runFor(10)
  expect([ran, clock.nowMs(), clock.monotonicMs()]).toEqual([1, 1010, 10])
})

test('a cancelled timer does not run, and a sleep rejects on abort', async () => {
  const clock = new SimClock()
  let ran = 0
  clock.timer(1, () => ran++).cancel()
  const abort = new AbortController()
  const slept = clock.sleep(5, abort.signal)
  abort.abort(new Error('enough'))
  await expect(clock.run(slept)).rejects.toThrow('enough')
  await clock.runUntilIdle()
  expect(ran).toBe(0)
})

test('waiting for what can never come is an error, not a hang', async () => {
  const clock = new SimClock()
  await expect(clock.run(new Promise(() => undefined))).rejects.toThrow('deadlock')
})

test('the wall clock jumps alone', async () => {
  const clock = new SimClock({ startMs: 1000 })
  clock.jumpWallClock(-500)
  expect([clock.nowMs(), clock.monotonicMs()]).toEqual([500, 0])
})
