import { afterEach, expect, test } from 'vitest'
import { nullLogger } from '../../src/env/logger.ts'
import { SeededRandom } from '../../src/env/seeded-random.ts'
import type { InternalAnswer, InternalCall, Transport } from '../../src/env/transport.ts'
import { TransportError } from '../../src/env/transport.ts'
import { InternalClient } from '../../src/internal/internal-client.ts'
import { InternalService } from '../../src/internal/internal-service.ts'
import { RequestSignature } from '../../src/internal/request-signature.ts'
import { ServiceError } from '../../src/lib/service-error.ts'
import { registerMetadataEndpoints } from '../../src/metadata/metadata-endpoints.ts'
import { MetadataFeed } from '../../src/metadata/metadata-feed.ts'
import type { Change, MetadataStore, Transaction } from '../../src/metadata/metadata-store.ts'
import { CompactedError } from '../../src/metadata/metadata-store.ts'
import { RemoteMetadata } from '../../src/metadata/remote-metadata.ts'
import { SimClock } from '../sim/sim-clock.ts'

const NEVER = new AbortController().signal
const CLUSTER = 'cluster-of-tests'

interface Node {
  readonly url: string
  readonly feed: MetadataFeed
  readonly service: InternalService
  /** How calls end instead of arriving; after arriving if it is `sent`. */
  failure: TransportError | undefined
  /** What its store says. */
  storeError: Error | undefined
  readonly transactions: Transaction[]
  calls: number
}

const clock = new SimClock({ immediates: 'microtask' })
const nodes: Node[] = []
afterEach(() => void nodes.splice(0))

function nodeOf(url: string): Node {
  const feed = new MetadataFeed({ clock })
  const identity = { clusterId: CLUSTER, nodeId: nodes.length, incarnation: 7 }
  const deps = {
    clock,
    logger: nullLogger,
    signature: signature(url.length + nodes.length),
    identity,
  }
  const service = new InternalService(deps)
  const node: Node = {
    url,
    feed,
    service,
    failure: undefined,
    storeError: undefined,
    transactions: [],
    calls: 0,
  }
  const store: Pick<MetadataStore, 'get' | 'transact'> = {
    get: async (key) => {
      if (node.storeError !== undefined) throw node.storeError
      return { key, value: url, createRevision: 1, modRevision: 1 }
    },
    transact: async (transaction) => {
      node.transactions.push(transaction)
      if (node.storeError !== undefined) throw node.storeError
      return { succeeded: true, revision: 9 }
    },
  }
  registerMetadataEndpoints(service, feed, store as MetadataStore)
  nodes.push(node)
  return node
}

function signature(seed: number): RequestSignature {
  return new RequestSignature(
    { clock, random: new SeededRandom(seed) },
    { secret: 'a secret of tests' },
  )
}

async function call(
  url: string,
  sent: InternalCall,
  _: string,
  signal: AbortSignal,
): Promise<InternalAnswer> {
  const node = nodes.find((known) => known.url === url)
  if (node === undefined) throw new TransportError('nobody is there', false)
  node.calls++
  if (node.failure?.sent === false) throw node.failure
  const gone = new Promise<never>((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(new TransportError('aborted', true)))
  })
  const headers = { ...sent.headers }
  const body = toStream(sent.body)
  const answer = await Promise.race([
    node.service.handle({ path: sent.path, headers, body, signal }),
    gone,
  ])
  if (node.failure !== undefined) throw node.failure
  const parts: Uint8Array[] = []
  for await (const part of answer.body) parts.push(part)
  return { ...answer, body: toStream(parts) }
}

async function* toStream(
  parts: readonly Uint8Array[],
): AsyncGenerator<Uint8Array, void, undefined> {
  yield* parts
}

function remote(seeds: readonly string[] = ['seed']): RemoteMetadata {
  const transport: Transport = { call, close: async () => undefined }
  const identity = { clusterId: CLUSTER, nodeId: 'front' as const, incarnation: 0 }
  const deps = { clock, logger: nullLogger, transport, signature: signature(99), identity }
  const client = new InternalClient(deps)
  return new RemoteMetadata({
    client,
    clock,
    seeds,
    nodes: () =>
      nodes.filter(({ url }) => !seeds.includes(url)).map(({ url }) => ({ url, incarnation: 7 })),
  })
}

function change(revision: number, key = '/topics/t'): Change {
  const entry = { key, value: String(revision), createRevision: 1, modRevision: revision }
  return { revision, events: [{ key, entry }] }
}

function collect(
  metadata: RemoteMetadata,
  from: number,
): { revisions: number[]; ended: Promise<unknown> } {
  const revisions: number[] = []
  const run = async () => {
    for await (const { revision } of metadata.watch('/', from, NEVER)) revisions.push(revision)
  }
  return { revisions, ended: run().catch((error: unknown) => error) }
}

