/** What a coordinator reads before it answers: all that its log has, committed. */
import { beforeEach, expect, test } from 'vitest'
import { CoordinatorRuntime } from '../../src/coordinator/coordinator-runtime.ts'
import { GROUP_CODEC } from '../../src/coordinator/group-codec.ts'
import type { GroupRecord } from '../../src/coordinator/group-records.ts'
import { GroupShard } from '../../src/coordinator/group-shard.ts'
import { StorageLog } from '../../src/coordinator/storage-log.ts'
import type { GroupId } from '../../src/core/group-settings.ts'
import type { TopicId } from '../../src/core/ids.ts'
import { encodeBatch, stampBatch } from '../../src/core/record-batch.ts'
import { nullLogger } from '../../src/env/logger.ts'
import type { GroupCall, GroupReply } from '../../src/wire/group-calls.ts'
import type { FetchResult } from '../../src/wire/internal.ts'
import { FakeMetadata, topicImage } from '../front/topics.ts'
import type { ScriptedFetch } from '../internal/scripted-storage.ts'
import { ScriptedStorage } from '../internal/scripted-storage.ts'
import { ClusterHarness, TOPIC_ID } from '../replication/cluster-harness.ts'
import { batchOf } from '../replication/replica-harness.ts'
import { SimClock } from '../sim/sim-clock.ts'

const NEVER = new AbortController().signal
const TOPIC = topicImage('t', 1)
const groupId = 'g' as GroupId
const PLACE = { topicId: 'f'.repeat(32) as TopicId, partition: 3, leaderEpoch: 5 }
const OFFSETS = { kind: 'offsets', command: { groupId } } as const

let clock: SimClock
let storage: ScriptedStorage
let runtime: CoordinatorRuntime<GroupCall, GroupReply, GroupRecord>

beforeEach(() => {
  clock = new SimClock()
  storage = new ScriptedStorage()
  // As on a new leader: what is at the end may have been committed by the one before.
  const bounds = { logStartOffset: 0, highWatermark: 1, logEndOffset: 2 }
  storage.offsetsAnswer = { ...bounds, sizeBytes: 200, leaderEpoch: 5 }
  const log = new StorageLog({ storage: Object.assign(storage, { find: () => undefined }) }, PLACE)
  runtime = new CoordinatorRuntime({
    clock,
    logger: nullLogger,
    metadata: new FakeMetadata([TOPIC]),
    log: {
      load: (signal) => log.load(signal),
      append: (...to) => log.append(...to),
      isCertain: true,
    },
    codec: GROUP_CODEC,
    makeShard: () => new GroupShard({ nodeId: 1, onChange: () => undefined }),
  })
})

/** A commit, as one batch at its offset. */
function commitAt(baseOffset: number, offset: number): FetchResult {
  const value = { offset, leaderEpoch: 1, metadata: '', committedAtMs: 0 }
  const record = { kind: 'offset', groupId, topicId: TOPIC.id, partition: 0, value } as const
  const batch = encodeBatch([GROUP_CODEC.encode(record, 0)])
  stampBatch(batch, { baseOffset, leaderEpoch: 4 })
  return {
    ok: true,
    topicId: PLACE.topicId,
    partition: PLACE.partition,
    batches: [batch],
    nextOffset: baseOffset + 1,
    highWatermark: baseOffset + 1,
    logStartOffset: 0,
    release: () => undefined,
  }
}

const fetched = (): Promise<ScriptedFetch> => clock.run(storage.fetches.next())
const asked = () => clock.run(runtime.submit(OFFSETS, NEVER))

test('a coordinator says nothing before it has read its log to the end, however long that is not committed', async () => {
  const first = await fetched()
  expect(first.request.positions).toMatchObject([{ ...place(), offset: 0 }])
  await expect(asked()).rejects.toMatchObject({ code: 'coordinator-loading' })
  first.answer([commitAt(0, 10)])
  for (let i = 0; i < 3; i++) {
    const next = await fetched()
    expect(next.request.positions).toMatchObject([{ ...place(), offset: 1 }])
    await expect(asked()).rejects.toMatchObject({ code: 'coordinator-loading' })
    // Nothing was committed while it waited.
    next.answer([])
  }
  const last = await fetched()
  last.answer([commitAt(1, 20)])
  await clock.runFor(1)
  expect(await asked()).toMatchObject([{ topicId: TOPIC.id, partition: 0, offset: 20 }])
})

test('a coordinator that cannot read its log begins anew', async () => {
  const first = await fetched()
  first.answer([commitAt(0, 10)])
  const { topicId, partition } = PLACE
  const failure = { code: 'partition-unavailable', detail: 'no', committed: 'no' } as const
  ;(await fetched()).answer([{ ok: false, topicId, partition, ...failure }])
  await expect(asked()).rejects.toMatchObject({ code: 'coordinator-loading' })
  const again = await fetched()
  expect(again.request.positions).toMatchObject([{ ...place(), offset: 0 }])
})

test('a batch gets into the log only behind what the coordinator knows, and under its epoch', async () => {
  const cluster = new ClusterHarness({ replicas: [1, 2], config: { minInsyncReplicas: 2 } })
  for (const nodeId of [1, 2]) await cluster.start(nodeId)
  cluster.elect(1, { isr: [1] })
  const { manager } = cluster.node(1)
  const at = { topicId: TOPIC_ID, partition: 0, leaderEpoch: 1 }
  const log = new StorageLog({ storage: manager }, at)
  const append = (offset: number) => cluster.clock.run(log.append(batchOf(['x']), offset))
  expect(await append(0)).toMatchObject({ code: 'not-enough-replicas' })
  cluster.change({ isr: [1, 2] })
  // As when it was on its way behind the one that was refused.
  expect(await append(1)).toMatchObject({ code: 'precondition-failed', members: { tail: 0 } })
  expect(await append(0)).toMatchObject({ ok: true, baseOffset: 0 })
  cluster.elect(1)
  expect(await append(1)).toMatchObject({ code: 'partition-unavailable', committed: 'no' })
  expect(cluster.log(1).endOffset).toBe(1)
})

test('a coordinator is certain that it leads only while the node is registered for sure', async () => {
  const cluster = new ClusterHarness({ replicas: [1, 2] })
  for (const nodeId of [1, 2]) await cluster.start(nodeId)
  cluster.elect(1)
  const at = { topicId: TOPIC_ID, partition: 0, leaderEpoch: 1 }
  const logOf = (nodeId: number) => new StorageLog({ storage: cluster.node(nodeId).manager }, at)
  const certain = () => [1, 2].map((nodeId) => logOf(nodeId).isCertain)
  expect(certain()).toEqual([true, false])
  cluster.isFresh = false
  expect(certain()).toEqual([false, false])
})

function place() {
  return { topicId: PLACE.topicId, partition: PLACE.partition }
}
