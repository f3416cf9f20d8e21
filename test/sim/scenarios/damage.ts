/** Bits that turn over on a disk: whoever has them gives up its votes, and is filled again from the others. */
import { checkBatch } from '../../../src/core/record-batch.ts'
import type { SimNode } from '../sim-node.ts'
import type { Scenario, Stage } from './scenario.ts'

/** After it all that is written is in segments, and the journal is free. */
const CHECKPOINT_MS = 6_000
const BLOCK_BYTES = 4096

/** In the first batch of each segment of the partition. */
function damageSegments(node: SimNode): void {
  const isOurs = (path: string) => path.startsWith('/data/logs/t-') && path.endsWith('.log')
  const paths = node.disk.paths().filter(isOurs)
  for (const path of paths) node.disk.flipBit(path, 80, 3)
}

/** All groups but the last, so that it cannot be taken for what a crash tore. */
function damageJournal({ disk }: SimNode): void {
  for (const path of disk.paths().filter((one) => one.startsWith('/data/journal/'))) {
    const last = disk.contents(path).findLastIndex((byte) => byte !== 0)
    for (let at = 60; at < last - BLOCK_BYTES; at += BLOCK_BYTES) disk.flipBit(path, at, 5)
  }
}

async function someWritten(stage: Stage): Promise<void> {
  for (let i = 0; i < 8; i++) await stage.writtenTogether(3)
  await stage.until('all are in sync', () => stage.isAtRest())
  await stage.sleep(CHECKPOINT_MS)
}

const leaderReadsDamage: Scenario = {
  name: 'leader-meets-damage-in-a-segment',
  memoryBytes: 0,
  async play(stage) {
    await someWritten(stage)
    const a = stage.leader
    damageSegments(a)
    const end = stage.view(a)?.highWatermark
    stage.check((await stage.readAll()) === end, 'all can be read')
    stage.check(stage.record.leader !== a.id, 'another one leads')
    await stage.written()
    await stage.until('the log is whole again', () => stage.isAtRest())
  },
}

const followerReadsDamage: Scenario = {
  name: 'follower-meets-damage-in-a-segment',
  memoryBytes: 0,
  async play(stage) {
    await someWritten(stage)
    const [b, c] = stage.followers as [SimNode, SimNode]
    for (const node of [b, c]) {
      // The other one is there, and whole.
      damageSegments(node)
      await stage.restartAsLeader(node)
      const end = stage.view(stage.leader)?.highWatermark
      stage.check((await stage.readAll()) === end, 'all can be read')
      stage.check(stage.record.leader !== node.id, 'another one leads')
      await stage.until('the log is whole again', () => stage.isAtRest())
    }
  },
}

/**
 * To cut a log its segment is walked: what cannot be read must not be taken for its end. Nobody
 * knows of the damage yet, and the node has a vote.
 */
const cutsDamagedLog: Scenario = {
  name: 'follower-cuts-a-damaged-log',
  async play(stage) {
    await someWritten(stage)
    const a = stage.leader
    const [b, c] = stage.followers as [SimNode, SimNode]
    stage.down(c)
    await stage.until('one is out', () => stage.record.isr.length === 2)
    stage.network.partition([a.name], [b.name])
    for (let i = 0; i < 3; i++) await stage.produce(1)
    stage.down(a)
    stage.network.heal()
    await stage.otherLeader(a)
    stage.check(stage.record.elr.includes(a.id), 'it is eligible')
    await stage.produce(1)
    damageSegments(a)
    stage.up(a)
    while (stage.view(a) === undefined) await stage.sleep(0.02)
    const forked = stage.view(a)?.endOffset
    const isForked = () => stage.view(a)?.endOffset === forked && stage.view(a)?.damaged === false
    while (isForked()) await stage.sleep(0.02)
    stage.cluster.invariants.look()
    await stage.until('the log is whole again', () => stage.record.isr.includes(a.id))
    await stage.written()
    await stage.upAndRunning(c)
  },
}

/** A node that starts on a damaged journal leads nothing of it, and has all again after a while. */
const damagedJournal: Scenario = {
  name: 'journal-damaged-across-a-restart',
  async play(stage) {
    for (let round = 0; round < 4; round++) {
      for (let i = 0; i < 6; i++) await stage.writtenTogether(3)
      const a = stage.leader
      stage.down(a)
      await stage.otherLeader(a)
      damageJournal(a)
      await stage.written()
      await stage.upAndRunning(a)
      await stage.until('all are in sync', () => stage.isAtRest())
    }
  },
}

/** Bytes change between leader and follower, which the network does not notice. */
const changedOnTheWay: Scenario = {
  name: 'records-change-on-the-way',
  async play(stage) {
    let changed = 0
    stage.network.tamper = ({ path }, piece) => {
      const isBatch = checkBatch(piece, 0, piece.length) === 'valid'
      if (!path.endsWith('/replica-fetch') || !isBatch || changed >= 40) return piece
      const bytes = new Uint8Array(piece)
      // Also where no checksum sees it: in the offset that the batch begins at.
      const at = changed++ % 2 === 0 ? bytes.length - 3 : 7
      bytes[at] = (bytes[at] as number) ^ 4
      return bytes
    }
    for (let i = 0; i < 10; i++) await stage.written()
    stage.check(changed > 10, 'bytes were changed')
    await stage.until('all are in sync', () => stage.isAtRest())
  },
}

/** Nobody else has the records: what can be read goes on to be served. */
const aloneWithDamage: Scenario = {
  name: 'damage-in-the-only-replica-in-sync',
  topic: { minInsyncReplicas: 1 },
  memoryBytes: 0,
  async play(stage) {
    await someWritten(stage)
    const a = stage.leader
    for (const node of stage.followers) stage.down(node)
    await stage.until('it is alone', () => stage.record.isr.length === 1)
    damageSegments(a)
    stage.check((await stage.readAll()) === 'partition-damaged', 'its readers are told')
    stage.check((await stage.produce()) === 'written', 'it goes on to be written to')
    stage.check(stage.record.leader === a.id, 'it still leads')
    // The same bits turn back.
    damageSegments(a)
    for (const node of stage.cluster.nodes) if (node !== a) stage.up(node)
  },
}

export const DAMAGES: readonly Scenario[] = [
  leaderReadsDamage,
  followerReadsDamage,
  cutsDamagedLog,
  damagedJournal,
  aloneWithDamage,
  changedOnTheWay,
]
