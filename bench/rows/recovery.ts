/** Row 31: from kill -9 under load to ready again, by size of the log, and nothing acknowledged is lost. */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Bench, Family } from '../lib/bench.ts'
import { bodyFile } from '../lib/bench.ts'
import { Curlew } from '../lib/curlew.ts'
import type { Measurement } from '../lib/measurement.ts'
import { BATCH_RECORDS, ndjsonBatch, RECORD_BYTES } from '../lib/payload.ts'
import { median, spread } from '../lib/statistics.ts'
import { wrkPost } from '../lib/wrk.ts'

const GIB = 1024 ** 3
const QUICK_BYTES = GIB / 8
const KILL_AFTER_MS = 700

interface Crash {
  readonly logBytes: number
  /** Beyond what the start of an empty server takes. */
  readonly seconds: number
}

export const recovery: Family = {
  name: 'recovery',
  rows: ['31a', '31b'],
  async measure(bench: Bench): Promise<Measurement[]> {
    const fullBytes = bench.quick ? QUICK_BYTES : GIB
    const quarters: Crash[] = []
    const wholes: Crash[] = []
    for (let round = 0; round < bench.plan.rounds; round++) {
      await using curlew = await Curlew.start(bench.stage)
      await curlew.createTopic('log')
      quarters.push(await crash(bench, curlew, fullBytes / 4))
      wholes.push(await crash(bench, curlew, fullBytes))
    }
    const perGib = wholes.map(({ seconds, logBytes }) => seconds / (logBytes / GIB))
    const growth = wholes.map(
      ({ seconds }, round) => seconds / Math.max(0.01, (quarters[round] as Crash).seconds),
    )
    const figure = (name: string, crashes: readonly Crash[]) => ({
      name: `${name}, ${(median(crashes.map(({ logBytes }) => logBytes)) / GIB).toFixed(2)} GiB`,
      value: median(crashes.map(({ seconds }) => seconds)),
      unit: 's',
    })
    const ours = figure('whole log', wholes)
    const theirs = figure('quarter', quarters)
    const limit = 'the replay of the journal since the last checkpoint, whatever the logs hold'
    return [
      { row: '31a', value: spread(perGib), ours, limit },
      { row: '31b', value: spread(growth), ours, theirs, limit },
    ].filter(({ row }) => bench.wants(row))
  },
}

async function crash(bench: Bench, curlew: Curlew, wantedBytes: number): Promise<Crash> {
  const { stage, plan } = bench
  const load = {
    path: '/v1/topics/log/records',
    connections: 16,
    contentType: 'application/x-ndjson',
    bodyFile: bodyFile(stage, 'ndjson', ndjsonBatch(BATCH_RECORDS)),
    payloadBytes: BATCH_RECORDS * RECORD_BYTES,
  }
  while (tailOffset(await latest(curlew)) * RECORD_BYTES < wantedBytes) {
    await wrkPost(stage, { ...load, port: curlew.port, seconds: 1 })
  }
  const acknowledged = tailOffset(await latest(curlew))
  // The load breaks off when the server is gone: that is what is wanted here.
  const broken = wrkPost(stage, { ...load, port: curlew.port, seconds: 2 }).catch(() => undefined)
  await sleep(KILL_AFTER_MS)
  await curlew.stop('kill')
  await broken
  const readySeconds = await curlew.start()
  const recovered = tailOffset(await latest(curlew))
  if (recovered < acknowledged) {
    throw new Error(`acknowledged up to ${acknowledged}, recovered up to ${recovered}`)
  }
  await using empty = await Curlew.start(stage)
  await empty.stop('graceful')
  const emptySeconds = await empty.start()
  plan.progress(
    `row 31: ready after ${readySeconds.toFixed(2)} s with ${logBytes(curlew.directory)} bytes of log, ` +
      `after ${emptySeconds.toFixed(2)} s with none`,
  )
  return {
    logBytes: logBytes(curlew.directory),
    seconds: Math.max(0, readySeconds - emptySeconds),
  }
}

/** The last record of the log as JSON text. */
async function latest(curlew: Curlew): Promise<string> {
  const response = await fetch(curlew.url('/v1/topics/log/records?partition=0&from=last:1'))
  if (response.status !== 200) throw new Error(`read: ${response.status} ${await response.text()}`)
  return response.text()
}

/** Zero while the log is empty. */
function tailOffset(answer: string): number {
  const offset = /"offset":(\d+)/.exec(answer)
  return offset === null ? 0 : Number(offset[1]) + 1
}

function logBytes(directory: string): number {
  const entries = readdirSync(join(directory, 'logs'), { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile() && entry.name.endsWith('.log'))
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0)
}
