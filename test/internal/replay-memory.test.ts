import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ReplayMemory } from '../../src/internal/replay-memory.ts'

const WINDOW = 4096

function memory(maxSessions = 10): ReplayMemory {
  return new ReplayMemory({ maxSessions, staleAfterMs: 1000 })
}

test('each number counts once, in whatever order they come', () => {
  const numbers = fc.array(fc.oneof(fc.nat(50), fc.nat(3 * WINDOW)), { maxLength: 200 })
  fc.assert(
    fc.property(numbers, (all) => {
      const replays = memory()
      const taken = new Set<number>()
      let highest = -1
      for (const number of all) {
        const isTooOld = number <= highest - WINDOW
        const expected = taken.has(number) || isTooOld ? 'seen' : 'new'
        expect(replays.take({ session: 'a', number, signedAtMs: 0 }, 0)).toBe(expected)
        taken.add(number)
        highest = Math.max(highest, number)
      }
    }),
  )
})

test('senders do not share their numbers', () => {
  const replays = memory()
  expect(replays.take({ session: 'a', number: 1, signedAtMs: 0 }, 0)).toBe('new')
  expect(replays.take({ session: 'b', number: 1, signedAtMs: 0 }, 0)).toBe('new')
  expect(replays.take({ session: 'a', number: 1, signedAtMs: 0 }, 0)).toBe('seen')
})

test('a sender is forgotten only when all that it signed is stale', () => {
  const replays = memory(2)
  replays.take({ session: 'a', number: 1, signedAtMs: 500 }, 0)
  replays.take({ session: 'b', number: 1, signedAtMs: 0 }, 0)
  expect(replays.take({ session: 'c', number: 1, signedAtMs: 900 }, 900)).toBe('full')
  expect(replays.take({ session: 'c', number: 1, signedAtMs: 1001 }, 1001)).toBe('new')
  expect(replays.take({ session: 'a', number: 1, signedAtMs: 500 }, 1001)).toBe('seen')
})
