/** Rows 5, 6: what a durable acknowledgement adds to the disk's own time, and how far its tail reaches. */
import type { Bench, Family } from '../lib/bench.ts'
import { bodyFile } from '../lib/bench.ts'
import { Curlew } from '../lib/curlew.ts'
import { Helper } from '../lib/helper.ts'
import { interleave } from '../lib/interleave.ts'
import type { Measurement } from '../lib/measurement.ts'
import { difference, load, ratio } from '../lib/measurement.ts'
import { RECORD_BYTES, rawPayload } from '../lib/payload.ts'
import type { Sample } from '../lib/sample.ts'
import { withUsage } from '../lib/usage.ts'
import { wrkPost } from '../lib/wrk.ts'
import type { DiskCommand, DiskConfig } from '../load/disk.ts'
import type { OpenLoopCommand, OpenLoopConfig } from '../load/open-loop.ts'

const SYNC_BYTES = 4096
const CONNECTIONS = 64
const ANSWER_MS = 60_000

export const latency: Family = {
  name: 'latency',
  rows: ['5', '6'],
  async measure(bench: Bench): Promise<Measurement[]> {
    await using curlew = await Curlew.start(bench.stage)
    await curlew.createTopic('single')
    const measurements: Measurement[] = []
    if (bench.wants('5')) measurements.push(await acknowledgement(bench, curlew))
    if (bench.wants('6')) measurements.push(await tail(bench, curlew))
    return measurements
  },
}

async function acknowledgement(bench: Bench, curlew: Curlew): Promise<Measurement> {
  const { stage, plan } = bench
  const config: DiskConfig = { path: stage.path('disk') }
  await using disk = await Helper.start<DiskCommand, Sample>(stage, 'load/disk.ts', config)
  const command: DiskCommand = {
    file: 'recycled',
    blockBytes: SYNC_BYTES,
    seconds: plan.seconds,
  }
  const samples = await interleave(
    'row 5',
    {
      curlew: () => withUsage(curlew.pid, () => publish(bench, curlew, 1)),
      disk: () => disk.call(command, ANSWER_MS),
    },
    plan,
  )
  return difference(
    '5',
    { name: 'Curlew p50', samples: samples.curlew, metric: 'p50Ms' },
    { name: 'write + fdatasync p50', samples: samples.disk, metric: 'p50Ms' },
    `${load(samples.curlew)}: hops between client, event loop and journal thread`,
  )
}

async function tail(bench: Bench, curlew: Curlew): Promise<Measurement> {
  const { stage, plan } = bench
  const config: OpenLoopConfig = {
    port: curlew.port,
    path: '/v1/topics/single/publish',
    contentType: 'application/octet-stream',
    bodyBase64: rawPayload(RECORD_BYTES).toString('base64'),
    connections: CONNECTIONS,
  }
  await using generator = await Helper.start<OpenLoopCommand, Sample>(
    stage,
    'load/open-loop.ts',
    config,
  )
  let maximum = 0
  const samples = await interleave(
    'row 6',
    {
      maximum: async () => {
        const sample = await withUsage(curlew.pid, () => publish(bench, curlew, CONNECTIONS))
        maximum = sample.perSecond as number
        return sample
      },
      half: () =>
        withUsage(curlew.pid, () =>
          generator.call({ perSecond: maximum / 2, seconds: plan.seconds }, ANSWER_MS),
        ),
    },
    plan,
  )
  return ratio(
    '6',
    { name: 'p99', samples: samples.half, metric: 'p99Ms' },
    { name: 'p50', samples: samples.half, metric: 'p50Ms' },
    `${load(samples.half)}: stalls of the disk and of the event loop`,
  )
}

function publish({ stage, plan }: Bench, curlew: Curlew, connections: number): Promise<Sample> {
  return wrkPost(stage, {
    port: curlew.port,
    path: '/v1/topics/single/publish',
    connections,
    seconds: plan.seconds,
    contentType: 'application/octet-stream',
    bodyFile: bodyFile(stage, 'record', rawPayload(RECORD_BYTES)),
    payloadBytes: RECORD_BYTES,
  })
}
