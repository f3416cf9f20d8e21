/** Rows 13, 14: reads at the tail against a bare memory slice, and from files against the tail. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Bench, Family } from '../lib/bench.ts'
import { LOAD_CORE, SERVER_CORE } from '../lib/bench.ts'
import { Curlew } from '../lib/curlew.ts'
import { Helper } from '../lib/helper.ts'
import { interleave } from '../lib/interleave.ts'
import type { Measurement } from '../lib/measurement.ts'
import { load, ratio } from '../lib/measurement.ts'
import { BATCH_RECORDS, ndjsonBatch, RECORD_BYTES } from '../lib/payload.ts'
import type { Sample } from '../lib/sample.ts'
import { withUsage } from '../lib/usage.ts'
import { wrkGet } from '../lib/wrk.ts'
import type { BareHttpConfig } from '../servers/bare-http.ts'

/** Small enough for the memory tail, large enough that reads do not hit the same lines of cache. */
const LOG_RECORDS = 32 * 1024
const KIB = 1024

interface Size {
  readonly row: string
  readonly bytes: number
  readonly connections: number
}

const TAIL_SIZES: readonly Size[] = [
  { row: '13a', bytes: 64 * KIB, connections: 32 },
  { row: '13b', bytes: 1024 * KIB, connections: 8 },
]
const FILE_SIZE: Size = { row: '14', bytes: 64 * KIB, connections: 32 }

export const read: Family = {
  name: 'read',
  rows: [...TAIL_SIZES.map(({ row }) => row), FILE_SIZE.row],
  async measure(bench: Bench): Promise<Measurement[]> {
    await using tail = await Curlew.start(bench.stage, { core: SERVER_CORE })
    await fill(tail)
    const measurements: Measurement[] = []
    for (const size of TAIL_SIZES.filter(({ row }) => bench.wants(row))) {
      measurements.push(await againstMemorySlice(bench, tail, size))
    }
    if (bench.wants(FILE_SIZE.row)) measurements.push(await fileAgainstTail(bench, tail))
    return measurements
  },
}

async function againstMemorySlice(bench: Bench, tail: Curlew, size: Size): Promise<Measurement> {
  const { stage, plan } = bench
  const answer = await fetch(tail.url(path(size, '0')))
  const sliceBytes = (await answer.arrayBuffer()).byteLength
  if (sliceBytes < size.bytes / 2)
    throw new Error(`asked for ${size.bytes} bytes, got ${sliceBytes}`)
  const config: BareHttpConfig = { sliceBytes, heldBytes: KIB }
  await using bare = await Helper.start(stage, 'servers/bare-http.ts', config, SERVER_CORE)
  const slice = { port: bare.port, path: '/slice', connections: size.connections }
  const samples = await interleave(
    `row ${size.row}`,
    {
      curlew: () => get(bench, tail, size),
      slice: () =>
        withUsage(bare.pid, () =>
          wrkGet(stage, { ...slice, seconds: plan.seconds, core: LOAD_CORE }),
        ),
    },
    plan,
  )
  return ratio(
    size.row,
    { name: 'Curlew', samples: samples.curlew, metric: 'megabytesPerSecond' },
    { name: 'memory slice', samples: samples.slice, metric: 'megabytesPerSecond' },
    `${load(samples.curlew)}: rendering of records into JSON, which a slice does not need`,
  )
}

async function fileAgainstTail(bench: Bench, tail: Curlew): Promise<Measurement> {
  await using cold = await Curlew.start(bench.stage, { core: SERVER_CORE })
  await fill(cold)
  await cold.stop('graceful')
  await cold.start()
  const samples = await interleave(
    'row 14',
    {
      file: () => {
        warmPageCache(cold.directory)
        return get(bench, cold, FILE_SIZE)
      },
      memory: () => get(bench, tail, FILE_SIZE),
    },
    bench.plan,
  )
  return ratio(
    FILE_SIZE.row,
    { name: 'file', samples: samples.file, metric: 'megabytesPerSecond' },
    { name: 'memory tail', samples: samples.memory, metric: 'megabytesPerSecond' },
    `${load(samples.file)}: the hop to the thread pool and the copy out of the page cache`,
  )
}

function get({ stage, plan }: Bench, server: Curlew, size: Size): Promise<Sample> {
  const last = LOG_RECORDS - (2 * size.bytes) / RECORD_BYTES
  return withUsage(server.pid, () =>
    wrkGet(stage, {
      port: server.port,
      path: path(size, '{offset}'),
      offsets: { first: 0, last },
      connections: size.connections,
      seconds: plan.seconds,
      core: LOAD_CORE,
    }),
  )
}

function path({ bytes }: Size, offset: string): string {
  return `/v1/topics/log/records?partition=0&from=offset:${offset}&limit=10000&maxBytes=${bytes}`
}

async function fill(server: Curlew): Promise<void> {
  await server.createTopic('log')
  const body = ndjsonBatch(BATCH_RECORDS)
  for (let written = 0; written < LOG_RECORDS; written += BATCH_RECORDS) {
    const response = await fetch(server.url('/v1/topics/log/records'), {
      method: 'POST',
      headers: { 'content-type': 'application/x-ndjson' },
      body,
    })
    if (response.status !== 200)
      throw new Error(`fill: ${response.status} ${await response.text()}`)
    await response.body?.cancel()
  }
}

function warmPageCache(directory: string): void {
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) readFileSync(join(entry.parentPath, entry.name))
  }
}
