/** Scopes that serve one call after the other: none may end a call that is not its own. */
import { getEventListeners } from 'node:events'
import { expect, test } from 'vitest'
import { CallScopes } from '../../src/internal/call-scope.ts'
import { SimClock } from '../sim/sim-clock.ts'

function start() {
  const clock = new SimClock()
  return { clock, scopes: new CallScopes(clock), caller: new AbortController() }
}

test('a call ends at its deadline, and says so', async () => {
  const { clock, scopes, caller } = start()
  const scope = scopes.begin(caller.signal, 100)
  await clock.runFor(98)
  expect(scope.stopped).toBeUndefined()
  await clock.runFor(3)
  expect({ aborted: scope.signal.aborted, stopped: scope.stopped }).toEqual({
    aborted: true,
    stopped: 'deadline',
  })
})

test('the deadline of a call before is nothing to the next one', async () => {
  const { clock, scopes, caller } = start()
  scopes.begin(caller.signal, 100).end()
  const later = scopes.begin(caller.signal, 300)
  await clock.runFor(298)
  expect(later.signal.aborted).toBe(false)
  await clock.runFor(3)
  expect(later.stopped).toBe('deadline')
})

test('a deadline may be earlier than that of the call before', async () => {
  const { clock, scopes, caller } = start()
  scopes.begin(caller.signal, 300).end()
  const earlier = scopes.begin(caller.signal, 100)
  await clock.runFor(101)
  expect(earlier.stopped).toBe('deadline')
})

test('what has ended is used again, and what was aborted is not', async () => {
  const { clock, scopes, caller } = start()
  const first = scopes.begin(caller.signal, 100)
  first.end()
  const again = scopes.begin(caller.signal, 200)
  expect(again).toBe(first)
  await clock.runFor(201)
  again.end()
  const next = scopes.begin(caller.signal, 400)
  expect({ isNew: next !== again, aborted: next.signal.aborted }).toEqual({
    isNew: true,
    aborted: false,
  })
})

test('calls that overlap have scopes of their own', async () => {
  const { clock, scopes, caller } = start()
  const short = scopes.begin(caller.signal, 100)
  const long = scopes.begin(caller.signal, 200)
  await clock.runFor(101)
  expect([short.stopped, long.stopped]).toEqual(['deadline', undefined])
})

test('a caller that goes ends its calls, before and after they begin, and those of nobody else', () => {
  const { scopes, caller } = start()
  scopes.begin(caller.signal, 100).end()
  const underWay = scopes.begin(caller.signal, 100)
  const other = scopes.begin(new AbortController().signal, 100)
  caller.abort()
  expect([underWay.stopped, other.stopped]).toEqual(['aborted', undefined])
  expect(underWay.signal.aborted).toBe(true)
  expect(scopes.begin(caller.signal, 100).signal.aborted).toBe(true)
})

test('hold on to one caller only', () => {
  const { scopes, caller } = start()
  const listeners = () => getEventListeners(caller.signal, 'abort').length
  const [one, two] = [scopes.begin(caller.signal, 100), scopes.begin(caller.signal, 100)]
  one.end()
  expect(listeners()).toBe(2)
  scopes.begin(new AbortController().signal, 100).end()
  expect(listeners()).toBe(1)
  two.end()
  expect(listeners()).toBe(0)
})
