/** Rows 13, 14: reads at the tail against a bare memory slice, and from files against the tail. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Bench, Family } from '../lib/bench.ts'
import { LOAD_CORE, SERVER_CORE } from '../lib/bench.ts'
import { Curlew } from '../lib/curlew.ts'
import { fill } from '../lib/fill.ts'
import { Helper } from '../lib/helper.ts'
import { interleave } from '../lib/interleave.ts'
import type { Measurement } from '../lib/measurement.ts'
import { load, ratio } from '../lib/measurement.ts'
import { RECORD_BYTES } from '../lib/payload.ts'
import type { Sample } from '../lib/sample.ts'
import { series } from '../lib/sample.ts'
import { median } from '../lib/statistics.ts'
import { withUsage } from '../lib/usage.ts'
import { wrkGet } from '../lib/wrk.ts'
import type { BareHttpConfig } from '../servers/bare-http.ts'

/** Fits into the memory tail. */
const LOG_RECORDS = 32 * 1024
/** What the readers at the tail of a log are about to read, all of them the same. */
const NEWEST_RECORDS = 2048

interface Page {
  readonly row: string
  readonly records: number
  readonly connections: number
}

interface Offsets {
  readonly first: number
  readonly count: number
  readonly step: number
}

const TAIL_PAGES: readonly Page[] = [
  { row: '13a', records: 64, connections: 32 },
  { row: '13b', records: 1024, connections: 8 },
]
const FILE_PAGE: Page = { row: '14', records: 64, connections: 32 }

export const read: Family = {
  name: 'read',
  rows: [...TAIL_PAGES.map(({ row }) => row), FILE_PAGE.row],
  async measure(bench: Bench): Promise<Measurement[]> {
    await using tail = await Curlew.start(bench.stage, { core: SERVER_CORE })
    await fillLog(tail)
    const measurements: Measurement[] = []
    const lines: string[][] = []
    for (const page of TAIL_PAGES.filter(({ row }) => bench.wants(row))) {
      measurements.push(await againstMemorySlice(bench, tail, page, lines))
    }
    if (lines.length > 0) {
      bench.addTable({
        title: 'Reading the newest pages or any page',
        note:
          'Pages that others have just read are rendered already; others are rendered from stored ' +
          'batches into JSON, record by record. The memory slice is as long as the page.',
        columns: ['page', 'newest pages MB/s', 'any page MB/s', 'memory slice MB/s'],
        lines,
      })
    }
    if (bench.wants(FILE_PAGE.row)) measurements.push(await fileAgainstTail(bench, tail))
    return measurements
  },
}

async function againstMemorySlice(
  bench: Bench,
  tail: Curlew,
  page: Page,
  lines: string[][],
): Promise<Measurement> {
  const { stage, plan } = bench
  const newest = pages(page, LOG_RECORDS - NEWEST_RECORDS, LOG_RECORDS)
  const answer = await fetch(tail.url(path(page, String(newest.first))))
  const sliceBytes = (await answer.arrayBuffer()).byteLength
  const config: BareHttpConfig = { sliceBytes, heldBytes: 0 }
  await using bare = await Helper.start(stage, 'servers/bare-http.ts', config, SERVER_CORE)
  const slice = { port: bare.port, path: '/slice', connections: page.connections }
  const samples = await interleave(
    `row ${page.row}`,
    {
      newest: () => get(bench, tail, page, newest),
      any: () => get(bench, tail, page, pages(page, 0, LOG_RECORDS)),
      slice: () =>
        withUsage(bare.pid, () =>
          wrkGet(stage, { ...slice, seconds: plan.seconds, core: LOAD_CORE }),
        ),
    },
    plan,
  )
  const rate = (side: keyof typeof samples) =>
    median(series(samples[side], 'megabytesPerSecond')).toFixed(0)
  lines.push([`${page.records} records`, rate('newest'), rate('any'), rate('slice')])
  return ratio(
    page.row,
    { name: 'Curlew', samples: samples.newest, metric: 'megabytesPerSecond' },
    { name: 'memory slice', samples: samples.slice, metric: 'megabytesPerSecond' },
    load(samples.newest),
  )
}

async function fileAgainstTail(bench: Bench, tail: Curlew): Promise<Measurement> {
  await using cold = await Curlew.start(bench.stage, { core: SERVER_CORE })
  await fillLog(cold)
  await cold.stop('graceful')
  await cold.start()
  const anywhere = pages(FILE_PAGE, 0, LOG_RECORDS)
  const samples = await interleave(
    'row 14',
    {
      file: () => {
        // Beside the logs there are files that come and go.
        warmPageCache(join(cold.directory, 'logs'))
        return get(bench, cold, FILE_PAGE, anywhere)
      },
      memory: () => get(bench, tail, FILE_PAGE, anywhere),
    },
    bench.plan,
  )
  return ratio(
    FILE_PAGE.row,
    { name: 'file', samples: samples.file, metric: 'megabytesPerSecond' },
    { name: 'memory tail', samples: samples.memory, metric: 'megabytesPerSecond' },
    `${load(samples.file)}: the hop to the thread pool and the copy out of the page cache`,
  )
}

function get(
  { stage, plan }: Bench,
  server: Curlew,
  page: Page,
  offsets: Offsets,
): Promise<Sample> {
  return withUsage(server.pid, () =>
    wrkGet(stage, {
      port: server.port,
      path: path(page, '{offset}'),
      offsets,
      connections: page.connections,
      seconds: plan.seconds,
      core: LOAD_CORE,
    }),
  )
}

function pages({ records }: Page, first: number, end: number): Offsets {
  return { first, count: Math.floor((end - first) / records), step: records }
}

function path({ records }: Page, offset: string): string {
  // Room for the framing of the stored batches, not for another batch.
  const maxBytes = Math.floor(records * RECORD_BYTES * 1.03)
  return `/v1/topics/log/records?partition=0&from=offset:${offset}&limit=${records}&maxBytes=${maxBytes}`
}

async function fillLog(server: Curlew): Promise<void> {
  await server.createTopic('log')
  await fill(server, 'log', LOG_RECORDS)
}

function warmPageCache(directory: string): void {
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) readFileSync(join(entry.parentPath, entry.name))
  }
}
