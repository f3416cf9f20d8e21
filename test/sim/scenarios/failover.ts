/** Failovers that lost or forked records where followers were cut to their high watermark (KIP-101, KIP-279). */
import type { Scenario, Stage } from './scenario.ts'

const TWO = { replicationFactor: 2, minInsyncReplicas: 1 } as const

/** KIP-101, first figure: a follower that restarts, and then leads, must keep what it did not know to be committed. */
const lossByWatermark: Scenario = {
  name: 'kip-101-loss',
  topic: TWO,
  async play(stage) {
    await stage.written()
    const [a, b] = [stage.leader, stage.followers[0] as Stage['leader']]
    await stage.until('rest', () => stage.isAtRest())
    const before = stage.view(b)?.durableEnd ?? 0
    const written = stage.written()
    while (stage.view(b)?.durableEnd === before) await stage.sleep(0.05)
    // The follower has the record, says so, and never hears that it is committed.
    stage.network.block(a.name, b.name)
    await written
    const [at, bt] = [stage.view(a), stage.view(b)]
    stage.check(bt?.durableEnd === at?.highWatermark, 'the follower has all that is committed')
    stage.check((bt?.highWatermark ?? 0) < (at?.highWatermark ?? 0), 'and does not know it')
    stage.down(b)
    stage.down(a)
    stage.network.heal()
    await stage.upAndRunning(b)
    await stage.otherLeader(a)
    await stage.written()
  },
}

/** KIP-101, second figure: after both lost power, the one that comes first leads, and the other gives up its own end. */
const forkByWatermark: Scenario = {
  name: 'kip-101-fork',
  topic: TWO,
  async play(stage) {
    await stage.written()
    const [a, b] = [stage.leader, stage.followers[0] as Stage['leader']]
    stage.network.block(a.name, b.name)
    stage.network.block(b.name, a.name)
    stage.check((await stage.produce(1)) === 'written', 'the leader alone takes it')
    const [at, bt] = [stage.view(a), stage.view(b)]
    stage.check((at?.durableEnd ?? 0) > (bt?.endOffset ?? 0), 'the leader has more')
    stage.down(a, 'power')
    stage.down(b, 'power')
    stage.network.heal()
    await stage.upAndRunning(b)
    await stage.otherLeader(a)
    await stage.written()
    await stage.upAndRunning(a)
    await stage.until('both are in sync', () => stage.isAtRest())
  },
}

/** KIP-279: failovers so fast that three logs end in three epochs of their own. */
const zigzag: Scenario = {
  name: 'kip-279-zigzag',
  topic: { minInsyncReplicas: 1 },
  async play(stage) {
    await stage.written()
    await stage.until('rest', () => stage.isAtRest())
    const names = stage.cluster.nodes.map(({ name }) => name)
    const alone = (name: string) => {
      const others = names.filter((other) => other !== name)
      stage.network.partition([name], others)
    }
    const a = stage.leader
    alone(a.name)
    for (let i = 0; i < 2; i++) await stage.produce(1)
    stage.down(a)
    stage.network.heal()
    const b = await stage.otherLeader(a)
    alone(b.name)
    for (let i = 0; i < 3; i++) await stage.produce(1)
    stage.down(b)
    stage.network.heal()
    const c = await stage.otherLeader(b)
    for (let i = 0; i < 2; i++) await stage.written(1)
    const ends = [a, b].map((node) => node.name)
    stage.check(!ends.includes(c.name), 'the third node leads')
    await stage.upAndRunning(a)
    await stage.until('the first is in sync', () => stage.record.isr.includes(a.id))
    alone(c.name)
    for (let i = 0; i < 2; i++) await stage.produce(1)
    stage.down(c)
    stage.network.heal()
    await stage.upAndRunning(b)
    await stage.until('the first leads again', () => stage.record.leader === a.id)
    await stage.written(1)
    await stage.upAndRunning(c)
    await stage.until('all are in sync', () => stage.isAtRest())
  },
}

/** A new leader that dies before anything of its epoch is on its disk. */
const diesBeforeEpoch: Scenario = {
  name: 'leader-dies-before-its-epoch',
  async play(stage) {
    await stage.written()
    const a = stage.leader
    const dead = [a]
    for (const node of stage.followers) node.disk.latencyMs = 2_000
    stage.down(a)
    const b = await stage.otherLeader(a)
    stage.check(stage.view(b)?.leads === true, 'it leads')
    stage.down(b, 'power')
    dead.push(b)
    for (const node of stage.cluster.nodes) node.disk.latencyMs = undefined
    await stage.otherLeader(b)
    for (const node of dead) await stage.upAndRunning(node)
    await stage.written()
  },
}

