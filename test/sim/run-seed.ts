/** Runs one seed from boot to judgement. */
import process from 'node:process'
import { SeededRandom } from '../../src/env/seeded-random.ts'
import type { ClusterCode } from './cluster-code.ts'
import { FinalCheck } from './final-check.ts'
import { GroupWorkload } from './group-workload.ts'
import type { Invariants } from './invariants.ts'
import { Nemesis } from './nemesis.ts'
import type { SeedPlan, TopicPlan } from './seed-plan.ts'
import { clocksApartMs, planSeed } from './seed-plan.ts'
import { SimCluster } from './sim-cluster.ts'
import type { SimTrace } from './sim-trace.ts'
import type { WorkloadEvents } from './workload.ts'
import { Workload } from './workload.ts'

export interface SeedResult {
  readonly seed: number
  readonly plan: SeedPlan
  readonly violations: readonly string[]
  readonly hash: string
  readonly trace: SimTrace
  /** Requests by what their producers know of them. */
  readonly written: number
  readonly refused: number
  readonly unknown: number
  readonly virtualMs: number
}

export function runSeed(seed: number, code: ClusterCode): Promise<SeedResult> {
  return runPlan(planSeed(seed, new SeededRandom(seed)), code)
}

export async function runPlan(plan: SeedPlan, code: ClusterCode): Promise<SeedResult> {
  const { seed, topics } = plan
  const cluster = new SimCluster(seed, code, plan)
  const { world, invariants, nodes, fronts } = cluster
  invariants.clocksApartMs = clocksApartMs(plan)
  world.trace.add('PLAN', JSON.stringify(plan))
  const isKeyed = ({ cleanup }: TopicPlan) => cleanup === 'compact'
  const compacted = topics.filter(isKeyed).map(({ name }) => name)
  const workload = new Workload(
    world,
    fronts,
    { ...plan, topics: topics.map(({ name }) => name), compacted },
    watchedBy(invariants),
  )
  const nemesis = new Nemesis({ world, nodes, fronts, invariants }, plan)
  const group = new GroupWorkload(cluster, workload, {
    ...plan,
    topics: topics.map(({ name }) => name),
    pauseMs: MEMBER_PAUSE_MS,
  })
  const play = async () => {
    await cluster.boot()
    for (const { name, ...spec } of topics) await cluster.createTopic(name, spec)
    workload.start()
    group.start()
    await nemesis.run(plan.durationMs)
    nemesis.heal()
    await workload.stop()
    await group.finish()
    group.judge(await new FinalCheck(cluster, workload).run())
  }
  await untilDone(cluster, play)
  const histories = [...workload.histories.values()]
  const count = (kind: 'written' | 'refused' | 'unknown') =>
    histories.reduce((sum, history) => sum + history.count(kind), 0)
  return {
    seed,
    plan,
    violations: invariants.violations,
    hash: world.trace.hash(),
    trace: world.trace,
    written: count('written'),
    refused: count('refused'),
    unknown: count('unknown'),
    virtualMs: world.clock.monotonicMs(),
  }
}

/** Longest pause of a member of a group between two calls. */
const MEMBER_PAUSE_MS = 800

/** What clients see is held against what the nodes have. */
export function watchedBy(invariants: Invariants): WorkloadEvents {
  return {
    acknowledged: ({ id }, partition, offset, sentMs) =>
      invariants.acknowledged(id, partition, offset, sentMs),
    shown: ({ id }, partition, endOffset) => invariants.shown(id, partition, endOffset),
    deleting: ({ id }, partition, before) => invariants.deleting(id, partition, before),
    deleted: ({ id }, partition, before) => invariants.deleted(id, partition, before),
    mayBeReset: ({ id }, partition) => invariants.oracle(id, partition).uncleanEpoch !== -1,
    latestStart: ({ id }, partition) => invariants.latestStart(id, partition),
    violation: (text) => invariants.violation(text),
  }
}

/** In virtual time. */
const LONGEST_MS = 30 * 60_000

/** Whatever goes wrong, also where nobody waits for it, is a violation. */
export async function untilDone(cluster: SimCluster, play: () => Promise<void>): Promise<void> {
  const { world, invariants } = cluster
  const stray = (error: unknown) => invariants.violation(`unhandled rejection: ${textOf(error)}`)
  process.on('unhandledRejection', stray)
  try {
    const tooLong = world.sleep(LONGEST_MS).then(() => {
      throw new Error(`liveness: nothing came of it in ${LONGEST_MS} ms`)
    })
    await world.clock.run(Promise.race([play(), tooLong]))
  } catch (error) {
    invariants.violation(textOf(error))
  } finally {
    process.off('unhandledRejection', stray)
  }
}

function textOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.message.startsWith('liveness') ? error.message : (error.stack ?? error.message)
}
