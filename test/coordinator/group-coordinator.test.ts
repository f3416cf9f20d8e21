import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { GroupCoordinator } from '../../src/coordinator/group-coordinator.ts'
import type { GroupId, MemberId } from '../../src/core/group-settings.ts'
import type { TopicId, TopicName } from '../../src/core/ids.ts'
import { nullLogger } from '../../src/env/logger.ts'
import { ServiceError } from '../../src/lib/service-error.ts'
import type { ReplicaManager } from '../../src/replication/replica-manager.ts'
import type { GroupCall, GroupCallKind, GroupReply } from '../../src/wire/group-calls.ts'
import { NEVER, ReplicaHarness } from '../replication/replica-harness.ts'

const groupId = 'g' as GroupId
const memberId = 'm1' as MemberId

describe('the coordinators of a node', () => {
  let harness: ReplicaHarness
  let storage: ReplicaManager
  let coordinator: GroupCoordinator
  let orders: TopicId

  beforeEach(async () => {
    harness = new ReplicaHarness({ maxUnwrittenBytes: 1024 * 1024 })
    storage = await harness.open()
    orders = harness.metadata.put('orders', {}, 3)
    harness.metadata.put('__offsets', {}, 2)
    coordinator = coordinators()
  })

  afterEach(async () => {
    await coordinator.close()
    await storage.close()
  })

  function coordinators(): GroupCoordinator {
    const { clock, metadata } = harness
    return new GroupCoordinator({ clock, metadata, storage, logger: nullLogger }, { nodeId: 1 })
  }

  /** Asks until the coordinator is loaded. */
  async function ask<K extends GroupCallKind>(
    kind: K,
    command: GroupCall<K>['command'],
    signal = NEVER,
  ): Promise<GroupReply<K>> {
    for (let n = 0; n < 1_000; n++) {
      try {
        return await coordinator.call(1, { kind, command } as GroupCall<K>, signal)
      } catch (error) {
        if (!(error instanceof ServiceError) || error.code !== 'coordinator-loading') throw error
        await harness.clock.runFor(10)
      }
    }
    throw new Error('the coordinator is not loaded')
  }

  const join = () =>
    ask('join', {
      groupId,
      memberId,
      subscription: { topics: ['orders' as TopicName] },
      from: 'earliest',
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: 10_000,
    })

  const starts = () =>
    [0, 1, 2].map((partition) => ({ topicId: orders, partition, offset: 5, leaderEpoch: 0 }))

  test('say the same after the process has ended, and after power failed', async () => {
    await join()
    await ask('startAt', { groupId, starts: starts() })
    const told = await ask('describe', { groupId })
    const offsets = await ask('offsets', { groupId })
    expect(offsets).toHaveLength(3)
    for (const end of ['kill', 'crash'] as const) {
      const closing = coordinator.close()
      harness[end]()
      await closing
      storage = await harness.open()
      coordinator = coordinators()
      expect(await ask('describe', { groupId })).toEqual(told)
      expect(await ask('offsets', { groupId })).toEqual(offsets)
    }
  })

  test('are given up with the leadership, and loaded again under the next epoch', async () => {
    await join()
    harness.metadata.put('__offsets', {}, 2, 3)
    expect(coordinator.partitions).toBe(2)
    const described = await ask('describe', { groupId })
    expect(described.members.map((member) => member.memberId)).toEqual([memberId])
  })

  test('do not answer for partitions of others', async () => {
    const call = { kind: 'describe', command: { groupId } } as const
    await expect(coordinator.call(7, call, NEVER)).rejects.toMatchObject({
      code: 'partition-unavailable',
    })
  })

  test('tell those who wait of a change, and nobody before', async () => {
    const { memberEpoch } = await join()
    await ask('startAt', { groupId, starts: starts() })
    const at = { groupId, memberId, memberEpoch }
    const { version } = await ask('view', at)
    let told: unknown
    const waiting = ask('awaitChange', { ...at, version, waitMs: 60_000 }).then((view) => {
      told = view.assigned.length
    })
    await harness.clock.runFor(5_000)
    expect([told, coordinator.watches]).toEqual([undefined, 1])
    await ask('heartbeat', at)
    harness.metadata.put('more', {}, 1)
    await ask('join', {
      groupId,
      memberId: 'm2' as MemberId,
      subscription: { topics: ['orders' as TopicName] },
      from: 'earliest',
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: 10_000,
    })
    await waiting
    expect([told, coordinator.watches]).toEqual([2, 0])
  })

  test('who waits is answered in time, and left when it goes', async () => {
    const { memberEpoch, version } = await join()
    const at = { groupId, memberId, memberEpoch, version }
    const late = ask('awaitChange', { ...at, waitMs: 3_000 })
    await harness.clock.runFor(3_001)
    expect((await late).version).toBe(version)
    const stop = new AbortController()
    const left = ask('awaitChange', { ...at, waitMs: 60_000 }, stop.signal)
    await harness.clock.runFor(10)
    stop.abort(new ServiceError('draining', 'gone'))
    await expect(left).rejects.toMatchObject({ code: 'draining' })
    expect(coordinator.watches).toBe(0)
  })
})
