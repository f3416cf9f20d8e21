/** Rows 3, 4, 26, 27, 33: what fronts, hops and replicas cost a produce. */
import type { Bench, Family } from '../lib/bench.ts'
import { bodyFile } from '../lib/bench.ts'
import { Curlew } from '../lib/curlew.ts'
import { CurlewCluster } from '../lib/curlew-cluster.ts'
import { Helper } from '../lib/helper.ts'
import { interleave } from '../lib/interleave.ts'
import type { Measurement } from '../lib/measurement.ts'
import { load, ratio } from '../lib/measurement.ts'
import { BATCH_RECORDS, ndjsonBatch, RECORD_BYTES, rawPayload } from '../lib/payload.ts'
import type { Sample } from '../lib/sample.ts'
import { series } from '../lib/sample.ts'
import { median, spread } from '../lib/statistics.ts'
import { cpuSecondsOf, withUsage } from '../lib/usage.ts'
import { wrkPost } from '../lib/wrk.ts'
import type { DiskCommand, DiskConfig } from '../load/disk.ts'
import type { HopCommand, HopConfig } from '../load/hop.ts'

const CONNECTIONS = 256
const BATCH_CONNECTIONS = 16
const SYNC_BYTES = 4096
const ANSWER_MS = 60_000
const HOPS = 3

export const clusterProduce: Family = {
  name: 'cluster produce',
  rows: ['3', '4', '26', '27', '33a', '33b'],
  async measure(bench: Bench): Promise<Measurement[]> {
    await using cluster = await CurlewCluster.start(bench.stage, { storageNodes: 3 })
    await cluster.createTopic('one', { partitions: 1, replicationFactor: 1 })
    await cluster.createTopic('three', { partitions: 1, replicationFactor: 3 })
    const measurements: Measurement[] = []
    if (['3', '4', '26'].some(bench.wants)) measurements.push(...(await rates(bench, cluster)))
    if (bench.wants('27')) measurements.push(await acknowledgement(bench, cluster))
    if (['33a', '33b'].some(bench.wants)) measurements.push(...(await costs(bench, cluster)))
    return measurements.filter(({ row }) => bench.wants(row))
  },
}

async function rates(bench: Bench, cluster: CurlewCluster): Promise<Measurement[]> {
  const { stage, plan } = bench
  await using alone = await Curlew.start(stage)
  await alone.createTopic('one')
  const post = single(bench)
  const publish = (port: number, topic: string) =>
    wrkPost(stage, { ...post, connections: CONNECTIONS, port, path: `/v1/topics/${topic}/publish` })
  const writes: number[] = []
  const samples = await interleave(
    'rows 3, 4, 26',
    {
      alone: () => publish(alone.port, 'one'),
      split: () => withUsage(cluster.frontPid, () => publish(cluster.port, 'one')),
      replicated: async () => {
        const before = await cluster.metadataWrites()
        const sample = await withUsage(cluster.frontPid, () => publish(cluster.port, 'three'))
        const after = await cluster.metadataWrites()
        writes.push((after - before) / ((sample.perSecond as number) * plan.seconds))
        return sample
      },
    },
    plan,
  )
  const split = { name: 'front + storage', samples: samples.split, metric: 'perSecond' } as const
  return [
    ratio(
      '3',
      split,
      { name: 'all in one', samples: samples.alone, metric: 'perSecond' },
      `front: ${load(samples.split)}`,
    ),
    ratio(
      '4',
      { name: '3 replicas', samples: samples.replicated, metric: 'perSecond' },
      split,
      `front: ${load(samples.replicated)}; six processes share the machine`,
    ),
    {
      row: '26',
      value: spread(writes),
      ours: { name: 'writes of etcd per record', value: median(writes), unit: '' },
      limit: 'what there is are renewals of leases',
    },
  ]
}

async function acknowledgement(bench: Bench, cluster: CurlewCluster): Promise<Measurement> {
  const { stage, plan } = bench
  const config: DiskConfig = { path: stage.path('disk') }
  await using disk = await Helper.start<DiskCommand, Sample>(stage, 'load/disk.ts', config)
  const server: HopConfig = { role: 'server' }
  await using bare = await Helper.start(stage, 'load/hop.ts', server)
  const client: HopConfig = { role: 'client', port: bare.port }
  await using hop = await Helper.start<HopCommand, Sample>(stage, 'load/hop.ts', client)
  const post = { ...single(bench), connections: 1 }
  const command: DiskCommand = { file: 'recycled', blockBytes: SYNC_BYTES, seconds: plan.seconds }
  const samples = await interleave(
    'row 27',
    {
      cluster: () =>
        wrkPost(stage, { ...post, port: cluster.port, path: '/v1/topics/three/publish' }),
      disk: () => disk.call(command, ANSWER_MS),
      hop: () => hop.call({ bodyBytes: RECORD_BYTES, seconds: plan.seconds }, ANSWER_MS),
    },
    plan,
  )
  const syncs = series(samples.disk, 'p50Ms')
  const hops = series(samples.hop, 'p50Ms')
  const least = syncs.map((sync, round) => 2 * sync + HOPS * (hops[round] as number))
  const ours = series(samples.cluster, 'p50Ms')
  return {
    row: '27',
    value: spread(ours.map((p50, round) => p50 / (least[round] as number))),
    ours: { name: 'Curlew p50', value: median(ours), unit: 'ms' },
    theirs: { name: '2 syncs + 3 hops', value: median(least), unit: 'ms' },
    limit: 'front, leader and follower wake one after the other on two cores',
  }
}

async function costs(bench: Bench, cluster: CurlewCluster): Promise<Measurement[]> {
  const { stage, plan } = bench
  const batch = {
    path: '/v1/topics/three/records',
    port: cluster.port,
    connections: BATCH_CONNECTIONS,
    contentType: 'application/x-ndjson',
    bodyFile: bodyFile(stage, 'ndjson', ndjsonBatch(BATCH_RECORDS)),
    payloadBytes: BATCH_RECORDS * RECORD_BYTES,
    seconds: plan.seconds,
  }
  const storagePids = cluster.nodeIds.map((nodeId) => cluster.storagePid(nodeId))
  const [front, storage]: [number[], number[]] = [[], []]
  const total = (pids: readonly number[]) => pids.reduce((sum, pid) => sum + cpuSecondsOf(pid), 0)
  for (let round = 0; round <= plan.rounds; round++) {
    const before = [total([cluster.frontPid]), total(storagePids)] as const
    const { perSecond = 0 } = await wrkPost(stage, batch)
    const records = perSecond * plan.seconds * BATCH_RECORDS
    const after = [total([cluster.frontPid]), total(storagePids)] as const
    plan.progress(`row 33 ${round}: ${Math.round(perSecond)} batches/s`)
    if (round === 0) continue
    front.push(((after[0] - before[0]) / records) * 1e6)
    storage.push(((after[1] - before[1]) / records) * 1e6)
  }
  const row = (name: string, values: number[], what: string) => ({
    row: name,
    value: spread(values),
    ours: { name: what, value: median(values), unit: 'µs' },
    limit: 'processor time of all threads, in batches of 100 with three replicas',
  })
  return [row('33a', front, 'front'), row('33b', storage, 'three storage nodes together')]
}

function single({ stage, plan }: Bench) {
  return {
    contentType: 'application/octet-stream',
    bodyFile: bodyFile(stage, 'record', rawPayload(RECORD_BYTES)),
    payloadBytes: RECORD_BYTES,
    seconds: plan.seconds,
  }
}
