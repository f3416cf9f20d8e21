/** Rows 19 to 21, 24, 25: Curlew beside @durable-streams/server, on files and in memory, in the same minutes. */
import type { Bench, Family } from '../lib/bench.ts'
import { bodyFile, SERVER_CORE } from '../lib/bench.ts'
import { Curlew } from '../lib/curlew.ts'
import { BURST_EVENTS, Crowd, curlewSingle, peerSingle } from '../lib/fan-out.ts'
import { Helper } from '../lib/helper.ts'
import { interleave } from '../lib/interleave.ts'
import type { Measurement } from '../lib/measurement.ts'
import { load, ratio } from '../lib/measurement.ts'
import { BATCH_RECORDS, ndjsonBatch, RECORD_BYTES, rawPayload } from '../lib/payload.ts'
import type { Metric, Sample } from '../lib/sample.ts'
import type { Stage } from '../lib/stage.ts'
import { withUsage } from '../lib/usage.ts'
import { wrkPost } from '../lib/wrk.ts'
import { ONE_BY_ONE, UNTHROTTLED } from '../load/fan-out-round.ts'
import type { DurableStreamsConfig } from '../servers/durable-streams.ts'

const PRODUCE_ROWS = ['19', '20', '21']
const BATCH_ROWS = ['24']
const FAN_OUT_ROWS = ['25a', '25b', '25c']
const SUBSCRIBERS = 1000
const STREAM = '/v1/stream/bench'

export const peers: Family = {
  name: 'peers',
  rows: [...PRODUCE_ROWS, ...BATCH_ROWS, ...FAN_OUT_ROWS],
  async measure(bench: Bench): Promise<Measurement[]> {
    const measurements: Measurement[] = []
    if (PRODUCE_ROWS.some(bench.wants)) measurements.push(...(await single(bench)))
    if (BATCH_ROWS.some(bench.wants)) measurements.push(await batches(bench))
    if (FAN_OUT_ROWS.some(bench.wants)) measurements.push(...(await events(bench)))
    return measurements.filter(({ row }) => bench.wants(row))
  },
}

async function single({ stage, plan }: Bench): Promise<Measurement[]> {
  const contentType = 'application/octet-stream'
  await using curlew = await Curlew.start(stage)
  await using files = await peer(stage, 'files', contentType)
  await using memory = await peer(stage, 'memory', contentType)
  await curlew.createTopic('single')
  const post = (server: { pid: number; port: number }, path: string) => () =>
    withUsage(server.pid, () =>
      wrkPost(stage, {
        port: server.port,
        path,
        contentType,
        bodyFile: bodyFile(stage, 'record', rawPayload(RECORD_BYTES)),
        payloadBytes: RECORD_BYTES,
        connections: 64,
        seconds: plan.seconds,
      }),
    )
  const samples = await interleave(
    'rows 19-21',
    {
      curlew: post(curlew, '/v1/topics/single/publish'),
      files: post(files, STREAM),
      memory: post(memory, STREAM),
    },
    plan,
  )
  const side = (name: string, key: keyof typeof samples, metric: Metric) => ({
    name,
    samples: samples[key],
    metric,
  })
  const ours = side('Curlew', 'curlew', 'perSecond')
  const limit = load(samples.curlew)
  return [
    ratio('19', ours, side('durable-streams, files', 'files', 'perSecond'), limit),
    ratio(
      '20',
      side('Curlew p99', 'curlew', 'p99Ms'),
      side('durable-streams, files, p99', 'files', 'p99Ms'),
      limit,
    ),
    ratio('21', ours, side('durable-streams, memory', 'memory', 'perSecond'), limit),
  ]
}

