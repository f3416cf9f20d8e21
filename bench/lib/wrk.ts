/** Closed-loop HTTP load by wrk: as many requests as the server answers on a number of connections. */
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import type { Sample } from './sample.ts'
import type { Stage } from './stage.ts'

interface Target {
  readonly port: number
  readonly path: string
  readonly connections: number
  readonly seconds: number
  readonly core?: number | undefined
}

export interface PostLoad extends Target {
  readonly contentType: string
  readonly bodyFile: string
  /** What a request counts for in MB/s; the payload, not the envelope. */
  readonly payloadBytes: number
}

export interface GetLoad extends Target {
  /** What `{offset}` in the path stands for, drawn anew for every request. */
  readonly offsets?: { readonly first: number; readonly count: number; readonly step: number }
}

interface Report {
  readonly requests: number
  readonly durationUs: number
  readonly bytes: number
  readonly p50Us: number
  readonly p99Us: number
  readonly failed: number
}

export async function wrkPost(stage: Stage, load: PostLoad): Promise<Sample> {
  const report = await run(stage, load, 'post.lua', [load.contentType, load.bodyFile])
  const perSecond = rate(report)
  return {
    ...latencies(report),
    perSecond,
    megabytesPerSecond: (perSecond * load.payloadBytes) / 1e6,
  }
}

export async function wrkGet(stage: Stage, load: GetLoad): Promise<Sample> {
  const { first, count, step } = load.offsets ?? { first: 0, count: 1, step: 0 }
  const report = await run(stage, load, 'get.lua', [load.path, ...[first, count, step].map(String)])
  return {
    ...latencies(report),
    perSecond: rate(report),
    megabytesPerSecond: report.bytes / report.durationUs,
    wireBytes: report.bytes / report.requests,
  }
}

async function run(
  stage: Stage,
  load: Target,
  script: string,
  parameters: readonly string[],
): Promise<Report> {
  const command = [
    'wrk',
    '--threads=1',
    `--connections=${load.connections}`,
    `--duration=${load.seconds}s`,
    '--timeout=30s',
    `--script=${fileURLToPath(new URL(`../load/${script}`, import.meta.url))}`,
    `http://127.0.0.1:${load.port}${load.path}`,
    '--',
    ...parameters,
  ]
  await using wrk = stage.spawn('wrk', command, { core: load.core, capture: true })
  const output = await text(wrk.child.stdout as NodeJS.ReadableStream)
  const line = /^REPORT (.*)$/m.exec(output)
  if (line === null) throw wrk.failure(`no report\n${output}`)
  const report = JSON.parse(line[1] as string) as Report
  if (report.failed > 0 || report.requests === 0) {
    throw wrk.failure(`${report.failed} failed, ${report.requests} answered at ${load.path}`)
  }
  return report
}

function rate(report: Report): number {
  return report.requests / (report.durationUs / 1e6)
}

function latencies(report: Report): Sample {
  return { p50Ms: report.p50Us / 1000, p99Ms: report.p99Us / 1000 }
}
