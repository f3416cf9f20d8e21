/** Rows 15 to 17: SSE to a thousand subscribers at full speed, and to ten thousand at leisure. */
import type { Bench, Family } from '../lib/bench.ts'
import { SERVER_CORE } from '../lib/bench.ts'
import { Curlew } from '../lib/curlew.ts'
import { BURST_EVENTS, Crowd, curlewBurst, curlewSingle, rawShot } from '../lib/fan-out.ts'
import { Helper } from '../lib/helper.ts'
import { interleave } from '../lib/interleave.ts'
import type { Measurement } from '../lib/measurement.ts'
import { absolute, load, ratio } from '../lib/measurement.ts'
import type { Sample } from '../lib/sample.ts'
import { residentKib } from '../lib/usage.ts'
import { BACK_TO_BACK, ONE_BY_ONE } from '../load/fan-out-round.ts'

const SUBSCRIBERS = 1000
const MANY_SUBSCRIBERS = 10_000
const MANY_SUBSCRIBERS_QUICK = 2000
const LEISURELY_PER_SECOND = 8
const STREAM_PATH = '/v1/topics/events/stream?from=latest'

export const fanOut: Family = {
  name: 'fan-out',
  rows: ['15', '16a', '16b', '17a', '17b'],
  async measure(bench: Bench): Promise<Measurement[]> {
    const measurements: Measurement[] = []
    if (['15', '16a', '16b'].some(bench.wants)) measurements.push(...(await fullSpeed(bench)))
    if (['17a', '17b'].some(bench.wants)) measurements.push(...(await leisurely(bench)))
    return measurements.filter(({ row }) => bench.wants(row))
  },
}

async function fullSpeed({ stage, plan }: Bench): Promise<Measurement[]> {
  await using curlew = await Curlew.start(stage, { core: SERVER_CORE })
  await using raw = await Helper.start(stage, 'servers/raw-fan-out.ts', {}, SERVER_CORE)
  await curlew.createTopic('events')
  await using ours = await Crowd.gather(stage, curlew, STREAM_PATH, SUBSCRIBERS)
  await using theirs = await Crowd.gather(stage, raw, '/', SUBSCRIBERS)
  const { seconds } = plan
  let eventBytes = 0
  const samples = await interleave(
    'rows 15-16',
    {
      single: async () => {
        const sample = await ours.round({
          shot: curlewSingle('events'),
          seconds,
          pace: BACK_TO_BACK,
        })
        eventBytes = sample.wireBytes as number
        return sample
      },
      rawSingle: () => theirs.round({ shot: rawShot(1, eventBytes), seconds, pace: BACK_TO_BACK }),
      burst: () => ours.round({ shot: curlewBurst('events'), seconds, pace: ONE_BY_ONE }),
      rawBurst: () =>
        theirs.round({ shot: rawShot(BURST_EVENTS, eventBytes), seconds, pace: ONE_BY_ONE }),
    },
    plan,
  )
  const events = (name: string, key: keyof typeof samples) =>
    ({ name, samples: samples[key], metric: 'perSecond' }) as const
  const limit = (key: keyof typeof samples) =>
    `${load(samples[key])}: one write to the kernel per subscriber and publish`
  // Each side as is worst for us: two of our events that share a write count as one.
  const single = { name: 'Curlew', samples: samples.single, metric: 'readsPerSecond' } as const
  return [
    ratio('15', single, events('raw sockets', 'rawSingle'), limit('single')),
    ratio('16a', events('bursts', 'burst'), events('one by one', 'single'), limit('burst')),
    ratio('16b', events('Curlew', 'burst'), events('raw sockets', 'rawBurst'), limit('burst')),
  ]
}

async function leisurely({ stage, plan, quick }: Bench): Promise<Measurement[]> {
  const subscribers = quick ? MANY_SUBSCRIBERS_QUICK : MANY_SUBSCRIBERS
  await using curlew = await Curlew.start(stage, { core: SERVER_CORE })
  await using raw = await Helper.start(stage, 'servers/raw-fan-out.ts', {}, SERVER_CORE)
  await curlew.createTopic('events')
  const emptyKib = { curlew: residentKib(curlew.pid), raw: residentKib(raw.pid) }
  await using ours = await Crowd.gather(stage, curlew, STREAM_PATH, subscribers)
  await using theirs = await Crowd.gather(stage, raw, '/', subscribers)
  const { seconds } = plan
  let eventBytes = 0

  async function paced(
    crowd: Crowd,
    shot: Parameters<Crowd['round']>[0]['shot'],
    pid: number,
    emptyKibibytes: number,
  ): Promise<Sample> {
    const sample = await crowd.round({ shot, seconds, pace: { perSecond: LEISURELY_PER_SECOND } })
    return { ...sample, kibPerConnection: (residentKib(pid) - emptyKibibytes) / subscribers }
  }

  const samples = await interleave(
    `row 17 (${subscribers} subscribers)`,
    {
      curlew: async () => {
        const sample = await paced(ours, curlewSingle('events'), curlew.pid, emptyKib.curlew)
        eventBytes = sample.wireBytes as number
        return sample
      },
      raw: () => paced(theirs, rawShot(1, eventBytes), raw.pid, emptyKib.raw),
    },
    plan,
  )
  const { curlew: mine, raw: bare } = samples
  return [
    absolute(
      '17a',
      { name: 'Curlew', samples: mine, metric: 'kibPerConnection' },
      'objects of node:http, the stream and the socket per connection; grows with the heap, not the log',
      { name: 'raw sockets', samples: bare, metric: 'kibPerConnection' },
    ),
    absolute(
      '17b',
      { name: 'Curlew p99', samples: mine, metric: 'p99Ms' },
      `${load(mine)}: ${subscribers} writes and reads one after the other on one core each`,
      { name: 'raw sockets p99', samples: bare, metric: 'p99Ms' },
    ),
  ]
}
