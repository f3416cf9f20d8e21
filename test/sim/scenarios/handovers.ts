/** Leaderships that move although nobody has failed: no producer is left in doubt. */
import type { Scenario, Stage } from './scenario.ts'

const SETTLE_MS = 300_000
const PRODUCERS = 8

/** Produces without a pause until it holds; each outcome that nobody knows is a fault. */
async function busyUntil(stage: Stage, what: string, holds: () => boolean): Promise<void> {
  let isOver: boolean = false
  const produce = async () => {
    while (!isOver) {
      const outcome = await stage.produce()
      stage.check(outcome === 'written', `${what}: a producer is told ${outcome}`)
    }
  }
  const producers = Array.from({ length: PRODUCERS }, produce)
  await stage.until(what, holds, 60_000)
  // Those that wait for the new leader are told as well.
  await stage.sleep(1_000)
  isOver = true
  await Promise.all(producers)
}

/** A node that was away gets its leadership back from one that is busy. */
const leadershipGoesBack: Scenario = {
  name: 'leadership-goes-back-under-load',
  async play(stage) {
    await stage.written()
    const [first] = stage.record.replicas
    const preferred = stage.cluster.node(first as number)
    stage.down(preferred)
    await stage.otherLeader(preferred)
    await stage.upAndRunning(preferred)
    await stage.until('it is in sync', () => stage.isAtRest(), 120_000)
    await stage.sleep(SETTLE_MS - 5_000)
    stage.check(stage.record.leader !== preferred.id, 'it does not lead at once')
    await busyUntil(stage, 'it leads again', () => stage.record.leader === preferred.id)
    const { leads } = stage.view(preferred) ?? { leads: false }
    stage.check(leads, 'it knows')
  },
}

/** The disk of the leader is full: one with space leads, until it has space and some time has passed. */
const leaderRunsFull: Scenario = {
  name: 'leader-with-a-full-disk-hands-over',
  async play(stage) {
    for (let i = 0; i < 3; i++) await stage.written()
    const full = stage.leader
    full.disk.quotaBytes = 0
    const isTold = () => {
      const value = stage.world.store.get(`/nodes/${full.id}`)?.value ?? '{}'
      return (JSON.parse(value) as { diskFull?: boolean }).diskFull === true
    }
    let unknown = 0
    const isMoved = () => stage.record.leader !== full.id && stage.record.leader !== -1
    for (let i = 0; !isMoved() && i < 1_000; i++) {
      if ((await stage.produce()) === 'unknown') unknown++
      await stage.sleep(20)
    }
    stage.check(isMoved(), 'another leads')
    stage.check(unknown === 0, 'no producer is left in doubt')
    const startMs = stage.world.clock.monotonicMs()
    for (let i = 0; i < 3; i++) await stage.written()
    // Less than it takes for a replica that is behind to be out of sync.
    const tookMs = stage.world.clock.monotonicMs() - startMs
    stage.check(tookMs < 3_000, `nobody waits for the full one: ${tookMs} ms`)
    await stage.sleep(SETTLE_MS + 20_000)
    stage.check(isMoved(), 'it does not lead while it is full')
    stage.check(isTold(), 'the cluster knows')
    full.disk.quotaBytes = Number.POSITIVE_INFINITY
    await stage.until('the cluster knows that it has space', () => !isTold())
    await stage.until('it is in sync', () => stage.isAtRest(), 120_000)
    await stage.sleep(SETTLE_MS - 20_000)
    stage.check(isMoved(), 'it does not lead at once')
    await stage.until('it leads again', () => stage.record.leader === full.id, 60_000)
    await stage.written()
  },
}

/** All disks are full: whoever leads goes on to do so, and says no. */
const allRunFull: Scenario = {
  name: 'all-disks-are-full',
  async play(stage) {
    await stage.written()
    const { leader } = stage
    const nodes = [leader, ...stage.followers]
    for (const node of nodes) node.disk.quotaBytes = 0
    await stage.sleep(5_000)
    stage.check(stage.record.leader !== -1, 'somebody leads')
    stage.check((await stage.produce()) === 'refused', 'it says no')
    for (const node of nodes) node.disk.quotaBytes = Number.POSITIVE_INFINITY
    await stage.written()
  },
}

export const HANDOVERS: readonly Scenario[] = [leadershipGoesBack, leaderRunsFull, allRunFull]
