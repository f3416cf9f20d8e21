import { expect, test } from 'vitest'
import { AmbientError, withoutAmbient } from './ambient-trap.ts'
import { SimClock } from './sim-clock.ts'

test.each([
  ['Date.now', () => Date.now()],
  ['new Date()', () => new Date()],
  ['Math.random', () => Math.random()],
  ['performance.now', () => performance.now()],
  ['setTimeout', () => setTimeout(() => undefined, 1)],
  ['randomUUID', () => crypto.randomUUID()],
  ['AbortSignal.timeout', () => AbortSignal.timeout(1)],
])('%s throws while events run, and not after', async (_, use) => {
  const clock = new SimClock({ around: withoutAmbient })
  let caught: unknown
  clock.timer(1, () => {
    void Promise.resolve().then(() => {
      try {
        use()
      } catch (error) {
        caught = error
      }
    })
  })
  await clock.runUntilIdle()
  expect(caught).toBeInstanceOf(AmbientError)
  expect(use).not.toThrow()
})

test('a date that says which is no ambient time', () => {
  let text = ''
  withoutAmbient(() => {
    text = new Date(0).toISOString()
  })
  expect(text).toBe('1970-01-01T00:00:00.000Z')
})
