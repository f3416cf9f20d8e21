/** Rows 28, 32: what many partitions cost, when they are written to and when they are not. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Bench, Family } from '../lib/bench.ts'
import { bodyFile } from '../lib/bench.ts'
import { CurlewCluster } from '../lib/curlew-cluster.ts'
import { interleave } from '../lib/interleave.ts'
import type { Measurement } from '../lib/measurement.ts'
import { load, ratio } from '../lib/measurement.ts'
import { RECORD_BYTES, rawPayload } from '../lib/payload.ts'
import { median, spread } from '../lib/statistics.ts'
import { cpuSecondsOf, withUsage } from '../lib/usage.ts'
import { wrkPost } from '../lib/wrk.ts'

const CONNECTIONS = 256
const MANY = 1_000
const VERY_MANY = 10_000
const SETTLE_MS = 5_000
const IDLE_MS = 10_000
/** A node that has never led answers half as fast in its first seconds; one partition warms one node only. */
const WARM_UP_SECONDS = 20

export const clusterPartitions: Family = {
  name: 'cluster partitions',
  rows: ['28a', '28b', '32'],
  async measure(bench: Bench): Promise<Measurement[]> {
    const measurements: Measurement[] = []
    if (bench.wants('32')) measurements.push(await idle(bench))
    if (['28a', '28b'].some(bench.wants)) measurements.push(...(await spreadOut(bench)))
    return measurements.filter(({ row }) => bench.wants(row))
  },
}

async function idle(bench: Bench): Promise<Measurement> {
  await using cluster = await CurlewCluster.start(bench.stage, { storageNodes: 3 })
  await cluster.createTopic('idle', { partitions: MANY, replicationFactor: 3 })
  await sleep(SETTLE_MS)
  const shares: number[] = []
  for (let round = 0; round < Math.min(3, bench.plan.rounds); round++) {
    const before = cluster.nodeIds.map((nodeId) => cpuSecondsOf(cluster.storagePid(nodeId)))
    await sleep(IDLE_MS)
    cluster.nodeIds.forEach((nodeId, i) => {
      const used = cpuSecondsOf(cluster.storagePid(nodeId)) - (before[i] as number)
      shares.push((used / (IDLE_MS / 1000)) * 100)
    })
    bench.plan.progress(`row 32 ${round + 1}: ${shares.slice(-3).map((s) => s.toFixed(1))} %`)
  }
  return {
    row: '32',
    value: spread(shares),
    ours: { name: 'share of a core', value: median(shares), unit: '%' },
    limit: 'long-polls of followers and renewals of leases',
  }
}

async function spreadOut(bench: Bench): Promise<Measurement[]> {
  const { stage, plan } = bench
  await using cluster = await CurlewCluster.start(stage, { storageNodes: 3 })
  const counts = bench.quick ? [1, MANY] : [1, MANY, VERY_MANY]
  for (const partitions of counts) {
    await cluster.createTopic(`p${partitions}`, { partitions, replicationFactor: 3 })
  }
  await sleep(SETTLE_MS)
  const post = {
    contentType: 'application/octet-stream',
    bodyFile: bodyFile(stage, 'record', rawPayload(RECORD_BYTES)),
    payloadBytes: RECORD_BYTES,
    seconds: plan.seconds,
    connections: CONNECTIONS,
    port: cluster.port,
  }
  if (!bench.quick) {
    plan.progress(`row 28: ${WARM_UP_SECONDS} s of warm-up`)
    const path = `/v1/topics/p${MANY}/publish`
    await wrkPost(stage, { ...post, seconds: WARM_UP_SECONDS, path })
  }
  const publish = (partitions: number) =>
    withUsage(cluster.frontPid, () =>
      wrkPost(stage, { ...post, path: `/v1/topics/p${partitions}/publish` }),
    )
  const samples = await interleave(
    'row 28',
    {
      one: () => publish(1),
      many: () => publish(MANY),
      veryMany: () => publish(counts.at(-1) as number),
    },
    plan,
  )
  const one = { name: '1 partition', samples: samples.one, metric: 'perSecond' } as const
  const many = { name: '1,000 partitions', samples: samples.many, metric: 'perSecond' } as const
  const all = { name: '10,000 partitions', samples: samples.veryMany, metric: 'perSecond' } as const
  return [
    ratio('28a', many, one, `front: ${load(samples.many)}; smaller batches per partition`),
    ratio('28b', all, one, `front: ${load(samples.veryMany)}; smaller batches per partition`),
  ]
}
