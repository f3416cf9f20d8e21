/** Rows 34 - 37: what groups cost against plain produces and reads, and what a member that leaves costs the others. */
import type { Bench, Family } from '../lib/bench.ts'
import { bodyFile } from '../lib/bench.ts'
import { Curlew } from '../lib/curlew.ts'
import { CurlewCluster } from '../lib/curlew-cluster.ts'
import { fill } from '../lib/fill.ts'
import { commitBody, join } from '../lib/group.ts'
import { Helper } from '../lib/helper.ts'
import { interleave } from '../lib/interleave.ts'
import type { Measurement } from '../lib/measurement.ts'
import { absolute, difference, load, ratio } from '../lib/measurement.ts'
import type { Sample } from '../lib/sample.ts'
import { withUsage } from '../lib/usage.ts'
import { wrkPost } from '../lib/wrk.ts'
import type { RebalanceConfig } from '../load/rebalance.ts'
import type { WalkCommand, WalkConfig } from '../load/walk.ts'

const COMMIT_CONNECTIONS = 64
const READERS = 8
const PAGE_RECORDS = 64
const LOG_RECORDS = 16 * 1024
const MEMBERS = 6
const PARTITIONS = 12
const ANSWER_MS = 60_000

export const groups: Family = {
  name: 'groups',
  rows: ['34a', '34b', '35', '36a', '36b'],
  async measure(bench: Bench): Promise<Measurement[]> {
    await using curlew = await Curlew.start(bench.stage)
    const measurements: Measurement[] = []
    if (['34a', '34b'].some(bench.wants)) {
      measurements.push(...(await commits(bench, curlew, ['34a', '34b'])))
    }
    if (bench.wants('35')) measurements.push(await reads(bench, curlew))
    if (['36a', '36b'].some(bench.wants)) measurements.push(...(await rebalances(bench, curlew)))
    return measurements.filter(({ row }) => bench.wants(row))
  },
}

export const clusterGroups: Family = {
  name: 'cluster groups',
  rows: ['37a', '37b'],
  async measure(bench: Bench): Promise<Measurement[]> {
    await using cluster = await CurlewCluster.start(bench.stage, { storageNodes: 3 })
    const front = {
      port: cluster.port,
      pid: cluster.frontPid,
      url: (path: string) => `http://127.0.0.1:${cluster.port}${path}`,
      createTopic: (name: string) =>
        cluster.createTopic(name, { partitions: 1, replicationFactor: 3 }),
    }
    return (await commits(bench, front, ['37a', '37b'])).filter(({ row }) => bench.wants(row))
  },
}

/** A standalone server, or a front of a cluster. */
type Server = Pick<Curlew, 'port' | 'pid' | 'url' | 'createTopic'>

/** `rows`: of the rates, and of the p99. */
async function commits(
  bench: Bench,
  curlew: Server,
  rows: readonly [string, string],
): Promise<Measurement[]> {
  const { stage, plan } = bench
  await curlew.createTopic('committed')
  await fill(curlew, 'committed', 16)
  const body = await commitBody(curlew, 'committers', 'committed')
  const post = {
    port: curlew.port,
    connections: COMMIT_CONNECTIONS,
    contentType: 'application/json',
    bodyFile: bodyFile(stage, 'commit', body),
    payloadBytes: body.length,
    seconds: plan.seconds,
  }
  const at = (path: string) => () => withUsage(curlew.pid, () => wrkPost(stage, { ...post, path }))
  const samples = await interleave(
    `rows ${rows}`,
    {
      commit: at('/v1/groups/committers/offsets'),
      produce: at('/v1/topics/committed/publish?acks=all'),
    },
    plan,
  )
  const limit = `${load(samples.commit)}; a produce: ${load(samples.produce)}`
  const side = (name: 'commit' | 'produce', metric: 'perSecond' | 'p99Ms') => {
    return { name, samples: samples[name], metric }
  }
  return [
    ratio(rows[0], side('commit', 'perSecond'), side('produce', 'perSecond'), limit),
    ratio(rows[1], side('produce', 'p99Ms'), side('commit', 'p99Ms'), 'ours is the produce here'),
  ]
}

async function reads(bench: Bench, curlew: Curlew): Promise<Measurement> {
  const { stage, plan } = bench
  await curlew.createTopic('walked')
  await fill(curlew, 'walked', LOG_RECORDS)
  const { memberEpoch } = await join(curlew, 'walkers', 'walked', 1_800_000)
  const config: WalkConfig = { port: curlew.port, connections: READERS, records: PAGE_RECORDS }
  await using walker = await Helper.start<WalkCommand, Sample>(stage, 'load/walk.ts', config)
  const at = (path: string) => () =>
    withUsage(curlew.pid, () => walker.call({ path, seconds: plan.seconds }, ANSWER_MS))
  const samples = await interleave(
    'row 35',
    {
      member: at(`/v1/groups/walkers/members/member/records?memberEpoch=${memberEpoch}`),
      plain: at('/v1/topics/walked/records?partition=0'),
    },
    plan,
  )
  return ratio(
    '35',
    { name: 'as a member', samples: samples.member, metric: 'megabytesPerSecond' },
    { name: 'plain', samples: samples.plain, metric: 'megabytesPerSecond' },
    `${load(samples.member)}; plain: ${load(samples.plain)}`,
  )
}

async function rebalances(bench: Bench, curlew: Curlew): Promise<Measurement[]> {
  const { stage, plan } = bench
  const topic = 'moving'
  await curlew.createTopic(topic, { partitions: PARTITIONS })
  const config: RebalanceConfig = {
    port: curlew.port,
    topic,
    partitions: PARTITIONS,
    members: MEMBERS,
  }
  await using members = await Helper.start<object, Sample>(stage, 'load/rebalance.ts', config)
  const run = () => members.call({}, ANSWER_MS)
  const { group } = await interleave('row 36', { group: run }, plan)
  const side = (name: string, metric: 'p50Ms' | 'p99Ms') =>
    ({ name, samples: group, metric }) as const
  return [
    absolute(
      '36a',
      { name: 'until read again', samples: group, metric: 'readySeconds' },
      'the others hear of it from their polls, which wait at the coordinator',
    ),
    difference(
      '36b',
      side('longest pause after', 'p99Ms'),
      side('before', 'p50Ms'),
      'a record every 10 ms in each partition; both cores are shared with the load',
    ),
  ]
}