/** The whole cluster loses power in the moment in which a record is acknowledged, while its disks are slow. */
const powerGoesWithTheAnswer: Scenario = {
  name: 'power-goes-with-the-acknowledgement',
  async play(stage) {
    await stage.written()
    await stage.until('rest', () => stage.isAtRest())
    // A disk may have got it by chance, though nobody waited for it.
    for (let round = 0; round < 5; round++) {
      for (const node of stage.cluster.nodes) node.disk.latencyMs = 500
      const outcome = await stage.produce()
      stage.check(outcome === 'written', 'a slow disk is no refusal')
      for (const node of stage.cluster.nodes) {
        node.disk.latencyMs = undefined
        stage.down(node, 'power')
      }
      for (const node of stage.cluster.nodes) await stage.upAndRunning(node)
      await stage.until('all are in sync', () => stage.isAtRest())
    }
    await stage.written()
  },
}

/** Sends a record that followers have on their disks before the leader has it on its own. */
async function sentAhead(stage: Stage): Promise<{ answered: Promise<unknown> }> {
  await stage.written()
  await stage.until('rest', () => stage.isAtRest())
  const before = stage.view(stage.leader)?.durableEnd ?? 0
  stage.leader.disk.latencyMs = 2_000
  const answered = stage.produce()
  const hasIt = (node: Stage['leader']) => (stage.view(node)?.durableEnd ?? 0) > before
  await stage.until('the followers have it', () => stage.followers.every(hasIt))
  const at = stage.view(stage.leader)
  stage.check(at?.durableEnd === before, 'the leader has it not')
  stage.check(at?.highWatermark === before, 'and it is not committed')
  return { answered }
}

/** A leader that loses power with records that only its followers have on their disks. */
const diesBeforeItsSync: Scenario = {
  name: 'leader-dies-before-its-own-sync',
  async play(stage) {
    const { answered } = await sentAhead(stage)
    const a = stage.leader
    stage.down(a, 'power')
    await stage.otherLeader(a)
    await stage.written()
    await stage.upAndRunning(a)
    await stage.until('all are in sync', () => stage.isAtRest())
    await answered
  },
}

/** The same, and it leads again before its followers are back: at their offsets are other records then. */
const leadsWithoutWhatItSent: Scenario = {
  name: 'leader-comes-back-without-what-it-sent',
  topic: { minInsyncReplicas: 1 },
  async play(stage) {
    const { answered } = await sentAhead(stage)
    const { leader: a, followers } = stage
    for (const node of followers) stage.down(node)
    stage.down(a, 'power')
    await stage.upAndRunning(a)
    await stage.until('it leads again', () => stage.view(a)?.leads === true)
    await stage.written()
    for (const node of followers) await stage.upAndRunning(node)
    await stage.until('all are in sync', () => stage.isAtRest())
    await answered
  },
}

/** Records wait behind a slow write, and are taken back as there is no room for another file of the journal. */
const takenBack: Scenario = {
  name: 'leader-takes-back-what-waits',
  async play(stage) {
    await stage.written()
    for (let round = 0; round < 6; round++) {
      const { leader } = stage
      leader.disk.latencyMs = 50
      leader.disk.fault = ({ kind }) => (kind === 'durable-open' ? 'ENOSPC' : undefined)
      const answers = Array.from({ length: 20 }, async (_, i) => {
        await stage.sleep(5 * i)
        return stage.produceTogether(1_000)
      })
      await Promise.all(answers)
      leader.disk.fault = () => undefined
      leader.disk.latencyMs = undefined
      await stage.written()
    }
    await stage.until('all are in sync', () => stage.isAtRest())
  },
}

/** A follower that is killed at any operation of its disk while it cuts its log. */
const diesWhileCutting: Scenario = {
  name: 'follower-dies-while-cutting',
  topic: { minInsyncReplicas: 1 },
  async play(stage) {
    for (let operation = 0; operation < 12; operation++) {
      await stage.written()
      await stage.until('rest', () => stage.isAtRest())
      const a = stage.leader
      const others = stage.followers.map(({ name }) => name)
      stage.network.partition([a.name], others)
      for (let i = 0; i < 3; i++) await stage.produce(1)
      stage.down(a)
      stage.network.heal()
      await stage.otherLeader(a)
      await stage.written()
      await stage.upAndRunning(a)
      let left = operation
      a.disk.fault = ({ kind }) => {
        const isWrite = kind !== 'read' && kind !== 'open'
        if (!isWrite || left-- > 0) return undefined
        // Dead in the midst of it; the machine goes on.
        stage.world.clock.timer(0, () => a.losePower())
        a.disk.fault = () => undefined
        return 'crash'
      }
      await stage.until('all are in sync again', () => stage.isAtRest(), 120_000)
      a.disk.fault = () => undefined
    }
  },
}

export const FAILOVERS: readonly Scenario[] = [
  lossByWatermark,
  forkByWatermark,
  zigzag,
  diesBeforeEpoch,
  powerGoesWithTheAnswer,
  diesBeforeItsSync,
  leadsWithoutWhatItSent,
  takenBack,
  diesWhileCutting,
]
