import { describe, expect, test } from 'vitest'
import { ThresholdWaiters } from '../../src/lib/threshold-waiters.ts'

const NEVER = new AbortController().signal

describe('ThresholdWaiters', () => {
  test('a threshold that is reached already does not wait', async () => {
    const waiters = new ThresholdWaiters(5, 1)
    await waiters.reached(5, NEVER)
    await waiters.reached(4, NEVER)
    expect(waiters.waiting).toBe(0)
  })

  test('wakes those whose threshold is reached, in order of arrival', async () => {
    const waiters = new ThresholdWaiters(0, 10)
    const woken: string[] = []
    const waits = [
      waiters.reached(2, NEVER).then(() => woken.push('second')),
      waiters.reached(1, NEVER).then(() => woken.push('first')),
      waiters.reached(2, NEVER).then(() => woken.push('third')),
    ]
    waiters.advance(1)
    await waits[1]
    expect(woken).toEqual(['first'])
    waiters.advance(3)
    await Promise.all(waits)
    expect(woken).toEqual(['first', 'second', 'third'])
    expect(waiters.waiting).toBe(0)
  })

  test('an abort rejects with its reason and leaves no waiter', async () => {
    const waiters = new ThresholdWaiters(0, 10)
    const stop = new AbortController()
    const wait = waiters.reached(1, stop.signal)
    stop.abort(new Error('client gone'))
    await expect(wait).rejects.toThrow('client gone')
    await expect(waiters.reached(1, stop.signal)).rejects.toThrow('client gone')
    expect(waiters.waiting).toBe(0)
  })

  test('only so many may wait', async () => {
    const waiters = new ThresholdWaiters(0, 1)
    const wait = waiters.reached(1, NEVER)
    await expect(waiters.reached(1, NEVER)).rejects.toMatchObject({ code: 'too-many-requests' })
    waiters.advance(1)
    await wait
    expect(waiters.value).toBe(1)
  })

  test('the number never falls', () => {
    const waiters = new ThresholdWaiters(2, 1)
    expect(() => waiters.advance(1)).toThrow('fell')
  })
})
