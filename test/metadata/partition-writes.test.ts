import { beforeEach, describe, expect, test } from 'vitest'
import type { PartitionState } from '../../src/core/partition-state.ts'
import { SeededRandom } from '../../src/env/seeded-random.ts'
import { nodeKey, partitionMetadataKey } from '../../src/metadata/metadata-keys.ts'
import { decodePartition, encodePartition } from '../../src/metadata/metadata-records.ts'
import type { Transaction } from '../../src/metadata/metadata-store.ts'
import type { PartitionChange } from '../../src/metadata/partition-writes.ts'
import { writePartitions } from '../../src/metadata/partition-writes.ts'
import { SimClock } from '../sim/sim-clock.ts'
import { SimStore } from '../sim/sim-store.ts'
import { SimStoreHandle } from '../sim/sim-store-handle.ts'
import { NEVER, topicId } from './topic-fixtures.ts'

const ID = topicId(1)
const STATE: PartitionState = {
  replicas: [1, 2],
  leader: 1,
  leaderEpoch: 3,
  isr: [1, 2],
  elr: [],
  state: 'active',
}
const NEXT: PartitionState = { ...STATE, leader: 2, leaderEpoch: 4 }

describe('writePartitions', () => {
  let clock: SimClock
  let store: SimStore
  let handle: SimStoreHandle
  let sent: Transaction[]

  beforeEach(() => {
    clock = new SimClock()
    store = new SimStore(clock)
    const random = new SeededRandom(1)
    handle = new SimStoreHandle({ store, clock, outside: clock, random, name: 'test' })
    sent = []
    handle.loseAnswer = (transaction) => {
      sent.push(transaction)
      return false
    }
    put('/office', '{}')
    put(nodeKey(2), '{}')
  })

  const put = (key: string, value: string) =>
    store.transact({ compare: [], put: [{ key, value }] }, 'test').revision
  const stored = (partition: number) =>
    decodePartition(store.get(partitionMetadataKey(ID, partition))!.value)

  function changes(count: number): PartitionChange[] {
    return Array.from({ length: count }, (_, partition) => ({
      topicId: ID,
      partition,
      seenRevision: put(partitionMetadataKey(ID, partition), encodePartition(STATE)),
      next: NEXT,
      leaderIncarnation: store.get(nodeKey(2))!.createRevision,
    }))
  }

  const write = (list: readonly PartitionChange[], conflicts = 0) => {
    const equals = store.get('/office')?.createRevision ?? -1
    const authority = [{ key: '/office', target: 'createRevision', equals }] as const
    return clock.run(writePartitions(handle, list, { authority, conflicts }, NEVER))
  }

  test('writes many in few transactions, and names a revision that shows all', async () => {
    const list = changes(300)
    const { written, refused, revision, error } = await write(list)
    expect([written.length, refused.length, error]).toEqual([300, 0, undefined])
    expect(revision).toBe(store.revision)
    expect(sent.map((transaction) => transaction.put.length).toSorted(byNumber)).toEqual([
      48, 126, 126,
    ])
    expect(stored(299)).toEqual(NEXT)
  })

  test('transactions become smaller with conflicts', async () => {
    await write(changes(10), 4)
    expect(sent).toHaveLength(10)
  })

  test('what was changed meanwhile is refused, with all that share its transaction', async () => {
    const list = changes(200)
    put(partitionMetadataKey(ID, 3), encodePartition({ ...STATE, isr: [1] }))
    const { written, refused, error } = await write(list)
    expect([written.length, refused.length, error]).toEqual([74, 126, undefined])
    expect(stored(3).isr).toEqual([1])
    expect(stored(4)).toEqual(STATE)
  })

  test('a leader that was restarted since does not become it', async () => {
    const list = changes(2)
    store.transact({ compare: [], put: [], remove: [nodeKey(2)] }, 'test')
    put(nodeKey(2), '{}')
    expect((await write(list)).refused).toHaveLength(2)
    expect(stored(0)).toEqual(STATE)
  })

  test('a leader that stays is not asked for', async () => {
    const { leaderIncarnation: _, ...change } = changes(1)[0]!
    store.transact({ compare: [], put: [], remove: [nodeKey(2)] }, 'test')
    expect((await write([change])).written).toHaveLength(1)
  })

  test('without the right to write nothing is written', async () => {
    const list = changes(2)
    const equals = store.get('/office')!.createRevision
    store.transact({ compare: [], put: [], remove: ['/office'] }, 'test')
    put('/office', '{}')
    const authority = [{ key: '/office', target: 'createRevision', equals }] as const
    const outcome = await clock.run(writePartitions(handle, list, { authority }, NEVER))
    expect(outcome.refused).toHaveLength(2)
    expect(stored(0)).toEqual(STATE)
  })

  test('an answer that is lost: written if the store says so, refused if it does not', async () => {
    handle.loseAnswer = () => true
    const { written, revision, error } = await write(changes(2))
    expect([written.length, error]).toEqual([2, undefined])
    expect(revision).toBe(store.revision)
    handle.faults.away = true
    const away = await write(changes(2))
    expect([away.written.length, away.refused.length]).toEqual([0, 2])
    expect(away.error).toBeInstanceOf(Error)
  })

  test('an abort ends the wait', async () => {
    const stop = new AbortController()
    const writing = writePartitions(handle, changes(2), { authority: [] }, stop.signal)
    stop.abort(new Error('enough'))
    await expect(clock.run(writing)).rejects.toThrow('enough')
  })
})

const byNumber = (a: number, b: number) => a - b
