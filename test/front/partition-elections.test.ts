import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { PartitionState } from '../../src/core/partition-state.ts'
import type { Logger } from '../../src/env/logger.ts'
import { nullLogger } from '../../src/env/logger.ts'
import { PartitionElections } from '../../src/front/partition-elections.ts'
import { nodeKey, partitionMetadataKey } from '../../src/metadata/metadata-keys.ts'
import {
  decodePartition,
  encodePartition,
  encodeRecord,
} from '../../src/metadata/metadata-records.ts'
import type { MetadataStore, Transaction } from '../../src/metadata/metadata-store.ts'
import { makeFollowedStore } from '../metadata/temp-store.ts'
import { NEVER, name, topicId, topicPut } from '../metadata/topic-fixtures.ts'

const ID = topicId(1)
const KEY = partitionMetadataKey(ID, 0)
const STATE: PartitionState = {
  replicas: [1, 2, 3],
  leader: -1,
  leaderEpoch: 4,
  isr: [1],
  elr: [2],
  state: 'active',
}

describe('PartitionElections', () => {
  let base: Awaited<ReturnType<typeof makeFollowedStore>>
  let logged: object[]
  let beforeWrite: (() => Promise<unknown>) | undefined
  let losesAnswers: number
  let isAway: boolean
  let handBack: (() => Promise<boolean>) | undefined

  beforeEach(async () => {
    base = await makeFollowedStore()
    logged = []
    beforeWrite = undefined
    losesAnswers = 0
    isAway = false
    handBack = undefined
  })
  afterEach(() => base.close())

  /** The store with somebody who is faster, or with answers that are lost. */
  const store: Pick<MetadataStore, 'get' | 'transact'> = {
    get: (key) => base.store.get(key),
    transact: async (transaction: Transaction) => {
      const meanwhile = beforeWrite
      beforeWrite = undefined
      await meanwhile?.()
      if (isAway) throw new Error('away')
      const outcome = await base.store.transact(transaction)
      if (losesAnswers-- > 0) throw new Error('no answer')
      return outcome
    },
  }

  async function setUp(state: Partial<PartitionState>, up: readonly number[]): Promise<void> {
    const nodes = up.map((id) => ({
      key: nodeKey(id),
      value: encodeRecord({ url: '', rack: '', draining: id === 3, diskFull: id === 4 }),
    }))
    const partition = { key: KEY, value: encodePartition({ ...STATE, ...state }) }
    const topic = topicPut('t', ID, 1, { minInsyncReplicas: 2, replicationFactor: 3 })
    const { revision } = await base.store.transact({
      compare: [],
      put: [...nodes, partition, topic],
    })
    await base.follower.waitForVersion(revision, NEVER)
  }

  function elections() {
    const log = (fields: object) => void logged.push(fields)
    const logger: Logger = { ...nullLogger, warn: log }
    const deps = { ...base, store, view: base.follower, logger }
    const service = new PartitionElections({ ...deps, ...(handBack && { handBack }) })
    const topic = base.follower.image.topics.get(name('t'))!
    const place = { topic, partition: 0, requestId: 'r-1' }
    return {
      preferred: () => service.electPreferred(place, NEVER),
      unclean: (node: number) => service.electUnclean(place, node, NEVER),
    }
  }

  const stored = async () => decodePartition((await base.store.get(KEY))!.value)
  const register = (id: number) => ({ key: nodeKey(id), value: '{"url":"","rack":""}' })

  test('an unclean election begins anew with that replica, visibly, and leaves a trace', async () => {
    await setUp({}, [3])
    const elected = await elections().unclean(3)
    const wanted = {
      ...STATE,
      leader: 3,
      leaderEpoch: 5,
      isr: [3],
      elr: [],
      unclean: { atMs: base.clock.nowMs(), leaderEpoch: 5 },
    }
    expect(elected).toEqual(wanted)
    expect(await stored()).toEqual(wanted)
    expect(base.follower.image.topicsById.get(ID)?.partitions[0]).toMatchObject(wanted)
    expect(logged).toEqual([
      { requestId: 'r-1', topic: 't', partition: 0, node: 3, leaderEpoch: 5 },
    ])
  })

  test.each([
    ['the leader', { leader: 1, isr: [1, 3], elr: [] }, [1, 3]],
    ['a member of the ISR', {}, [1, 3]],
    ['a member of the ELR', {}, [2, 3]],
  ])('is refused while %s is up', async (_, state, up) => {
    await setUp(state, up)
    await expect(elections().unclean(3)).rejects.toMatchObject({ code: 'election-refused' })
    expect(await stored()).toEqual({ ...STATE, ...state })
    expect(logged).toEqual([])
  })

  test('is refused for a node that is not up, or is no replica', async () => {
    await setUp({}, [0])
    await expect(elections().unclean(3)).rejects.toMatchObject({ code: 'election-refused' })
    await expect(elections().unclean(0)).rejects.toMatchObject({ code: 'invalid-request' })
  })

  test('somebody who holds everything and comes at the last moment stops it', async () => {
    await setUp({}, [3])
    beforeWrite = () => base.store.transact({ compare: [], put: [register(2)] })
    await expect(elections().unclean(3)).rejects.toMatchObject({ code: 'election-refused' })
    expect(await stored()).toEqual(STATE)
  })

  test('a node that goes at the last moment does not become the leader', async () => {
    await setUp({}, [3])
    beforeWrite = () => base.store.transact({ compare: [], put: [], remove: [nodeKey(3)] })
    await expect(elections().unclean(3)).rejects.toMatchObject({ code: 'election-refused' })
    expect((await stored()).leader).toBe(-1)
  })

  test('an answer that is lost: elected once', async () => {
    await setUp({}, [3])
    losesAnswers = 1
    expect(await elections().unclean(3)).toMatchObject({ leader: 3, leaderEpoch: 5 })
    expect((await stored()).leaderEpoch).toBe(5)
    expect(logged).toHaveLength(1)
  })

  test('a store that never answers leaves the outcome unknown', async () => {
    await setUp({ leader: 2, isr: [1, 2], elr: [] }, [1])
    beforeWrite = () => Promise.reject(new Error('away'))
    expect(await elections().preferred()).toMatchObject({ leader: 1, leaderEpoch: 5 })
    isAway = true
    await setUp({ leader: 2, isr: [1, 2], elr: [] }, [1])
    await expect(elections().preferred()).rejects.toMatchObject({ code: 'outcome-unknown' })
  })

  test('the preferred leader takes over from one that is down when it is up and in sync', async () => {
    await setUp({ leader: 2, isr: [1, 2, 3], elr: [] }, [1, 3])
    expect(await elections().preferred()).toMatchObject({ leader: 1, leaderEpoch: 5, isr: [1, 3] })
    expect(await elections().preferred()).toMatchObject({ leader: 1, leaderEpoch: 5 })
  })

  test('the leader is asked to hand over, and nothing is written where it did', async () => {
    await setUp({ leader: 2, isr: [1, 2], elr: [] }, [1, 2])
    const next = { ...STATE, leader: 1, leaderEpoch: 5, isr: [1, 2], elr: [] }
    handBack = async () => {
      const put = [{ key: KEY, value: encodePartition(next) }]
      return (await base.store.transact({ compare: [], put })).succeeded
    }
    isAway = true
    expect(await elections().preferred()).toEqual(next)
  })

  test('a leader that is up and does not hand over stays: it would not know who leads', async () => {
    await setUp({ leader: 2, isr: [1, 2], elr: [] }, [1, 2])
    handBack = async () => false
    const refusal = { code: 'election-refused', message: expect.stringContaining('node 2') }
    await expect(elections().preferred()).rejects.toMatchObject(refusal)
    expect((await stored()).leaderEpoch).toBe(4)
  })

  test.each([
    ['is not up', { leader: 2, isr: [1, 2] }, [2]],
    ['is not in sync', { leader: 2, isr: [2] }, [1, 2]],
    ['has a full disk', { replicas: [4, 2], leader: 2, isr: [2, 4], elr: [] }, [2, 4]],
    ['is about to stop', { replicas: [3, 2], leader: 2, isr: [2, 3], elr: [] }, [2, 3]],
  ])('the preferred leader that %s is refused', async (why, state, up) => {
    await setUp({ elr: [], ...state }, up)
    const refusal = { code: 'election-refused', message: expect.stringContaining(why) }
    await expect(elections().preferred()).rejects.toMatchObject(refusal)
  })
})
