import { describe, expect, it } from 'vitest'
import { nullLogger } from '../../src/env/logger.ts'
import { nullMetrics } from '../../src/env/metrics.ts'
import { SeededRandom } from '../../src/env/seeded-random.ts'
import type { Transport } from '../../src/env/transport.ts'
import { TransportError } from '../../src/env/transport.ts'
import { ClusterStorage } from '../../src/front/cluster-storage.ts'
import { InternalClient } from '../../src/internal/internal-client.ts'
import { RequestSignature } from '../../src/internal/request-signature.ts'
import type { NodeImage } from '../../src/metadata/metadata-image.ts'
import { SimClock } from '../sim/sim-clock.ts'
import { FakeMetadata, topicImage } from './topics.ts'

const NEVER = new AbortController().signal
const TOPIC = topicImage('one', 1)
const POSITION = { topicId: TOPIC.id, partition: 0, offset: 0, lastEpoch: -1 }

function node(incarnation: number): ReadonlyMap<number, NodeImage> {
  const url = `http://node-${incarnation}`
  return new Map([[1, { id: 1, url, rack: '', incarnation, draining: false }]])
}

/** Nodes that take every call and never answer. */
function setUp() {
  const clock = new SimClock()
  const calls: string[] = []
  const call: Transport['call'] = (url, { path }, _lane, signal) => {
    const { promise, reject } = Promise.withResolvers<never>()
    calls.push(`${url}${path}`)
    signal.addEventListener('abort', () => reject(new TransportError('aborted', true)))
    return promise
  }
  const deps = { clock, logger: nullLogger, metrics: nullMetrics }
  const random = new SeededRandom(1)
  const client = new InternalClient({
    ...deps,
    transport: { call, close: async () => undefined },
    signature: new RequestSignature({ clock, random }, { secret: 'a secret of tests' }),
    identity: { clusterId: 'test', nodeId: 'front', incarnation: 0 },
  })
  const metadata = new FakeMetadata([TOPIC])
  const storage = new ClusterStorage({ ...deps, metadata, client })
  metadata.set([TOPIC], node(5))
  return { clock, metadata, storage, calls }
}

describe('calls to a node that does not answer', () => {
  it('end soon after it is no longer registered, with an unknown outcome for an append', async () => {
    const { clock, metadata, storage } = setUp()
    const batch = new Uint8Array(100)
    const results = storage.append([{ topicId: TOPIC.id, partition: 0, acks: -1, batch }], NEVER)
    await clock.runFor(3_000)
    metadata.set([TOPIC], new Map())
    const startMs = clock.monotonicMs()
    expect(await clock.run(Promise.all(results))).toMatchObject([
      { code: 'outcome-unknown', committed: 'unknown' },
    ])
    expect(clock.monotonicMs() - startMs).toBeLessThan(2_000)
    storage.close()
  })

  it('go to its next process if they only read', async () => {
    const { clock, metadata, storage, calls } = setUp()
    const request = {
      positions: [POSITION],
      maxBytes: 1,
      waitMs: 50_000,
      isolation: 'committed',
    } as const
    const fetched = storage.fetch(request, NEVER)
    await clock.runFor(3_000)
    expect(calls).toEqual(['http://node-5/i/v1/fetch'])
    metadata.set([TOPIC], node(9))
    await clock.runFor(2_000)
    expect(calls[1]).toBe('http://node-9/i/v1/fetch')
    storage.close()
    expect(await clock.run(fetched)).toMatchObject([{ ok: false, code: 'partition-unavailable' }])
  })

  it('go on while it stays registered', async () => {
    const { clock, metadata, storage, calls } = setUp()
    const request = {
      positions: [POSITION],
      maxBytes: 1,
      waitMs: 20_000,
      isolation: 'committed',
    } as const
    const fetched = storage.fetch(request, NEVER)
    await clock.runFor(3_000)
    metadata.set([TOPIC], node(5))
    await clock.runFor(10_000)
    expect(calls).toHaveLength(1)
    storage.close()
    expect(await clock.run(fetched)).toMatchObject([{ ok: false }])
  })
})
