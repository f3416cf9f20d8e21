import { describe, expect, test } from 'vitest'
import { nullLogger } from '../../src/env/logger.ts'
import { SeededRandom } from '../../src/env/seeded-random.ts'
import { UnknownOutcomeError } from '../../src/metadata/etcd-endpoints.ts'
import type { EtcdStoreOptions } from '../../src/metadata/etcd-store.ts'
import { EtcdStore } from '../../src/metadata/etcd-store.ts'
import { LeaseGoneError } from '../../src/metadata/metadata-store.ts'
import { SimClock } from '../sim/sim-clock.ts'
import type { Respond } from './fake-etcd-http.ts'
import { answer, FakeEtcdHttp, HEADER, never } from './fake-etcd-http.ts'
import { NEVER } from './topic-fixtures.ts'

const PUT = { compare: [], put: [{ key: '/a', value: '1' }] }
const refusal = (code: number, message: string) => answer({ code, message }, 400)

function setUp(respond: Respond, options: Partial<EtcdStoreOptions> = {}) {
  const http = new FakeEtcdHttp(respond)
  const clock = new SimClock()
  const store = new EtcdStore(
    { http, clock, random: new SeededRandom(1), logger: nullLogger },
    { endpoints: ['http://a', 'http://b'], ...options },
  )
  return { http, clock, store, bodies: () => http.calls.map(({ body }) => JSON.parse(body)) }
}

/** An etcd that holds keys /k0, /k1, ... and answers by page. */
function pages(count: number): Respond {
  return ({ body }) => {
    const { key, limit } = JSON.parse(body)
    const from = Buffer.from(key, 'base64').toString()
    const all = Array.from({ length: count }, (_, n) => `/curlew/k${n}`)
    const rest = all.filter((name) => name >= from)
    const kvs = rest.slice(0, Number(limit)).map((name) => ({
      key: Buffer.from(name).toString('base64'),
      value: 'MQ==',
      create_revision: '2',
      mod_revision: '2',
    }))
    return answer({ header: HEADER, kvs, more: rest.length > Number(limit) })
  }
}

describe('EtcdStore', () => {
  test('a list is read in pages, all at the revision of the first', async () => {
    const { store, bodies } = setUp(pages(7), { pageSize: 3 })
    const { entries, revision } = await store.list('/')
    expect(entries.map(({ key }) => key)).toEqual(Array.from({ length: 7 }, (_, n) => `/k${n}`))
    expect(revision).toBe(7)
    expect(bodies().map((body) => body.revision)).toEqual([undefined, '7', '7'])
  })

  test('a list begins anew when history is compacted between its pages', async () => {
    const page = pages(7)
    let calls = 0
    const compacted = () => refusal(11, 'etcdserver: mvcc: required revision has been compacted')
    const { store } = setUp((...call) => (++calls === 2 ? compacted() : page(...call)), {
      pageSize: 3,
    })
    expect((await store.list('/')).entries).toHaveLength(7)
    expect(calls).toBe(5)
    const { store: hopeless, http } = setUp(compacted)
    await expect(hopeless.list('/')).rejects.toMatchObject({ code: 'metadata-unavailable' })
    expect(http.calls).toHaveLength(3)
  })

  test('keys are behind the prefix of the cluster', async () => {
    const { store, bodies } = setUp(() => answer({ header: HEADER }), { prefix: '/blue/one' })
    await store.get('/a')
    expect(Buffer.from(bodies()[0].key, 'base64').toString()).toBe('/blue/one/a')
    for (const prefix of ['blue', '/blue/', '/', '/b c', '//']) {
      expect(() => setUp(() => answer({}), { prefix })).toThrow('prefix')
    }
    await expect(store.list('')).rejects.toThrow('begins with a slash')
  })

  test('a lease that is gone, a refusal and a failure are told apart', async () => {
    const gone = setUp(() => refusal(5, 'etcdserver: requested lease not found'))
    await expect(gone.store.transact(PUT)).rejects.toThrow(LeaseGoneError)
    const invalid = setUp(() => refusal(3, 'etcdserver: request is too large'))
    await expect(invalid.store.transact(PUT)).rejects.toMatchObject({
      code: 'internal-error',
      committed: 'no',
    })
    const denied = setUp(() => refusal(7, 'etcdserver: permission denied'))
    await expect(denied.store.transact(PUT)).rejects.toMatchObject({
      code: 'metadata-unavailable',
      committed: 'no',
    })
    const late = setUp((_, signal) => never(signal))
    await expect(late.clock.run(late.store.transact(PUT))).rejects.toThrow(UnknownOutcomeError)
  })

  test('what etcd would refuse is not sent', async () => {
    const { store, http } = setUp(() => answer({ header: HEADER }))
    const puts = Array.from({ length: 129 }, (_, n) => ({ key: `/${n}`, value: '1' }))
    await expect(store.transact({ compare: [], put: puts })).rejects.toThrow('128 operations')
    expect(http.calls).toEqual([])
  })

  test('a lease is asked for in whole seconds, and renewed within its time', async () => {
    let isDead = false
    const { store, bodies, clock, http } = setUp(({ path }, signal) => {
      if (path === '/v3/lease/grant') return answer({ header: HEADER, ID: '99', TTL: '10' })
      if (!isDead) return never(signal)
      return answer({ result: { header: HEADER, ID: '99' } })
    })
    const lease = await store.lease(9_001)
    expect(lease.id).toBe('99')
    expect(bodies()[0]).toEqual({ TTL: '10', ID: '0' })
    const startedAtMs = clock.monotonicMs()
    await expect(clock.run(lease.keepAlive(NEVER))).rejects.toMatchObject({
      code: 'metadata-unavailable',
    })
    // Each member had its turn before the lease could end.
    expect(new Set(http.calls.map(({ endpoint }) => endpoint)).size).toBe(2)
    expect(clock.monotonicMs() - startedAtMs).toBeLessThan(10_000)
    isDead = true
    expect(await lease.keepAlive(NEVER)).toBe(false)
  })

  test('a lease that is not found is gone, for renewals and for revocations', async () => {
    const { store } = setUp(({ path }) =>
      path === '/v3/lease/grant'
        ? answer({ header: HEADER, ID: '99', TTL: '10' })
        : refusal(5, 'etcdserver: requested lease not found'),
    )
    const lease = await store.lease(10_000)
    expect(await lease.keepAlive(NEVER)).toBe(false)
    await lease.revoke()
  })
})
