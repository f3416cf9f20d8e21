import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { CONTROLLER_KEY, nodeKey, topicKey } from '../../src/metadata/metadata-keys.ts'
import { encodePartition } from '../../src/metadata/metadata-records.ts'
import { name } from '../metadata/topic-fixtures.ts'
import { ControlWorld, ledByFirst, TTL_MS } from './control-world.ts'

describe('Controller', () => {
  let world: ControlWorld

  beforeEach(async () => {
    world = new ControlWorld()
    for (const id of [1, 2, 3]) await world.join(id)
    await world.clock.runFor(1_000)
  })
  afterEach(() => {
    expect(world.violations).toEqual([])
  })

  test('one of the nodes has the office; it passes on when that one dies', async () => {
    const first = world.controller
    const epochs = () => [...world.members.values()].map(({ controller }) => controller.epoch)
    expect(epochs().filter((epoch) => epoch > 0)).toHaveLength(1)
    expect(world.member(first).controller.epoch).toBe(
      world.store.get(CONTROLLER_KEY)?.createRevision,
    )
    world.member(first).kill()
    await world.clock.runFor(2 * TTL_MS)
    expect(world.controller).not.toBe(first)
    const second = world.member(world.controller)
    expect(second.controller.epoch).toBeGreaterThan(world.member(first).controller.epoch)
    expect(await second.metrics.text()).toContain(
      `curlew_controller_epoch ${second.controller.epoch}`,
    )
  })

  test('elects for thousands of partitions within a second of the death, and tells the story', async () => {
    const replicas = Array.from({ length: 5_000 }, (_, p) =>
      [2, 1, 3].map((n) => ((n + p) % 3) + 1),
    )
    const id = world.addTopic('big', replicas, 2)
    await world.clock.runFor(1_000)
    const dead = [1, 2, 3].find((node) => node !== world.controller) as number
    const leads = replicas.filter(([first]) => first === dead).length
    world.member(dead).kill()
    const isUp = () => world.store.get(nodeKey(dead)) !== undefined
    for (let i = 0; isUp() && i < 200; i++) await world.clock.runFor(100)
    expect(isUp()).toBe(false)
    await world.clock.runFor(1_000)
    expect(world.leaders(id)).not.toContain(dead)
    expect(world.leaders(id)).not.toContain(-1)
    const controller = world.member(world.controller)
    expect(controller.said('a node is gone; others take over')).toEqual([
      { node: dead, incarnation: expect.any(Number), leads },
    ])
    expect(controller.said('elections are done').at(-1)).toMatchObject({
      elected: leads,
      leaderless: 0,
      failedRounds: 0,
      offline: 0,
    })
    expect(await controller.metrics.text()).toContain(
      `curlew_elections_total{kind="leader"} ${leads}`,
    )
  })

  test('what nobody can lead has no leader, is counted and explained, and comes back', async () => {
    const id = world.addTopic('few', [[1], [2], [3]])
    const dead = [1, 2, 3].find((node) => node !== world.controller) as number
    world.member(dead).kill()
    await world.clock.runFor(2 * TTL_MS)
    expect(world.leaders(id)[dead - 1]).toBe(-1)
    const controller = world.member(world.controller)
    expect(await controller.metrics.text()).toContain('curlew_offline_partitions 1')
    expect(controller.said('partitions have no leader')).toEqual([
      {
        offline: 1,
        partitions: [
          {
            topic: 'few',
            partition: dead - 1,
            why: `no replica that holds all that was committed is up: ${dead}`,
          },
        ],
      },
    ])
    await world.join(dead)
    await world.clock.runFor(1_000)
    expect(world.leaders(id)).toEqual([1, 2, 3])
    expect(await controller.metrics.text()).toContain('curlew_offline_partitions 0')
    expect(controller.said('every partition has a leader')).toHaveLength(1)
  })

  test('a topic that is made while its leader is away, or goes while it is offline', async () => {
    const dead = [1, 2, 3].find((node) => node !== world.controller) as number
    world.member(dead).kill()
    await world.clock.runFor(2 * TTL_MS)
    const controller = world.member(world.controller)
    const id = world.addTopic('late', [[dead, world.controller], [dead]])
    await world.clock.runFor(1_000)
    expect(world.leaders(id)).toEqual([world.controller, -1])
    expect(await controller.metrics.text()).toContain('curlew_offline_partitions 1')
    world.store.transact({ compare: [], put: [], remove: [topicKey(name('late'))] }, 'test')
    await world.clock.runFor(1_000)
    expect(await controller.metrics.text()).toContain('curlew_offline_partitions 0')
  })

  test('a paused controller that goes on after its time changes nothing', async () => {
    const old = world.member(world.controller)
    const victim = world.member(old.id === 1 ? 2 : 1)
    const third = 6 - old.id - victim.id
    const id = world.addTopic('t', times(200, [victim.id, old.id, third]))
    await world.clock.runFor(1_000)
    // It has the news of the death, and elections under way, when it stops.
    old.handle.faults.latencyMs = 500
    victim.kill()
    await world.clock.runFor(TTL_MS + 10)
    old.clock.pause()
    await world.clock.runFor(3 * TTL_MS)
    expect(world.controller).toBe(third)
    const before = world.store.list('/partitions/').entries
    expect(world.leaders(id)).toEqual(times(200, third))
    old.handle.heal()
    old.clock.resume()
    await world.clock.runFor(TTL_MS)
    expect(old.controller.epoch).toBe(0)
    expect(old.sessions).toHaveLength(2)
    expect(world.store.list('/partitions/').entries).toEqual(before)
  })

  test('an answer that is lost is asked for again, and nothing is written twice', async () => {
    const controller = world.member(world.controller)
    const dead = controller.id === 1 ? 2 : 1
    const id = world.addTopic('t', times(300, [dead, controller.id, 6 - dead - controller.id]))
    let lost = 0
    for (const { handle } of world.members.values()) {
      handle.loseAnswer = () => ++lost % 2 === 0
    }
    world.member(dead).kill()
    await world.clock.runFor(3 * TTL_MS)
    expect(lost).toBeGreaterThan(2)
    expect(world.leaders(id)).toEqual(times(300, controller.id))
    const epochs = world.leaders(id).map((_, p) => world.state(id, p).leaderEpoch)
    expect(epochs).toEqual(times(300, 1))
    expect(controller.said('elections are done').at(-1)).toMatchObject({ elected: 300 })
  })

  test('one partition that others keep changing does not hold up the rest', async () => {
    const controller = world.member(world.controller)
    const dead = controller.id === 1 ? 2 : 1
    const replicas = [dead, controller.id]
    const id = world.addTopic('t', times(300, replicas))
    const busy = { key: `/partitions/${id}/7`, value: encodePartition(ledByFirst(replicas)) }
    const churn = () => {
      if (world.state(id, 7).leader !== dead) return
      world.store.transact({ compare: [], put: [busy] }, 'test')
      world.clock.timer(1, churn)
    }
    world.member(dead).kill()
    await world.clock.runFor(TTL_MS / 2)
    churn()
    await world.clock.runFor(TTL_MS)
    const led = world.leaders(id).filter((leader) => leader === controller.id).length
    expect(led).toBeGreaterThanOrEqual(299)
  })

  test('a clean stop frees the office at once', async () => {
    const first = world.controller
    await world.clock.run(world.member(first).controller.stop())
    await world.clock.runFor(200)
    expect(world.controller).not.toBe(first)
    expect(world.controller).not.toBe(-1)
  })

  test('stops although the store is away', async () => {
    const controller = world.member(world.controller)
    controller.handle.faults.away = true
    await world.clock.run(controller.controller.stop())
    expect(controller.controller.epoch).toBe(0)
  })
})

function times<T>(count: number, value: T): T[] {
  return Array.from({ length: count }, () => value)
}
