/** Rows 7 to 12: durable batches against the same server without a disk, the bare disk, and other shapes. */
import type { Bench, Family } from '../lib/bench.ts'
import { bodyFile } from '../lib/bench.ts'
import { Curlew } from '../lib/curlew.ts'
import { Helper } from '../lib/helper.ts'
import { interleave } from '../lib/interleave.ts'
import type { Measurement, Side } from '../lib/measurement.ts'
import { absolute, load, ratio } from '../lib/measurement.ts'
import { BATCH_RECORDS, jsonBatch, ndjsonBatch, RECORD_BYTES, rawPayload } from '../lib/payload.ts'
import type { Metric, Sample } from '../lib/sample.ts'
import { withUsage } from '../lib/usage.ts'
import { wrkPost } from '../lib/wrk.ts'
import type { DiskCommand, DiskConfig } from '../load/disk.ts'

const BATCH_BYTES = BATCH_RECORDS * RECORD_BYTES
const WRITE_BYTES = 1024 * 1024
const ANSWER_MS = 60_000

/** What each row compares; only the sides that a chosen row needs are run. */
const SIDES_OF: Readonly<Record<string, readonly SideName[]>> = {
  '7': ['ndjson', 'memory'],
  '8': ['ndjson', 'growing'],
  '9': ['ndjson', 'recycled'],
  '10a': ['ndjson', 'opaque'],
  '10b': ['ndjson', 'json'],
  '11': ['ndjson', 'single'],
  '12a': ['single'],
  '12b': ['ndjson'],
}

type SideName = 'ndjson' | 'memory' | 'growing' | 'recycled' | 'opaque' | 'json' | 'single'
type Samples = Record<SideName, Sample[]>

export const ingest: Family = {
  name: 'ingest',
  rows: Object.keys(SIDES_OF),
  async measure(bench: Bench): Promise<Measurement[]> {
    const { stage, plan } = bench
    await using curlew = await Curlew.start(stage)
    await using memory = await Curlew.start(stage, { where: 'memory' })
    const config: DiskConfig = { path: stage.path('disk') }
    await using disk = await Helper.start<DiskCommand, Sample>(stage, 'load/disk.ts', config)
    await Promise.all([curlew, memory].map((server) => server.createTopic('batches')))
    await curlew.createTopic('single')

    const rows = this.rows.filter(bench.wants)
    const sides = allSides(bench, { curlew, memory, disk })
    const needed = new Set(rows.flatMap((row) => SIDES_OF[row] as readonly SideName[]))
    const chosen = Object.fromEntries([...needed].map((name) => [name, sides[name]]))
    const samples = (await interleave('rows 7-12', chosen, plan)) as Samples
    return rows.map((row) => measurement(row, samples))
  },
}

interface Servers {
  readonly curlew: Curlew
  readonly memory: Curlew
  readonly disk: Helper<DiskCommand, Sample>
}

function allSides(
  bench: Bench,
  { curlew, memory, disk }: Servers,
): Record<SideName, () => Promise<Sample>> {
  const { stage } = bench
  const { seconds } = bench.plan
  const ndjson = batch(
    'application/x-ndjson',
    bodyFile(stage, 'ndjson', ndjsonBatch(BATCH_RECORDS)),
  )
  const json = batch('application/json', bodyFile(stage, 'json', jsonBatch(BATCH_RECORDS)))
  const octets = 'application/octet-stream'
  const opaque = {
    ...batch(octets, bodyFile(stage, 'opaque', rawPayload(BATCH_BYTES))),
    path: '/v1/topics/batches/publish',
  }
  const single = {
    path: '/v1/topics/single/publish',
    connections: 64,
    contentType: octets,
    bodyFile: bodyFile(stage, 'record', rawPayload(RECORD_BYTES)),
    payloadBytes: RECORD_BYTES,
  }
  const post = (server: Curlew, shape: typeof ndjson) => () =>
    withUsage(server.pid, () => wrkPost(stage, { ...shape, seconds, port: server.port }))
  const write = (file: DiskCommand['file']) => () =>
    disk.call({ file, blockBytes: WRITE_BYTES, seconds }, ANSWER_MS)
  return {
    ndjson: post(curlew, ndjson),
    memory: post(memory, ndjson),
    growing: write('growing'),
    recycled: write('recycled'),
    opaque: post(curlew, opaque),
    json: post(curlew, json),
    single: post(curlew, single),
  }
}

function batch(contentType: string, file: string) {
  return {
    path: '/v1/topics/batches/records',
    connections: 16,
    contentType,
    bodyFile: file,
    payloadBytes: BATCH_BYTES,
  }
}

function measurement(row: string, samples: Samples): Measurement {
  const side = (name: string, key: SideName, metric: Metric, scale = 1): Side => ({
    name,
    samples: samples[key],
    metric,
    scale,
  })
  const megabytes = (name: string, key: SideName) => side(name, key, 'megabytesPerSecond')
  const ndjson = () => megabytes('NDJSON', 'ndjson')
  const limit = (key: SideName) => load(samples[key])
  switch (row) {
    case '7':
      return ratio(row, ndjson(), megabytes('data on tmpfs', 'memory'), limit('ndjson'))
    case '8':
      return ratio(row, ndjson(), megabytes('growing file', 'growing'), limit('ndjson'))
    case '9':
      return ratio(row, ndjson(), megabytes('recycled file', 'recycled'), limit('ndjson'))
    case '10a': {
      const why =
        'a hundred records are found in the text, placed and encoded, where the other is copied'
      const opaque = megabytes('opaque payload', 'opaque')
      return ratio(row, ndjson(), opaque, `${limit('ndjson')}: ${why}`)
    }
    case '10b':
      return ratio(row, megabytes('JSON array', 'json'), ndjson(), limit('json'))
    case '11': {
      const batched = side('batches', 'ndjson', 'perSecond', BATCH_RECORDS)
      return ratio(row, batched, side('one by one', 'single', 'perSecond'), limit('ndjson'))
    }
    case '12a':
      return absolute(row, side('all threads', 'single', 'cpuMicros'), limit('single'))
    default: {
      const each = side('all threads', 'ndjson', 'cpuMicros', 1 / BATCH_RECORDS)
      return absolute(row, each, limit('ndjson'))
    }
  }
}