async function batches({ stage, plan }: Bench): Promise<Measurement> {
  const payloadBytes = BATCH_RECORDS * RECORD_BYTES
  const octets = 'application/octet-stream'
  await using curlew = await Curlew.start(stage)
  await using files = await peer(stage, 'files', octets)
  await curlew.createTopic('batches')
  const common = { connections: 16, seconds: plan.seconds, payloadBytes }
  const ndjson = bodyFile(stage, 'ndjson', ndjsonBatch(BATCH_RECORDS))
  const opaque = bodyFile(stage, 'opaque', rawPayload(payloadBytes))
  const samples = await interleave(
    'row 24',
    {
      curlew: () =>
        withUsage(curlew.pid, () =>
          wrkPost(stage, {
            ...common,
            port: curlew.port,
            path: '/v1/topics/batches/records',
            contentType: 'application/x-ndjson',
            bodyFile: ndjson,
          }),
        ),
      files: () =>
        withUsage(files.pid, () =>
          wrkPost(stage, {
            ...common,
            port: files.port,
            path: STREAM,
            contentType: octets,
            bodyFile: opaque,
          }),
        ),
    },
    plan,
  )
  return ratio(
    '24',
    { name: 'Curlew, 100 records', samples: samples.curlew, metric: 'megabytesPerSecond' },
    { name: 'one opaque append', samples: samples.files, metric: 'megabytesPerSecond' },
    load(samples.curlew),
  )
}

async function events({ stage, plan }: Bench): Promise<Measurement[]> {
  await using curlew = await Curlew.start(stage, { core: SERVER_CORE })
  await using files = await peer(stage, 'files', 'text/plain', SERVER_CORE)
  await using memory = await peer(stage, 'memory', 'text/plain', SERVER_CORE)
  await curlew.createTopic('events')
  const crowd = (server: Parameters<typeof Crowd.gather>[1], path: string) =>
    Crowd.gather(stage, server, path, SUBSCRIBERS)
  await using ours = await crowd(curlew, '/v1/topics/events/stream?from=latest')
  await using onFiles = await crowd(files, `${STREAM}?offset=now&live=sse`)
  await using onMemory = await crowd(memory, `${STREAM}?offset=now&live=sse`)
  const { seconds } = plan
  const atOnce = { requests: BURST_EVENTS }
  const samples = await interleave(
    'row 25',
    {
      curlew: () => ours.round({ shot: curlewSingle('events'), seconds, pace: ONE_BY_ONE }),
      files: () => onFiles.round({ shot: peerSingle(STREAM), seconds, pace: UNTHROTTLED }),
      memory: () => onMemory.round({ shot: peerSingle(STREAM), seconds, pace: UNTHROTTLED }),
      burst: () =>
        ours.round({
          shot: { ...curlewSingle('events'), ...atOnce },
          seconds,
          pace: UNTHROTTLED,
        }),
      memoryBurst: () =>
        onMemory.round({ shot: { ...peerSingle(STREAM), ...atOnce }, seconds, pace: UNTHROTTLED }),
    },
    plan,
  )
  const side = (name: string, key: keyof typeof samples) =>
    ({ name, samples: samples[key].map(payloadOnly), metric: 'megabytesPerSecond' }) as const
  const one = side('Curlew', 'curlew')
  const limit = load(samples.curlew)
  return [
    ratio('25a', one, side('durable-streams, files', 'files'), limit),
    ratio('25b', one, side('durable-streams, memory', 'memory'), limit),
    ratio(
      '25c',
      side('Curlew, bursts', 'burst'),
      side('durable-streams, memory, bursts', 'memoryBurst'),
      load(samples.burst),
    ),
  ]
}

/** Delivered payload: the peer's own control events and our cursors are not what is wanted. */
function payloadOnly(sample: Sample): Sample {
  return { megabytesPerSecond: ((sample.perSecond as number) * RECORD_BYTES) / 1e6 }
}

async function peer(
  stage: Stage,
  where: 'files' | 'memory',
  contentType: string,
  core?: number,
): Promise<Helper<never, never>> {
  const config: DurableStreamsConfig =
    where === 'files' ? { directory: stage.path('durable-streams') } : {}
  const server = await Helper.start<never, never>(stage, 'servers/durable-streams.ts', config, core)
  const created = await fetch(`http://127.0.0.1:${server.port}${STREAM}`, {
    method: 'PUT',
    headers: { 'content-type': contentType },
  })
  if (created.status !== 201) throw new Error(`durable-streams: ${created.status}`)
  await created.body?.cancel()
  return server
}
