/** No row: what the topic profiles `latency` and `throughput` do to rate and latency, measured. */
import type { Bench, Family } from '../lib/bench.ts'
import { bodyFile } from '../lib/bench.ts'
import { Curlew } from '../lib/curlew.ts'
import { interleave } from '../lib/interleave.ts'
import type { Measurement } from '../lib/measurement.ts'
import { RECORD_BYTES, rawPayload } from '../lib/payload.ts'
import type { Metric, Sample } from '../lib/sample.ts'
import { series } from '../lib/sample.ts'
import { median } from '../lib/statistics.ts'
import { withUsage } from '../lib/usage.ts'
import { wrkPost } from '../lib/wrk.ts'

const PROFILES = ['latency', 'throughput'] as const
const CONNECTIONS = [1, 64, 256, 1000] as const

export const profiles: Family = {
  name: 'profiles',
  rows: ['profiles'],
  async measure(bench: Bench): Promise<Measurement[]> {
    const { stage, plan } = bench
    await using curlew = await Curlew.start(stage)
    for (const profile of PROFILES) await curlew.createTopic(profile, { profile })
    const file = bodyFile(stage, 'record', rawPayload(RECORD_BYTES))
    const publish = (profile: string, connections: number) => () =>
      withUsage(curlew.pid, () =>
        wrkPost(stage, {
          port: curlew.port,
          path: `/v1/topics/${profile}/publish`,
          connections,
          seconds: plan.seconds,
          contentType: 'application/octet-stream',
          bodyFile: file,
          payloadBytes: RECORD_BYTES,
        }),
      )
    const lines: string[][] = []
    for (const connections of CONNECTIONS) {
      const [latency, throughput] = PROFILES
      const samples = await interleave(
        `profiles, ${connections} connections`,
        {
          [latency]: publish(latency, connections),
          [throughput]: publish(throughput, connections),
        },
        plan,
      )
      for (const profile of PROFILES) {
        lines.push(line(profile, connections, samples[profile] as Sample[]))
      }
    }
    bench.addTable({
      title: 'Latency or throughput: the profile of a topic, measured',
      note:
        'Single durable records of 1 KiB. `throughput` waits a little for company, so that a journal ' +
        'write and a batch hold more records; `latency` (the default) writes at once.',
      columns: ['connections', 'profile', 'records/s', 'p50 ms', 'p99 ms', 'CPU µs per record'],
      lines,
    })
    return []
  },
}

function line(profile: string, connections: number, samples: readonly Sample[]): string[] {
  const of = (metric: Metric) => median(series(samples, metric))
  return [
    String(connections),
    profile,
    of('perSecond').toFixed(0),
    of('p50Ms').toFixed(2),
    of('p99Ms').toFixed(2),
    of('cpuMicros').toFixed(1),
  ]
}
