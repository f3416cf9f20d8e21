/** Neither side of a call comes to harm by what the other one sends. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { nullLogger } from '../../src/env/logger.ts'
import { SeededRandom } from '../../src/env/seeded-random.ts'
import type { InternalAnswer } from '../../src/env/transport.ts'
import { HEADERS } from '../../src/internal/identity.ts'
import { InternalCallError } from '../../src/internal/internal-call-error.ts'
import { InternalClient } from '../../src/internal/internal-client.ts'
import { INTERNAL_REFUSALS } from '../../src/internal/internal-refusal.ts'
import { PATHS } from '../../src/internal/paths.ts'
import { RequestSignature } from '../../src/internal/request-signature.ts'
import { registerStorageEndpoints } from '../../src/internal/storage-endpoints.ts'
import { ERRORS, ServiceError } from '../../src/lib/service-error.ts'
import { SimClock } from '../sim/sim-clock.ts'
import { CLUSTER, DirectCluster, SECRET } from './direct-cluster.ts'
import { ScriptedStorage } from './scripted-storage.ts'

const clock = new SimClock()
const live = new AbortController().signal
const header = fc.oneof(
  fc.string(),
  fc.constantFrom('1', '0', '*', 'front', CLUSTER),
  fc.nat().map(String),
)
const headersArbitrary = fc.record(
  Object.fromEntries([...Object.values(HEADERS), 'content-length'].map((name) => [name, header])),
  { requiredKeys: [] },
)

test('whatever comes in is answered with a refusal', async () => {
  const { service } = new DirectCluster({ clock })
  registerStorageEndpoints(service, new ScriptedStorage(), clock)
  const paths = fc.oneof(fc.constantFrom(...Object.values(PATHS)), fc.string())
  await fc.assert(
    fc.asyncProperty(paths, headersArbitrary, fc.uint8Array(), async (path, headers, body) => {
      const call = { path, headers: { [HEADERS.protocol]: '1', ...headers }, body: [body] }
      const { status } = await service.handle({ ...call, signal: live })
      expect(Object.values<number>(INTERNAL_REFUSALS)).toContain(status)
    }),
    { numRuns: 300 },
  )
  expect(service.underWay).toBe(0)
  expect(service.heldBytes).toBe(0)
})

test('garbage from a node with the right secret is refused too', async () => {
  const made = new DirectCluster({ clock })
  registerStorageEndpoints(made.service, new ScriptedStorage(), clock)
  const { append, fetch, offsets, resolveOffset, deleteRecords } = PATHS
  const paths = fc.constantFrom(append, fetch, offsets, resolveOffset, deleteRecords)
  await fc.assert(
    fc.asyncProperty(paths, fc.uint8Array({ minLength: 1 }), async (path, body) => {
      const options = {
        lane: 'control',
        deadlineMs: clock.monotonicMs() + 1000,
        signal: live,
      } as const
      const call = made.client.callWhole(made.target, path, [body], options)
      await expect(call).rejects.toMatchObject({ refusal: 'malformed-call' })
    }),
    { numRuns: 200 },
  )
  expect(made.service.underWay).toBe(0)
  expect(made.service.heldBytes).toBe(0)
})

test('whatever is answered is an answer or an error that says what is certain', async () => {
  const bodies = fc.oneof(
    fc.uint8Array(),
    fc
      .record({
        code: fc.oneof(
          fc.string(),
          fc.constantFrom(...Object.keys(INTERNAL_REFUSALS), ...Object.keys(ERRORS)),
        ),
        detail: fc.oneof(fc.string(), fc.nat()),
        committed: fc.constantFrom('no', 'yes', 'unknown', 'maybe'),
        members: fc.option(fc.object({ maxDepth: 1 }), { nil: undefined }),
      })
      .map((refusal) => Buffer.from(JSON.stringify(refusal))),
  )
  const answers = fc.record({
    status: fc.integer({ min: 201, max: 599 }),
    headers: fc.constant({}),
    body: bodies.map(async function* (bytes) {
      yield bytes
    }),
  }) satisfies fc.Arbitrary<InternalAnswer>
  await fc.assert(
    fc.asyncProperty(answers, async (answer) => {
      const client = new InternalClient({
        clock,
        logger: nullLogger,
        transport: { call: async () => answer, close: async () => undefined },
        signature: new RequestSignature({ clock, random: new SeededRandom(1) }, { secret: SECRET }),
        identity: { clusterId: CLUSTER, nodeId: 1, incarnation: 5 },
      })
      const options = {
        lane: 'control',
        deadlineMs: clock.monotonicMs() + 1000,
        signal: live,
      } as const
      const target = { url: 'direct:', incarnation: 7 }
      const error: unknown = await client.callWhole(target, '/x', [], options).catch((it) => it)
      const isKnown = error instanceof InternalCallError || error instanceof ServiceError
      expect(isKnown).toBe(true)
    }),
    { numRuns: 500 },
  )
})
