/** Nodes that go on as if nothing had happened: paused leaders, paused controllers, a store that is away. */
import type { SimNode } from '../sim-node.ts'
import type { Scenario, Stage } from './scenario.ts'

const LEASE_MS = 10_000
const OUTAGE_MS = 600_000

/** A leader that is stopped in the midst of its work for two leases, and then goes on. */
const pausedLeader: Scenario = {
  name: 'leader-paused-mid-produce',
  load: { producers: 4, thinkMs: 50 },
  async play(stage) {
    await stage.written()
    for (let round = 0; round < 3; round++) {
      const a = stage.leader
      await stage.sleep(500 + round * 7)
      a.pause()
      await stage.sleep(2 * LEASE_MS)
      stage.check(stage.record.leader !== a.id, 'another one was elected')
      a.resume()
      // What it had promised itself to do before is done now.
      await stage.sleep(2_000)
      await stage.until('all are in sync', () => stage.record.isr.length === 3, 120_000)
    }
  },
}

/** A controller that has decided, and whose transaction comes when another one has decided otherwise. */
const pausedController: Scenario = {
  name: 'controller-paused-between-read-and-write',
  nodes: 4,
  load: { producers: 2, thinkMs: 100 },
  async play(stage) {
    await stage.written()
    const k = stage.controller
    const handle = k.store
    if (handle === undefined) throw new Error('scene: the controller is down')
    if (stage.leader === k) {
      k.pause()
      await stage.otherLeader(k)
      k.resume()
      await stage.until('a controller', () => stage.world.store.get('/controller') !== undefined)
    }
    const old = stage.controller
    const decides = old.store as NonNullable<SimNode['store']>
    let late = 0
    decides.delay = ({ put }) => {
      const isElection = put.some(({ key }) => key.startsWith('/partitions/'))
      if (isElection) late++
      return isElection ? 4 * LEASE_MS : 0
    }
    const a = stage.leader
    stage.down(a)
    await stage.until('it has decided', () => late > 0)
    old.pause()
    await stage.otherLeader(a)
    await stage.upAndRunning(a)
    old.resume()
    await stage.sleep(5 * LEASE_MS)
    decides.delay = () => 0
    await stage.written()
  },
}

/** Ten minutes without the metadata store for some nodes: what is in sync goes on to be written to. */
function outage(name: string, whom: (stage: Stage) => readonly SimNode[]): Scenario {
  return {
    name,
    load: { producers: 2, thinkMs: 2_000 },
    async play(stage) {
      await stage.written()
      const nodes = whom(stage)
      const all = nodes.length === stage.cluster.nodes.length
      if (all) stage.world.store.freeze()
      for (const { store } of nodes) if (store !== undefined) store.faults.away = true
      const endMs = stage.world.clock.monotonicMs() + OUTAGE_MS
      let refused = 0
      let written = 0
      while (stage.world.clock.monotonicMs() < endMs) {
        if ((await stage.produce()) === 'written') written++
        else refused++
        await stage.sleep(2_000)
      }
      // A leader that is cut off is replaced, which may cost some; without the store nothing changes.
      stage.check(refused <= (all ? 0 : 30), `${refused} were refused`)
      stage.check(written >= 200, `${written} were written`)
      if (all) stage.world.store.thaw()
      for (const { store } of nodes) store?.heal()
      await stage.until('all are in sync', () => stage.record.isr.length === 3, 120_000)
    },
  }
}

/** Readers that have read from the new leader come to a front that knows the old one only. */
const readersOfBoth: Scenario = {
  name: 'readers-come-back-to-a-replaced-leader',
  fronts: 2,
  load: { readers: 3, producers: 2, thinkMs: 200 },
  async play(stage) {
    await stage.written()
    const a = stage.leader
    const [near, far] = stage.cluster.fronts.map(({ name }) => name) as [string, string]
    const others = stage.followers.map(({ name }) => name)
    stage.network.partition([a.name, far], [...others, near])
    if (a.store !== undefined) a.store.faults.away = true
    await stage.otherLeader(a)
    for (let i = 0; i < 20; i++) {
      await stage.written()
      await stage.sleep(500)
    }
    a.store?.heal()
    stage.network.heal()
    await stage.until('all are in sync', () => stage.record.isr.length === 3, 120_000)
  },
}

/** Each node hears of two elections at another time, so that three leaders of three epochs are believed in. */
const threeViews: Scenario = {
  name: 'three-leaders-are-believed-in',
  async play(stage) {
    await stage.written()
    await stage.until('all are in sync', () => stage.isAtRest())
    const b = stage.leader
    const [c, f] = stage.followers as [SimNode, SimNode]
    stage.network.block(c.name, b.name)
    const before = stage.view(b)?.highWatermark ?? 0
    for (let i = 0; i < 3; i++) await stage.produce(1)
    await stage.until('one has copied them', () => stage.view(f)?.durableEnd === before + 3)
    const watch = (node: SimNode, watchDelayMs: number) => {
      if (node.store !== undefined) Object.assign(node.store.faults, { watchDelayMs })
    }
    b.pause()
    watch(f, 1_600)
    stage.elect(c)
    await stage.sleep(500)
    watch(c, 30_000)
    await stage.sleep(450)
    stage.elect(b, [b, f])
    b.resume()
    await stage.sleep(4_000)
    for (const node of [b, c, f]) node.store?.heal()
    stage.network.heal()
    await stage.until('all are in sync', () => stage.record.isr.length === 3, 120_000)
    await stage.written()
  },
}

export const ZOMBIES: readonly Scenario[] = [
  readersOfBoth,
  threeViews,
  pausedLeader,
  pausedController,
  outage('store-away-from-leader', (stage) => [stage.leader]),
  outage('store-away-from-follower', (stage) => stage.followers.slice(0, 1)),
  outage('store-away-from-all', (stage) => stage.cluster.nodes),
]
