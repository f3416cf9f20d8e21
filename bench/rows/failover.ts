/** Rows 29, 30: how long a partition, and thousands of them, are without a leader after a node died. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Bench, Family } from '../lib/bench.ts'
import { CurlewCluster } from '../lib/curlew-cluster.ts'
import type { Measurement } from '../lib/measurement.ts'
import { median, spread } from '../lib/statistics.ts'

/** Set for these rows; what is measured is what comes on top of it. */
const DETECTION_MS = 2_000
const PARTITIONS = 5_000
const QUICK_PARTITIONS = 500
const GIVE_UP_MS = 120_000
const POLL_MS = 20
const ROUNDS_MAX = 3

export const failover: Family = {
  name: 'failover',
  rows: ['29', '30'],
  async measure(bench: Bench): Promise<Measurement[]> {
    const rounds = Math.min(ROUNDS_MAX, bench.plan.rounds)
    const [first, all]: [number[], number[]] = [[], []]
    for (let round = 1; round <= rounds; round++) {
      if (bench.wants('29')) first.push(await firstAcknowledgement(bench))
      if (bench.wants('30')) all.push(await allLeaders(bench))
    }
    const row = (name: string, what: string, values: number[]) => ({
      row: name,
      value: spread(values),
      ours: { name: what, value: median(values), unit: 's' },
      limit: 'when etcd says that the lease has ended, the controller, and the way of its decision',
    })
    return [
      ...(first.length > 0 ? [row('29', 'beyond detection', first)] : []),
      ...(all.length > 0 ? [row('30', 'beyond detection', all)] : []),
    ]
  },
}

/** Seconds from kill -9 of the leader to the next acknowledgement, beyond the time to live of its lease. */
async function firstAcknowledgement(bench: Bench): Promise<number> {
  const options = { storageNodes: 3, leaseTtlMs: DETECTION_MS }
  await using cluster = await CurlewCluster.start(bench.stage, options)
  await cluster.createTopic('one', { partitions: 1, replicationFactor: 3 })
  await publish(cluster)
  const [partition] = await cluster.partitions()
  const startedMs = performance.now()
  await cluster.kill(partition?.leader as number)
  await publish(cluster)
  const seconds = (performance.now() - startedMs - DETECTION_MS) / 1000
  bench.plan.progress(`row 29: ${seconds.toFixed(2)} s beyond detection`)
  return Math.max(0, seconds)
}

/** Seconds until no partition is led by the dead node, beyond the time to live of its lease. */
async function allLeaders(bench: Bench): Promise<number> {
  const options = { storageNodes: 3, leaseTtlMs: DETECTION_MS }
  await using cluster = await CurlewCluster.start(bench.stage, options)
  const partitions = bench.quick ? QUICK_PARTITIONS : PARTITIONS
  await cluster.createTopic('many', { partitions, replicationFactor: 3 })
  await publish(cluster, 'many')
  const dead = (await cluster.partitions())[0]?.leader as number
  const startedMs = performance.now()
  await cluster.kill(dead)
  while ((await cluster.partitions()).some(({ leader }) => leader === dead || leader === -1)) {
    if (performance.now() - startedMs > GIVE_UP_MS) throw new Error('leaders are not moved in time')
    await sleep(POLL_MS)
  }
  const seconds = (performance.now() - startedMs - DETECTION_MS) / 1000
  bench.plan.progress(`row 30: ${seconds.toFixed(2)} s beyond detection`)
  return Math.max(0, seconds)
}

async function publish(cluster: CurlewCluster, topic = 'one'): Promise<void> {
  const startedMs = performance.now()
  for (;;) {
    const response = await fetch(cluster.url(`/v1/topics/${topic}/publish`), {
      method: 'POST',
      body: 'x',
    })
    await response.body?.cancel()
    if (response.ok) return
    if (performance.now() - startedMs > GIVE_UP_MS) throw new Error('nothing is acknowledged')
  }
}
