/** Row 18: how soon a thousand parked readers have a new record, against a bare hold and release. */
import type { Bench, Family } from '../lib/bench.ts'
import { LOAD_CORE, SERVER_CORE } from '../lib/bench.ts'
import { Curlew } from '../lib/curlew.ts'
import { Helper } from '../lib/helper.ts'
import { interleave } from '../lib/interleave.ts'
import type { Measurement, Side } from '../lib/measurement.ts'
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
      syncPath: stage.path('released'),
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
    const synced: WaitersConfig = { ...theirs, publish: { path: '/synced-release', ...publish } }
    type Waiters = Helper<WaitersCommand, Sample>
    const script = 'load/waiters.ts'
    await using onCurlew: Waiters = await Helper.start(stage, script, ours, LOAD_CORE)
    await using onBare: Waiters = await Helper.start(stage, script, theirs, LOAD_CORE)
    await using onSynced: Waiters = await Helper.start(stage, script, synced, LOAD_CORE)
    const command: WaitersCommand = { seconds: plan.seconds }
    const samples = await interleave(
      'row 18',
      {
        curlew: () => withUsage(curlew.pid, () => onCurlew.call(command, ANSWER_MS)),
        bare: () => withUsage(bare.pid, () => onBare.call(command, ANSWER_MS)),
        synced: () => withUsage(bare.pid, () => onSynced.call(command, ANSWER_MS)),
      },
      plan,
    )
    const p50 = (name: string, of: readonly Sample[]): Side => ({
      name: `${name} p50`,
      samples: of,
      metric: 'p50Ms',
    })
    const curlewP50 = p50('Curlew', samples.curlew)
    const toDisk = ratio('18', curlewP50, p50('node:http with a sync', samples.synced), '')
    const { theirs: disk, value } = toDisk
    return [
      ratio(
        '18',
        curlewP50,
        p50('node:http', samples.bare),
        `${load(samples.curlew)}: one answer per waiter on one core, and the sync, which node:http goes without; ` +
          `with a write and fdatasync before it releases it takes ${disk?.value.toFixed(2)} ms, of which ours is ${value.median.toFixed(2)} times`,
      ),
    ]
  },
}