test('a list is what a node has seen, and never older than what was seen before', async () => {
  const [first, behind] = [nodeOf('a'), nodeOf('b')]
  for (const { feed } of [first, behind]) feed.apply(change(5))
  first.feed.apply(change(6))
  const metadata = remote()
  expect(await clock.run(metadata.list('/topics/'))).toMatchObject({
    revision: 6,
    entries: [{ value: '6' }],
  })
  expect(await clock.run(metadata.list('/nodes/'))).toMatchObject({ revision: 6, entries: [] })
  first.failure = new TransportError('refused', false)
  await expect(clock.run(metadata.list('/'))).rejects.toThrow()
  await expect(clock.run(metadata.list('/'))).rejects.toThrow('behind')
  first.failure = undefined
  expect(await clock.run(metadata.list('/'))).toMatchObject({ revision: 6 })
})

test('changes come once and in order, though every node is heard', async () => {
  const all = [nodeOf('a'), nodeOf('b'), nodeOf('c')]
  for (const { feed } of all) feed.apply(change(5))
  const metadata = remote()
  await clock.run(metadata.list('/'))
  const { revisions } = collect(metadata, 6)
  for (let revision = 6; revision < 20; revision++) {
    // Each of them hears it a while after the one before.
    for (const { feed } of all) {
      feed.apply(change(revision))
      await clock.runFor(700)
    }
  }
  expect(revisions).toEqual(Array.from({ length: 14 }, (_, i) => i + 6))
  await metadata.close()
})

test('a node that hears nothing new does not keep what others know', async () => {
  const [cutOff, other] = [nodeOf('a'), nodeOf('b')]
  for (const { feed } of [cutOff, other]) feed.apply(change(5))
  const metadata = remote()
  await clock.run(metadata.list('/'))
  const { revisions } = collect(metadata, 6)
  await clock.runFor(100)
  other.feed.apply(change(6))
  await clock.runFor(10_000)
  expect(revisions).toEqual([6])
  await metadata.close()
})

test('when none of the known nodes is there any more, the seeds are asked, and not before', async () => {
  const [first, second, seed] = [nodeOf('a'), nodeOf('b'), nodeOf('seed')]
  for (const { feed } of nodes) feed.apply(change(5))
  const metadata = remote(['elsewhere', 'seed'])
  await clock.run(metadata.list('/'))
  const { revisions } = collect(metadata, 6)
  await clock.runFor(100)
  first.failure = new TransportError('refused', true)
  second.feed.apply(change(6))
  await clock.runFor(10_000)
  expect([revisions, seed.calls]).toEqual([[6], 0])
  second.failure = new TransportError('refused', true)
  seed.feed.apply(change(6))
  seed.feed.apply(change(7))
  await clock.runFor(10_000)
  expect(revisions).toEqual([6, 7])
  await metadata.close()
})

test('a node that has cut its history says so', async () => {
  const { feed } = nodeOf('a')
  feed.apply(change(50))
  const metadata = remote()
  const { ended } = collect(metadata, 6)
  expect(await clock.run(ended)).toBeInstanceOf(CompactedError)
})

test.each<[string, (node: Node) => void]>([
  ['does not answer', (node) => (node.failure = new TransportError('refused', false))],
  ['stops', (node) => node.service.drain()],
  [
    'is cut off from the store',
    (node) => (node.storeError = new ServiceError('metadata-unavailable', 'away')),
  ],
])('a transaction goes to another node when one %s', async (_, happens) => {
  const [first, second] = [nodeOf('a'), nodeOf('b')]
  happens(first)
  const metadata = remote()
  const outcome = clock.run(metadata.transact({ compare: [], put: [{ key: '/k', value: '1' }] }))
  expect(await outcome).toEqual({ succeeded: true, revision: 9 })
  expect(second.transactions).toHaveLength(1)
})

test.each<[string, (node: Node) => void]>([
  ['the connection broke', (node) => (node.failure = new TransportError('broken', true))],
  ['the node does not know', (node) => (node.storeError = new Error('the store did not answer'))],
])('a transaction of which nobody knows what became is not made again: %s', async (_, happens) => {
  const [first, second] = [nodeOf('a'), nodeOf('b')]
  happens(first)
  const metadata = remote()
  const outcome = clock.run(metadata.transact({ compare: [], put: [{ key: '/k', value: '1' }] }))
  const error = await outcome.catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(Error)
  expect(error).not.toBeInstanceOf(ServiceError)
  expect([first.transactions.length, second.transactions.length]).toEqual([1, 0])
})

test('with no node there the metadata are unavailable, and nothing was done', async () => {
  for (const url of ['a', 'b']) nodeOf(url).failure = new TransportError('refused', false)
  await expect(clock.run(remote().get('/k'))).rejects.toMatchObject({
    code: 'metadata-unavailable',
    committed: 'no',
  })
  expect(nodes.map(({ calls }) => calls)).toEqual([1, 1])
})
