/** Row 18: how soon a thousand parked readers have a new record, against a bare hold and release. */
import type { Bench, Family } from '../lib/bench.ts'
import { LOAD_CORE, SERVER_CORE } from '../lib/bench.ts'
import { Curlew } from '../lib/curlew.ts'
import { Helper } from '../lib/helper.ts'
import { interleave } from '../lib/interleave.ts'
import type { Measurement } from '../lib/measurement.ts'
import { load, ratio } from '../lib/measurement.ts'
import { jsonRecord } from '../lib/payload.ts'
import type { Sample } from '../lib/sample.ts'
import { withUsage } from '../lib/usage.ts'
import type { WaitersCommand, WaitersConfig } from '../load/waiters.ts'
import type { BareHttpConfig } from '../servers/bare-http.ts'

const WAITERS = 1000
const RECORDS_PATH = '/v1/topics/wake/records'
const ANSWER_MS = 60_000

export const longPoll: Family = {
  name: 'long-poll',
  rows: ['18'],
  async measure({ stage, plan }: Bench): Promise<Measurement[]> {
    await using curlew = await Curlew.start(stage, { core: SERVER_CORE })
    await curlew.createTopic('wake')
    const publish = { contentType: 'application/json', body: jsonRecord(0) }
    const published = await fetch(curlew.url('/v1/topics/wake/publish'), {
      method: 'POST',
      headers: { 'content-type': publish.contentType },
      body: publish.body,
    })
    await published.body?.cancel()
    const answer = await fetch(curlew.url(`${RECORDS_PATH}?from=earliest&limit=1`))
    const bareConfig: BareHttpConfig = {
      sliceBytes: 1,
      heldBytes: (await answer.arrayBuffer()).byteLength,
    }
    await using bare = await Helper.start(stage, 'servers/bare-http.ts', bareConfig, SERVER_CORE)

    const ours: WaitersConfig = {
      port: curlew.port,
      waiters: WAITERS,
      waitPath: `${RECORDS_PATH}?wait=30&cursor={cursor}`,
      cursorPath: `${RECORDS_PATH}?from=latest`,
      publish: { path: '/v1/topics/wake/publish', ...publish },
    }
    const theirs: WaitersConfig = {
      port: bare.port,
      waiters: WAITERS,
      waitPath: '/hold',
      publish: { path: '/release', ...publish },
    }
    type Waiters = Helper<WaitersCommand, Sample>
    const script = 'load/waiters.ts'
    await using onCurlew: Waiters = await Helper.start(stage, script, ours, LOAD_CORE)
    await using onBare: Waiters = await Helper.start(stage, script, theirs, LOAD_CORE)
    const command: WaitersCommand = { seconds: plan.seconds }
    const samples = await interleave(
      'row 18',
      {
        curlew: () => withUsage(curlew.pid, () => onCurlew.call(command, ANSWER_MS)),
        bare: () => withUsage(bare.pid, () => onBare.call(command, ANSWER_MS)),
      },
      plan,
    )
    return [
      ratio(
        '18',
        { name: 'Curlew p50', samples: samples.curlew, metric: 'p50Ms' },
        { name: 'node:http p50', samples: samples.bare, metric: 'p50Ms' },
        `${load(samples.curlew)}: one answer per waiter on one core; Curlew's includes the sync`,
      ),
    ]
  },
}
