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

export const HANDOVERS: readonly Scenario[] = [leadershipGoesBack]
