import { expect, test } from 'vitest'
import { SimClock } from './sim-clock.ts'
import { SimNodeClock } from './sim-node-clock.ts'

test('a paused node sees late, and in order, what came meanwhile', async () => {
  const world = new SimClock()
  const clock = new SimNodeClock(world)
  const seen: string[] = []
  clock.timer(10, () => seen.push(`a@${clock.monotonicMs()}`))
  clock.timer(20, () => seen.push(`b@${clock.monotonicMs()}`))
  const cancelled = clock.timer(15, () => seen.push('cancelled'))
  clock.pause()
  await world.runFor(100)
  expect(seen).toEqual([])
  cancelled.cancel()
  clock.resume()
  await world.runFor(1)
  expect(seen).toEqual(['a@100', 'b@100'])
})

test('a dead node sees nothing any more', async () => {
  const world = new SimClock()
  const clock = new SimNodeClock(world)
  const seen: string[] = []
  clock.timer(10, () => seen.push('held'))
  clock.timer(200, () => seen.push('due'))
  clock.pause()
  await world.runFor(100)
  clock.end()
  clock.resume()
  await world.runUntilIdle()
  expect(seen).toEqual([])
})

test('its time is its own', async () => {
  const world = new SimClock({ startMs: 1_000_000 })
  await world.runFor(500)
  const clock = new SimNodeClock(world, { rate: 2, skewMs: -1_000 })
  let firedAt = 0
  clock.timer(100, () => {
    firedAt = world.monotonicMs()
  })
  await world.runFor(100)
  expect(firedAt).toBeCloseTo(550, 3)
  expect([clock.monotonicMs(), clock.nowMs()]).toEqual([200, 999_600])
  clock.setWallError(4_000)
  expect([clock.monotonicMs(), clock.nowMs()]).toEqual([200, 1_004_600])
})
