/** Rows 1, 2: single-record durable produce against a bare fastify that stores nothing. */
import type { Bench, Family } from '../lib/bench.ts'
import { bodyFile } from '../lib/bench.ts'
import { Curlew } from '../lib/curlew.ts'
import { Helper } from '../lib/helper.ts'
import { interleave } from '../lib/interleave.ts'
import type { Measurement } from '../lib/measurement.ts'
import { load, ratio } from '../lib/measurement.ts'
import { RECORD_BYTES, rawPayload } from '../lib/payload.ts'
import { withUsage } from '../lib/usage.ts'
import { wrkPost } from '../lib/wrk.ts'

const CONNECTIONS: Readonly<Record<string, number>> = { '1': 64, '2': 256 }

export const produce: Family = {
  name: 'produce',
  rows: Object.keys(CONNECTIONS),
  async measure(bench: Bench): Promise<Measurement[]> {
    const { stage, plan } = bench
    await using fastify = await Helper.start(stage, 'servers/bare-fastify.ts', {})
    await using curlew = await Curlew.start(stage)
    await curlew.createTopic('single')
    const post = {
      contentType: 'application/octet-stream',
      bodyFile: bodyFile(stage, 'record', rawPayload(RECORD_BYTES)),
      payloadBytes: RECORD_BYTES,
      seconds: plan.seconds,
    }
    const measurements: Measurement[] = []
    for (const row of this.rows.filter(bench.wants)) {
      const connections = CONNECTIONS[row] as number
      const path = '/v1/topics/single/publish'
      const samples = await interleave(
        `row ${row}`,
        {
          curlew: () =>
            withUsage(curlew.pid, () =>
              wrkPost(stage, { ...post, connections, path, port: curlew.port }),
            ),
          fastify: () =>
            withUsage(fastify.pid, () =>
              wrkPost(stage, { ...post, connections, path: '/publish', port: fastify.port }),
            ),
        },
        plan,
      )
      measurements.push(
        ratio(
          row,
          { name: 'Curlew', samples: samples.curlew, metric: 'perSecond' },
          { name: 'bare fastify', samples: samples.fastify, metric: 'perSecond' },
          `${load(samples.curlew)}: the event loop is the limit when it is near 100 %`,
        ),
      )
    }
    return measurements
  },
}
