/** Readers of a front that reads from followers in its rack (KIP-392), while those fall behind, fork or die. */
import { rackOf } from '../sim-cluster.ts'
import type { SimNode } from '../sim-node.ts'
import type { Scenario, Stage } from './scenario.ts'

const FETCH = '/i/v1/fetch'
const NEAR = 3

/** The node in the rack of the front, once it follows in sync. */
async function follower(stage: Stage): Promise<SimNode> {
  const near = stage.cluster.node(NEAR)
  if (stage.leader === near) {
    stage.down(near)
    await stage.otherLeader(near)
    await stage.upAndRunning(near)
  }
  await stage.until('all are in sync', () => stage.isAtRest())
  return near
}

/** Counts the fetches of the front by the node that they go to. */
function countFetches(stage: Stage): Map<string, number> {
  const fetches = new Map<string, number>()
  stage.network.judge = ({ to, path }) => {
    if (path === FETCH) fetches.set(to, (fetches.get(to) ?? 0) + 1)
    return 'deliver'
  }
  return fetches
}

/** A follower that is in sync, and gets nothing for a while: what it lacks comes from the leader. */
const laggingFollower: Scenario = {
  name: 'reads-near-a-lagging-follower',
  topic: { minInsyncReplicas: 1 },
  frontRack: rackOf(NEAR),
  load: { readers: 2 },
  async play(stage) {
    await stage.written()
    const near = await follower(stage)
    const fetches = countFetches(stage)
    for (let n = 0; n < 10; n++) {
      await stage.written()
      await stage.sleep(200)
    }
    const { leader } = stage
    stage.check((fetches.get(near.name) ?? 0) > 10, 'the follower is read from')
    for (let round = 0; round < 3; round++) {
      const before = fetches.get(leader.name) ?? 0
      const durable = stage.view(near)?.durableEnd ?? 0
      const writing = stage.written()
      while (stage.view(near)?.durableEnd === durable) await stage.sleep(0.05)
      // It has the record and says so, and does not hear that it is committed.
      stage.network.block(leader.name, near.name)
      await writing
      const isBehind = () => (stage.view(near)?.highWatermark ?? 0) <= durable
      stage.check(isBehind(), 'the follower is behind')
      await stage.sleep(2_500)
      stage.check(isBehind(), 'the follower is still behind')
      stage.check((fetches.get(leader.name) ?? 0) > before, 'the leader is asked for the rest')
      stage.network.heal()
      await stage.until('all are in sync', () => stage.record.isr.length === 3)
      await stage.sleep(12_000)
    }
    stage.network.judge = () => 'deliver'
  },
}

/** The follower that is read from becomes a leader, dies and comes back with a fork. */
const movingFollower: Scenario = {
  name: 'reads-near-a-follower-that-leads-and-forks',
  topic: { minInsyncReplicas: 1 },
  frontRack: rackOf(NEAR),
  load: { producers: 2, readers: 2, deleters: 1, thinkMs: 100 },
  async play(stage) {
    await stage.written()
    for (let round = 0; round < 3; round++) {
      const near = await follower(stage)
      for (const node of stage.cluster.nodes) if (node !== near) stage.down(node)
      await stage.until('it leads', () => stage.record.leader === near.id)
      for (const node of stage.cluster.nodes) if (node !== near) await stage.upAndRunning(node)
      await stage.until('all are in sync', () => stage.record.isr.length === 3)
      const others = stage.followers.map(({ name }) => name)
      stage.network.partition([near.name], others)
      for (let i = 0; i < 3; i++) await stage.produce(1)
      stage.down(near)
      stage.network.heal()
      await stage.otherLeader(near)
      await stage.upAndRunning(near)
    }
  },
}

/** Racks of two nodes, and one of a single node: no two replicas share one. */
const unevenRacks: Scenario = {
  name: 'replicas-on-all-racks',
  nodes: 5,
  racks: 3,
  topic: { partitions: 10 },
  async play(stage) {
    await stage.written()
  },
}

export const NEAR_READS: readonly Scenario[] = [laggingFollower, movingFollower, unevenRacks]
