/** Records that are deleted while replicas are away, or leaders change. */
import type { SimNode } from '../sim-node.ts'
import type { Scenario } from './scenario.ts'

const COMPACTED = {
  cleanup: 'compact',
  minCleanableDirtyRatio: 0,
  deleteRetentionMs: 1_000,
  segmentMs: 1_000,
} as const

/** The log of the leader starts amid a batch, behind all that a follower has. */
const startAmidBatch: Scenario = {
  name: 'log-starts-amid-a-batch',
  async play(stage) {
    await stage.written()
    const b = stage.followers[0] as SimNode
    stage.down(b)
    await stage.until('the follower is out', () => !stage.record.isr.includes(b.id))
    for (let i = 0; i < 4; i++) await stage.writtenTogether(5)
    const end = stage.view(stage.leader)?.highWatermark ?? 0
    await stage.deleteBelow(end - 3)
    stage.check(stage.view(stage.leader)?.startOffset === end - 3, 'the log starts amid a batch')
    await stage.upAndRunning(b)
    await stage.until('the follower is in sync', () => stage.isAtRest())
    stage.check(stage.view(b)?.startOffset === end - 3, 'and starts at the same record')
    await stage.written()
  },
}

/** A deletion that was answered outlives the leader that answered it. */
const deletedForGood: Scenario = {
  name: 'deleted-records-stay-away',
  async play(stage) {
    for (let round = 0; round < 6; round++) {
      for (let i = 0; i < 3; i++) await stage.writtenTogether(3)
      const end = stage.view(stage.leader)?.highWatermark ?? 0
      const before = end - 1 - round
      await stage.deleteBelow(before)
      const a = stage.leader
      stage.down(a)
      const other = await stage.otherLeader(a)
      stage.check(
        (stage.view(other)?.startOffset ?? 0) >= before,
        'the new leader has deleted them too',
      )
      await stage.upAndRunning(a)
      await stage.until('all are in sync', () => stage.isAtRest())
    }
  },
}

/** A replica is away while keys are deleted, for longer than that is remembered: it must not bring them back. */
const missedDeletion: Scenario = {
  name: 'replica-misses-the-deletion-of-keys',
  topic: COMPACTED,
  async play(stage) {
    for (let i = 0; i < 20; i++) await stage.written()
    await stage.until('all are in sync', () => stage.isAtRest())
    const b = stage.followers[0] as SimNode
    stage.down(b)
    // The last record of one key of these is its deletion.
    for (let i = 0; i < 24; i++) {
      await stage.written()
      await stage.sleep(300)
    }
    await stage.sleep(20_000)
    const a = stage.leader
    stage.check((stage.view(a)?.purgedEnd ?? 0) > 0, 'deletions are forgotten')
    await stage.upAndRunning(b)
    await stage.until('all are in sync', () => stage.isAtRest())
    stage.down(a)
    await stage.otherLeader(a)
    await stage.upAndRunning(a)
  },
}

/** A leader that nobody copies has later records of some keys, which are never committed. */
const uncommittedReplacements: Scenario = {
  name: 'leader-has-records-of-keys-that-are-never-committed',
  topic: COMPACTED,
  async play(stage) {
    for (let i = 0; i < 20; i++) await stage.written()
    await stage.until('all are in sync', () => stage.isAtRest())
    const a = stage.leader
    for (const { name } of stage.followers) stage.network.block(name, a.name)
    const committed = stage.view(a)?.highWatermark
    for (let i = 0; i < 4; i++) {
      stage.check((await stage.produce(1)) === 'written', 'the leader alone takes it')
      await stage.sleep(1_500)
    }
    await stage.sleep(20_000)
    stage.check(stage.view(a)?.highWatermark === committed, 'nothing more is committed')
    stage.down(a)
    stage.network.heal()
    await stage.otherLeader(a)
    await stage.upAndRunning(a)
  },
}

export const DELETIONS: readonly Scenario[] = [
  startAmidBatch,
  deletedForGood,
  missedDeletion,
  uncommittedReplacements,
]
