import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { nullLogger } from '../../src/env/logger.ts'
import { CONTROLLER_KEY, nodeKey, nodeRegistryKey } from '../../src/metadata/metadata-keys.ts'
import {
  decodeNode,
  decodeNodeRegistry,
  encodePartition,
} from '../../src/metadata/metadata-records.ts'
import { NodeRegistration } from '../../src/replication/registration.ts'
import { ControlWorld, ledByFirst, Member, NEVER, TTL_MS } from './control-world.ts'

describe('NodeRegistration', () => {
  let world: ControlWorld

  beforeEach(() => {
    world = new ControlWorld()
  })
  afterEach(() => {
    expect(world.violations).toEqual([])
  })

  const incarnation = (id: number) => world.store.get(nodeKey(id))?.createRevision

  test('registers under a lease that it renews; the image has it', async () => {
    const member = await world.join(1)
    expect(member.registration.session?.incarnation).toBe(incarnation(1))
    expect(member.metadata.image.nodes.get(1)).toMatchObject({ url: 'http://node-1', version: '1' })
    expect(decodeNodeRegistry(world.store.get(nodeRegistryKey(1))!.value)).toMatchObject({
      directoryId: 'directory-1',
    })
    const first = incarnation(1)
    await world.clock.runFor(20 * TTL_MS)
    expect(incarnation(1)).toBe(first)
    expect(member.registration.notReady).toBeUndefined()
  })

  test('a clean stop ends the registration at once', async () => {
    const member = await world.join(1)
    await world.clock.run(member.stop())
    expect(incarnation(1)).toBeUndefined()
    expect(member.registration.session).toBeUndefined()
  })

  test('a store that gives out revisions a second time is not joined', async () => {
    const member = await world.join(1)
    await world.clock.run(member.stop())
    const { clock, handle: store, metadata } = new Member(world, 1, {})
    await world.clock.run(metadata.start())
    const ahead = { ...metadata.image, version: metadata.image.version + 1_000 }
    const registration = new NodeRegistration(
      {
        ...{ store, clock, random: world.random, logger: nullLogger },
        metadata: {
          image: ahead,
          onChange: (listener) => metadata.onChange(listener),
          waitForVersion: async () => ahead,
          waitForTopic: (name, signal) => metadata.waitForTopic(name, signal),
        },
        localReplica: () => 'kept',
        onRegistered: () => expect.unreachable('it must not take part'),
        onLost: async () => undefined,
        onFatal: () => undefined,
      },
      { nodeId: 1, url: '', rack: '', version: '1', directoryId: 'directory-1', ttlMs: TTL_MS },
    )
    const started = registration.start(NEVER).catch((error: unknown) => error)
    expect(await world.clock.run(started)).toMatchObject({
      name: 'StoreRefusedError',
      message: expect.stringContaining('the metadata store fell back'),
    })
    expect(incarnation(1)).toBeUndefined()
  })

  test('a stop while the store is away does not wait for it', async () => {
    const member = await world.join(1)
    member.handle.faults.away = true
    const before = world.clock.monotonicMs()
    await world.clock.run(member.stop())
    expect(world.clock.monotonicMs() - before).toBeLessThan(TTL_MS)
  })

  test('is fresh while renewals come through, by the time at which they were sent', async () => {
    const member = await world.join(1)
    const isFresh = () => member.registration.isFresh(member.clock.monotonicMs())
    await world.clock.runFor(3 * TTL_MS)
    expect(isFresh()).toBe(true)
    member.handle.faults.away = true
    await world.clock.runFor(0.25 * TTL_MS)
    expect(isFresh()).toBe(true)
    await world.clock.runFor(0.4 * TTL_MS)
    expect(isFresh()).toBe(false)
    // The node goes on: for all it knows the store keeps its lease.
    expect(member.registration.session).toBeDefined()
    member.handle.heal()
    await world.clock.runFor(0.3 * TTL_MS)
    expect(isFresh()).toBe(true)
  })

  test('counts a lease from when it was asked for, however late the answers are', async () => {
    const { store } = world
    const member = world.boot(1)
    let givenMs = -1
    const given = <T>(answer: T): T => {
      givenMs = member.clock.monotonicMs()
      return answer
    }
    const [grant, keepAlive] = [store.grant.bind(store), store.keepAlive.bind(store)]
    vi.spyOn(store, 'grant').mockImplementation((ttlMs) => given(grant(ttlMs)))
    vi.spyOn(store, 'keepAlive').mockImplementation((id) => given(keepAlive(id)))
    member.handle.faults.latencyMs = TTL_MS / 20
    await world.clock.run(member.start())
    for (let i = 0; i < 100; i++) {
      expect(member.registration.renewedMs).toBeLessThanOrEqual(givenMs)
      await world.clock.runFor(TTL_MS / 50)
    }
  })

  test('a store without a quorum costs nobody the registration', async () => {
    const member = await world.join(1)
    world.store.freeze()
    member.handle.faults.away = true
    await world.clock.runFor(20 * TTL_MS)
    world.store.thaw()
    member.handle.heal()
    await world.clock.runFor(TTL_MS)
    expect(member.sessions).toHaveLength(1)
    expect(member.registration.isFresh(member.clock.monotonicMs())).toBe(true)
  })

  test.each(['cut off', 'paused'])(
    'lost while %s: gives up its roles and comes in anew',
    async (how) => {
      const member = await world.join(1)
      const id = world.addTopic('t', [[1]])
      await world.clock.runFor(1_000)
      expect(member.controller.epoch).toBeGreaterThan(0)
      if (how === 'paused') member.clock.pause()
      else member.handle.faults.away = true
      await world.clock.runFor(2 * TTL_MS)
      expect(incarnation(1)).toBeUndefined()
      member.clock.resume()
      member.handle.heal()
      expect(member.registration.isFresh(member.clock.monotonicMs())).toBe(false)
      await world.clock.runFor(TTL_MS)
      expect(member.sessions).toHaveLength(2)
      expect(member.registration.session?.incarnation).toBe(incarnation(1))
      // It led in its earlier life, and had to be elected again.
      expect(world.state(id, 0)).toMatchObject({ leader: 1, leaderEpoch: 2 })
    },
  )

  test('a key that somebody removes ends the registration, though the lease goes on', async () => {
    const member = await world.join(1)
    world.store.transact({ compare: [], put: [], remove: [nodeKey(1)] }, 'test')
    await world.clock.runFor(1_000)
    expect(member.sessions).toHaveLength(2)
    expect(incarnation(1)).toBe(member.registration.session?.incarnation)
  })

  test('waits for a store that is away, and says so', async () => {
    const member = world.boot(1)
    await world.clock.run(member.metadata.start())
    member.handle.faults.away = true
    const started = member.registration.start(NEVER)
    await world.clock.runFor(60_000)
    expect(member.registration.notReady).toContain('waiting for the metadata store')
    expect(member.said('waiting for the metadata store').length).toBeGreaterThan(0)
    member.handle.heal()
    await world.clock.run(started)
    expect(member.registration.notReady).toBeUndefined()
  })

  test('a start that is called off leaves nothing', async () => {
    const member = world.boot(1)
    await world.clock.run(member.metadata.start())
    member.handle.faults.away = true
    const stop = new AbortController()
    const started = member.registration.start(stop.signal)
    await world.clock.runFor(5_000)
    stop.abort(new Error('called off'))
    await expect(world.clock.run(started)).rejects.toThrow('called off')
    member.handle.heal()
    await world.clock.runFor(TTL_MS)
    expect(incarnation(1)).toBeUndefined()
  })

  test('an id that another data directory has is refused, unless that is given up', async () => {
    await world.clock.run((await world.join(1)).stop())
    const other = { directoryId: 'another' }
    await expect(world.join(1, other)).rejects.toThrow(
      /belongs to another data directory.*--accept/,
    )
    expect(incarnation(1)).toBeUndefined()
    await world.join(1, { ...other, acceptNewDirectory: true })
    expect(decodeNodeRegistry(world.store.get(nodeRegistryKey(1))!.value)).toMatchObject(other)
    expect(incarnation(1)).toBeDefined()
  })

  test('an id that a live process has is refused', async () => {
    const first = await world.join(1)
    const before = incarnation(1)
    await expect(world.join(1)).rejects.toThrow(/node id 1 is in use.*http:\/\/node-1.*stop that/)
    const other = { directoryId: 'another', acceptNewDirectory: true }
    await expect(world.join(1, other)).rejects.toThrow('in use')
    expect(incarnation(1)).toBe(before)
    expect(first.sessions).toHaveLength(1)
    // It stays the owner of the id, too.
    const { directoryId } = decodeNodeRegistry(world.store.get(nodeRegistryKey(1))!.value)
    expect(directoryId).toBe('directory-1')
  })

  test('one of two processes that start at once gets the id', async () => {
    const starts = [world.boot(1), world.boot(1)].map((member) => member.start())
    const outcomes = await world.clock.run(Promise.allSettled(starts))
    const refused = outcomes.filter(({ status }) => status === 'rejected')
    expect(refused).toMatchObject([{ reason: { message: expect.stringContaining('in use') } }])
  })

  test('waits until the registration of a process that was killed expires', async () => {
    const old = await world.join(1)
    old.kill()
    const before = incarnation(1)
    const member = await world.join(1)
    expect(incarnation(1)).toBeGreaterThan(before!)
    expect(
      member.said('waiting for the previous registration of this node to expire'),
    ).toHaveLength(1)
  })

  test('a new data directory waits as well for the process that had the old one', async () => {
    const old = await world.join(1)
    old.kill()
    const member = await world.join(1, { directoryId: 'another', acceptNewDirectory: true })
    expect(member.sessions).toHaveLength(1)
  })

  test('waits for nothing where the previous process is known to be its own', async () => {
    const old = await world.join(1)
    await world.clock.runFor(1_000)
    old.kill()
    const lastIncarnation = incarnation(1)!
    const epoch = world.store.get(CONTROLLER_KEY)?.createRevision
    const before = world.clock.monotonicMs()
    await world.join(1, { lastIncarnation })
    await world.clock.runFor(100)
    expect(world.clock.monotonicMs() - before).toBeLessThan(TTL_MS / 2)
    expect(incarnation(1)).toBeGreaterThan(lastIncarnation)
    expect(world.store.get(CONTROLLER_KEY)?.createRevision).toBeGreaterThan(epoch!)
  })

  test('a registration whose answer is lost is found to be its own', async () => {
    const member = world.boot(1)
    let lost = 0
    member.handle.loseAnswer = ({ put }) =>
      put.some(({ key }) => key === nodeKey(1)) && lost++ === 0
    await world.clock.run(member.start())
    expect(lost).toBe(1)
    expect(member.registration.session?.incarnation).toBe(incarnation(1))
    expect(decodeNode(world.store.get(nodeKey(1))!.value).leaseId).toBe(
      member.registration.session?.leaseId,
    )
  })

  test('gives up votes and leaderships before anybody can count on it', async () => {
    const replicas = Array.from({ length: 300 }, (_, p) => (p % 2 === 0 ? [1, 2, 3] : [2, 1, 3]))
    const id = world.addTopic('t', replicas, 2)
    const only = world.addTopic('only', [[1]])
    const elsewhere = { ...ledByFirst([2, 1, 3]), isr: [2], elr: [1] }
    const put = [{ key: `/partitions/${id}/5`, value: encodePartition(elsewhere) }]
    world.store.transact({ compare: [], put }, 'test')
    const member = world.boot(1)
    member.local = (topicId, partition) => {
      if (topicId === only) return 'loss-possible'
      return partition < 10 ? 'lost' : partition < 20 ? 'loss-possible' : 'kept'
    }
    const seen: number[] = []
    member.handle.loseAnswer = () => seen.push(seen.length) % 3 === 0
    await world.clock.run(member.start())
    await world.clock.runFor(5_000)
    for (let p = 0; p < 300; p++) {
      const { isr, elr, leader } = world.state(id, p)
      expect(elr).not.toContain(1)
      expect(isr.includes(1)).toBe(p >= 20)
      if (p < 20) expect(leader).not.toBe(1)
    }
    expect(world.state(id, 5)).toEqual({ ...elsewhere, elr: [], leaderEpoch: 1, leader: -1 })
    expect(world.state(only, 0)).toMatchObject({ leader: 1, leaderEpoch: 2 })
  })

  test('hands leaderships over before it stops, and keeps what nobody can take', async () => {
    for (const id of [1, 2, 3]) await world.join(id)
    const id = world.addTopic(
      't',
      Array.from({ length: 300 }, () => [3, 1, 2]),
    )
    const alone = world.addTopic('alone', [[3]])
    const behind = { ...ledByFirst([3, 1]), isr: [3] }
    const late = world.addTopic('late', [[3, 1]])
    const put = [{ key: `/partitions/${late}/0`, value: encodePartition(behind) }]
    world.store.transact({ compare: [], put }, 'test')
    await world.clock.runFor(1_000)
    const member = world.member(3)
    const isFresh = () => member.registration.isFresh(member.clock.monotonicMs())
    const resigning = member.registration.resign(NEVER, async () => expect(isFresh()).toBe(true))
    const handover = await world.clock.run(resigning)
    expect(handover).toEqual({ moved: 300, kept: 2 })
    expect(isFresh()).toBe(false)
    expect(world.leaders(id)).not.toContain(3)
    expect(world.state(id, 0).isr).toEqual([3, 1, 2])
    expect(member.metadata.image.nodes.get(3)?.draining).toBe(true)
    expect(member.registration.session?.incarnation).toBe(incarnation(3))
    await world.clock.run(member.stop())
    await world.clock.runFor(1_000)
    expect([...world.leaders(alone), ...world.leaders(late)]).toEqual([-1, -1])
  })

  test('handing over ends with its signal when the store is away', async () => {
    const member = await leaderWithStoreAway()
    const stop = new AbortController()
    const resigning = member.registration.resign(stop.signal)
    await world.clock.runFor(500)
    stop.abort()
    expect(await world.clock.run(resigning)).toEqual({ moved: 0, kept: 1 })
  })

  test('a store that is away is not waited for long; what was taken is answered all the same', async () => {
    const member = await leaderWithStoreAway()
    let settled = 0
    const startMs = world.clock.monotonicMs()
    const resigning = member.registration.resign(NEVER, async () => void settled++)
    expect(await world.clock.run(resigning)).toEqual({ moved: 0, kept: 1 })
    expect(world.clock.monotonicMs() - startMs).toBeLessThan(3_001)
    expect(settled).toBe(1)
    expect(member.said('this node leaves without handing over all that it leads')).toEqual([
      { kept: 1, why: expect.stringContaining('metadata store') },
    ])
  })

  test('a store that goes away amid the handing over is not waited for long', async () => {
    const member = await leaderWithStoreAway()
    member.handle.heal()
    const startMs = world.clock.monotonicMs()
    const away = async () => void world.clock.timer(10, () => (member.handle.faults.away = true))
    member.handle.faults.latencyMs = 500
    const resigning = member.registration.resign(NEVER, away)
    expect(await world.clock.run(resigning)).toEqual({ moved: 0, kept: 1 })
    expect(world.clock.monotonicMs() - startMs).toBeLessThan(6_000)
    expect(member.said('this node leaves without handing over all that it leads')).toHaveLength(1)
  })

  test('a store that hesitates is waited for', async () => {
    const member = await leaderWithStoreAway()
    member.handle.heal()
    let calls = 0
    const { get } = member.handle
    member.handle.get = async (key) => {
      if (++calls <= 3) throw new Error('nobody listens')
      return await get.call(member.handle, key)
    }
    const handover = await world.clock.run(member.registration.resign(NEVER))
    expect(handover).toEqual({ moved: 1, kept: 0 })
    expect(member.metadata.image.nodes.get(2)?.draining).toBe(true)
  })

  async function leaderWithStoreAway(): Promise<Member> {
    for (const id of [1, 2]) await world.join(id)
    world.addTopic('t', [[2, 1]])
    await world.clock.runFor(1_000)
    const member = world.member(2)
    member.handle.faults.away = true
    return member
  }

  test('another process that takes the id meanwhile ends this one', async () => {
    const member = await world.join(1)
    member.handle.faults.away = true
    await world.clock.runFor(2 * TTL_MS)
    await world.join(1, { directoryId: 'another', acceptNewDirectory: true })
    member.handle.heal()
    await world.clock.runFor(TTL_MS)
    expect(member.fatal).toMatchObject([{ message: expect.stringContaining('in use') }])
    expect(member.registration.session).toBeUndefined()
  })
})
