/** Changes of the in-sync replicas that let somebody in who must not be (KIP-903, KIP-966), or are half known. */
import type { SimNode } from '../sim-node.ts'
import type { Scenario } from './scenario.ts'

/** Longer than a lease lasts, and a start takes. */
const LONG_MS = 20_000

/** KIP-903: a replica that is let in while it comes back with an empty disk. */
const emptyReplicaSlipsIn: Scenario = {
  name: 'kip-903-empty-replica-slips-in',
  async play(stage) {
    await stage.written()
    const a = stage.leader
    const b = stage.followers[0] as SimNode
    stage.network.partition([a.name], [b.name])
    for (let i = 0; i < 3; i++) await stage.written()
    await stage.until(
      'the follower is out of sync',
      () => !stage.record.isr.includes(b.id),
      120_000,
    )
    // The leader will let it in, but its transaction is long under way.
    const handle = a.store
    if (handle === undefined) throw new Error('scene: the leader is down')
    const isChange = (key: string) => key.startsWith('/partitions/')
    handle.delay = ({ put }) => (put.some(({ key }) => isChange(key)) ? LONG_MS : 0)
    stage.network.heal()
    const caughtUp = () => stage.view(b)?.durableEnd === stage.view(a)?.endOffset
    await stage.until('the follower has caught up', caughtUp)
    await stage.sleep(500)
    stage.check(!stage.record.isr.includes(b.id), 'it is not let in yet')
    stage.cluster.invariants.lossy.add(b.id)
    stage.down(b)
    b.emptyDisk()
    stage.network.partition([a.name], [b.name])
    await stage.upAndRunning(b)
    stage.check(!stage.record.isr.includes(b.id), 'the empty one is up before the change comes')
    await stage.sleep(LONG_MS)
    handle.delay = () => 0
    stage.network.heal()
    await stage.until('it is in sync in the end', () => stage.isAtRest(), 120_000)
  },
}

/** KIP-966: the last one in sync loses its disk; who left before it still has everything. */
const lastOneStanding: Scenario = {
  name: 'kip-966-last-one-standing',
  async play(stage) {
    for (let i = 0; i < 3; i++) await stage.written()
    const [b, c] = stage.followers as [SimNode, SimNode]
    const a = stage.leader
    stage.down(c)
    await stage.until('one is out', () => stage.record.isr.length === 2, 120_000)
    for (let i = 0; i < 3; i++) await stage.written()
    stage.down(b)
    await stage.until('one stands', () => stage.record.isr.length === 1, 120_000)
    stage.check(stage.record.elr.includes(b.id), 'the second is eligible')
    stage.check((await stage.produce()) !== 'written', 'too few are in sync')
    stage.cluster.invariants.lossy.add(a.id)
    stage.down(a)
    a.emptyDisk()
    await stage.upAndRunning(a)
    await stage.upAndRunning(c)
    await stage.sleep(15_000)
    stage.check(stage.record.leader === -1, 'nobody leads who may lack records')
    await stage.upAndRunning(b)
    await stage.until('the eligible one leads', () => stage.record.leader === b.id)
    await stage.written()
  },
}

/** A change of the in-sync replicas is made, and its answer is lost, for good or for a while. */
const changeWithoutAnswer: Scenario = {
  name: 'isr-change-without-answer',
  load: { producers: 2, thinkMs: 200 },
  async play(stage) {
    await stage.written()
    const a = stage.leader
    const [b] = stage.followers as [SimNode]
    let lost = 0
    const lose = (handle: SimNode['store']) => {
      if (handle === undefined) return
      handle.loseAnswer = ({ put }) => {
        const isChange = put.some(({ key }) => key.startsWith('/partitions/'))
        if (isChange) lost++
        return isChange && lost <= 3
      }
    }
    lose(a.store)
    stage.network.partition([a.name], [b.name])
    await stage.until('the follower is out', () => !stage.record.isr.includes(b.id), 120_000)
    stage.network.heal()
    await stage.until('and in again', () => stage.record.isr.includes(b.id), 120_000)
    stage.check(lost > 0, 'answers were lost')
    await stage.written()
  },
}

/** A follower is let in, which the leader does not hear: the follower counts all the same. */
const expansionWithoutAnswer: Scenario = {
  name: 'isr-expansion-without-answer',
  async play(stage) {
    await stage.written()
    const a = stage.leader
    const b = stage.followers[0] as SimNode
    stage.network.partition([a.name], [b.name])
    await stage.until('the follower is out', () => !stage.record.isr.includes(b.id), 120_000)
    await stage.written()
    const handle = a.store
    if (handle === undefined) throw new Error('scene: the leader is down')
    await stage.sleep(1_000)
    handle.loseAnswer = ({ put }) => put.some(({ key }) => key.startsWith('/partitions/'))
    handle.faults.watchDelayMs = LONG_MS
    stage.network.heal()
    const isIn = () => stage.record.isr.includes(b.id)
    while (!isIn()) await stage.sleep(0.1)
    stage.network.partition([a.name], [b.name])
    // The leader has given up waiting for the answer, and knows nothing.
    await stage.sleep(4_000)
    const before = stage.view(a)?.highWatermark
    const sent = stage.produce()
    await stage.sleep(3_000)
    stage.check(stage.view(a)?.highWatermark === before, 'nothing is committed without it')
    handle.loseAnswer = () => false
    handle.heal()
    stage.network.heal()
    await sent
    await stage.written()
  },
}

export const MEMBERSHIPS: readonly Scenario[] = [
  expansionWithoutAnswer,
  emptyReplicaSlipsIn,
  lastOneStanding,
  changeWithoutAnswer,
]
