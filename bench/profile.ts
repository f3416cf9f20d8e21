/** `node bench/profile.ts [workload]`: where a hot workload spends the server's processor time. */
import { mkdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { parseArgs } from 'node:util'
import { bodyFile, LOAD_CORE } from './lib/bench.ts'
import { readProfiles } from './lib/cpu-profile.ts'
import { Curlew } from './lib/curlew.ts'
import { Crowd, curlewBurst, curlewSingle } from './lib/fan-out.ts'
import { fill } from './lib/fill.ts'
import { commitBody } from './lib/group.ts'
import { Helper } from './lib/helper.ts'
import { BATCH_RECORDS, jsonRecord, ndjsonBatch, RECORD_BYTES, rawPayload } from './lib/payload.ts'
import type { Sample } from './lib/sample.ts'
import { Stage } from './lib/stage.ts'
import { withUsage } from './lib/usage.ts'
import { wrkGet, wrkPost } from './lib/wrk.ts'
import { ONE_BY_ONE } from './load/fan-out-round.ts'
import type { WaitersCommand, WaitersConfig } from './load/waiters.ts'

type Workload = (stage: Stage, curlew: Curlew, seconds: number) => Promise<Sample>

const WORKLOADS: Readonly<Record<string, Workload>> = {
  publish: (stage, curlew, seconds) =>
    post(stage, curlew, seconds, {
      path: 'publish',
      connections: 64,
      contentType: 'application/octet-stream',
      body: rawPayload(RECORD_BYTES),
      records: 1,
    }),
  ndjson: (stage, curlew, seconds) =>
    post(stage, curlew, seconds, {
      path: 'records',
      connections: 16,
      contentType: 'application/x-ndjson',
      body: ndjsonBatch(BATCH_RECORDS),
      records: BATCH_RECORDS,
    }),
  opaque: (stage, curlew, seconds) =>
    post(stage, curlew, seconds, {
      path: 'publish',
      connections: 16,
      contentType: 'application/octet-stream',
      body: rawPayload(BATCH_RECORDS * RECORD_BYTES),
      records: BATCH_RECORDS,
    }),
  commit: async (stage, curlew, seconds) => {
    await fill(curlew, 'hot', 16)
    return wrkPost(stage, {
      port: curlew.port,
      path: '/v1/groups/readers/offsets',
      connections: 64,
      contentType: 'application/json',
      bodyFile: bodyFile(stage, 'body', await commitBody(curlew, 'readers', 'hot')),
      payloadBytes: 0,
      seconds,
    })
  },
  get: async (stage, curlew, seconds) => {
    await fill(curlew, 'hot', 32_768)
    return wrkGet(stage, {
      port: curlew.port,
      path: '/v1/topics/hot/records?partition=0&from=offset:{offset}&limit=1024&maxBytes=1080000',
      offsets: { first: 0, count: 30_000, step: 1 },
      connections: 8,
      seconds,
    })
  },
  longpoll: (stage, curlew, seconds) => longPoll(stage, curlew, seconds),
  sse: (stage, curlew, seconds) => fanOut(stage, curlew, seconds, curlewSingle('hot')),
  burst: (stage, curlew, seconds) => fanOut(stage, curlew, seconds, curlewBurst('hot')),
}
const SUBSCRIBERS = 1000

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seconds: { type: 'string', default: '10' }, top: { type: 'string', default: '40' } },
})
for (const name of positionals.length === 0 ? Object.keys(WORKLOADS) : positionals) {
  await profile(name, Number(values.seconds), Number(values.top))
}

async function profile(name: string, seconds: number, top: number): Promise<void> {
  const workload = WORKLOADS[name]
  if (workload === undefined) throw new Error(`workloads: ${Object.keys(WORKLOADS).join(', ')}`)
  const stage = new Stage(tmpdir())
  try {
    const directory = stage.path('profiles')
    mkdirSync(directory)
    const nodeArguments = ['--cpu-prof', `--cpu-prof-dir=${directory}`]
    await using curlew = await Curlew.start(stage, { nodeArguments })
    await curlew.createTopic('hot')
    const sample = await withUsage(curlew.pid, () => workload(stage, curlew, seconds))
    await curlew.stop('graceful')
    console.log(`\n== ${name}: ${JSON.stringify(sample)}`)
    for (const thread of readProfiles(directory, seconds)) {
      console.log(`-- ${thread.file}: busy ${(thread.busy * 100).toFixed(0)} %`)
      for (const list of [thread.parts, thread.functions]) {
        for (const { where, share } of list.slice(0, top)) {
          console.log(`${(share * 100).toFixed(1).padStart(5)} %  ${where}`)
        }
        console.log('')
      }
    }
  } finally {
    await stage.close()
  }
}

interface Post {
  readonly path: string
  readonly connections: number
  readonly contentType: string
  readonly body: string | Buffer
  readonly records: number
}

function post(stage: Stage, curlew: Curlew, seconds: number, load: Post): Promise<Sample> {
  return wrkPost(stage, {
    port: curlew.port,
    path: `/v1/topics/hot/${load.path}`,
    connections: load.connections,
    contentType: load.contentType,
    bodyFile: bodyFile(stage, 'body', load.body),
    payloadBytes: load.records * RECORD_BYTES,
    seconds,
  })
}

async function fanOut(
  stage: Stage,
  curlew: Curlew,
  seconds: number,
  shot: ReturnType<typeof curlewBurst>,
): Promise<Sample> {
  const path = '/v1/topics/hot/stream?from=latest'
  await using crowd = await Crowd.gather(stage, curlew, path, SUBSCRIBERS)
  return await crowd.round({ shot, seconds, pace: ONE_BY_ONE })
}

async function longPoll(stage: Stage, curlew: Curlew, seconds: number): Promise<Sample> {
  const records = '/v1/topics/hot/records'
  const config: WaitersConfig = {
    port: curlew.port,
    waiters: SUBSCRIBERS,
    waitPath: `${records}?wait=30&cursor={cursor}`,
    cursorPath: `${records}?from=latest`,
    publish: {
      path: '/v1/topics/hot/publish',
      contentType: 'application/json',
      body: jsonRecord(0),
    },
  }
  type Waiters = Helper<WaitersCommand, Sample>
  await using waiters: Waiters = await Helper.start(stage, 'load/waiters.ts', config, LOAD_CORE)
  return await waiters.call({ seconds }, 2000 * seconds)
}
