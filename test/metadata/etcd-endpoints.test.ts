import { describe, expect, test } from 'vitest'
import { SeededRandom } from '../../src/env/seeded-random.ts'
import { ServiceError } from '../../src/lib/service-error.ts'
import type { CallOptions } from '../../src/metadata/etcd-endpoints.ts'
import { EtcdEndpoints, UnknownOutcomeError } from '../../src/metadata/etcd-endpoints.ts'
import { EtcdError } from '../../src/metadata/etcd-error.ts'
import { EtcdKeys, getRequest, transactRequest } from '../../src/metadata/etcd-gateway.ts'
import { NotSentError } from '../../src/metadata/etcd-http.ts'
import { SimClock } from '../sim/sim-clock.ts'
import type { Respond } from './fake-etcd-http.ts'
import { answer, FakeEtcdHttp, HEADER, never } from './fake-etcd-http.ts'

const KEYS = new EtcdKeys('/curlew')
const READ = getRequest(KEYS, '/a')
const WRITE = transactRequest(KEYS, { compare: [], put: [{ key: '/a', value: '1' }] })
const ONCE: CallOptions = { isRepeatable: false }
const REPEATABLE: CallOptions = { isRepeatable: true }

const fine = () => answer({ header: HEADER, succeeded: true })
const refusal = (code: number, message: string) => answer({ code, message }, 400)
const unreachable = () => Promise.reject(new NotSentError('connection refused'))
const cutOff = () => Promise.reject(new Error('connection reset'))

function setUp(respond: Respond, options: { endpoints?: string[]; user?: boolean } = {}) {
  const { endpoints = ['http://a', 'http://b', 'http://c'] } = options
  const http = new FakeEtcdHttp(respond)
  const clock = new SimClock()
  const user = { name: 'curlew', password: 'secret' }
  return {
    http,
    clock,
    asked: () => http.calls.map(({ endpoint }) => endpoint),
    paths: () => http.calls.map(({ path }) => path),
    client: new EtcdEndpoints(
      { http, clock, random: new SeededRandom(3) },
      { endpoints, callTimeoutMs: 5_000, ...(options.user ? { user } : {}) },
    ),
  }
}

describe('EtcdEndpoints', () => {
  test('stays with a member that answers', async () => {
    const { client, http, asked } = setUp(fine)
    for (let n = 0; n < 3; n++) await client.call(READ, REPEATABLE)
    expect(new Set(asked()).size).toBe(1)
    // One that has lost its cluster has to say so.
    expect(http.calls[0]?.headers).toEqual({ 'grpc-metadata-hasleader': 'true' })
  })

  test.each([
    ['was not reached', unreachable],
    ['has no leader', () => refusal(14, 'etcdserver: no leader')],
  ])(
    'a write goes to the next member when one %s, and later ones go there at once',
    async (_, no) => {
      const dead: string[] = []
      const { client, asked } = setUp(({ endpoint }) => {
        if (dead.length === 0) dead.push(endpoint)
        return dead.includes(endpoint) ? no() : fine()
      })
      expect((await client.call(WRITE, ONCE)).succeeded).toBe(true)
      await client.call(WRITE, ONCE)
      const [first, second, third] = asked()
      expect(second).not.toBe(first)
      expect(third).toBe(second)
    },
  )

  test.each([
    ['the connection breaks', cutOff],
    ['etcd loses its leader', () => refusal(14, 'etcdserver: leader changed')],
    ['a proxy answers', () => ({ status: 502, body: answer('bad gateway').body })],
    ['the answer is cut', () => ({ status: 200, body: answer('').body })],
    ['the space is used up', () => refusal(8, 'etcdserver: mvcc: database space exceeded')],
  ])('a write is not sent twice when %s: its outcome is unknown', async (_, respond) => {
    const { client, asked, clock } = setUp(respond)
    await expect(clock.run(client.call(WRITE, ONCE))).rejects.toThrow(UnknownOutcomeError)
    expect(asked()).toHaveLength(1)
    await expect(clock.run(client.call(WRITE, ONCE))).rejects.toThrow(UnknownOutcomeError)
    // The next call does not go to the member that failed.
    expect(new Set(asked()).size).toBe(2)
  })

  test('a read is repeated with each member, then told as unavailable', async () => {
    const { client, asked, clock } = setUp(cutOff)
    const failure = await clock.run(client.call(READ, REPEATABLE)).catch((error) => error)
    expect(failure).toBeInstanceOf(ServiceError)
    expect([failure.code, failure.committed]).toEqual(['metadata-unavailable', 'no'])
    expect(failure.message).toContain('connection reset')
    expect(new Set(asked().slice(0, 3)).size).toBe(3)
    expect(asked()[3]).toBe(asked()[0])
    expect(asked()).toHaveLength(4)
  })

  test('a write that reached nobody has certainly not happened', async () => {
    const { client, clock } = setUp(unreachable)
    await expect(clock.run(client.call(WRITE, ONCE))).rejects.toMatchObject({
      name: 'ServiceError',
      code: 'metadata-unavailable',
    })
  })

  test('a member that does not answer in time is left; for a write nobody knows', async () => {
    let silent: string | undefined
    const { client, clock, asked } = setUp(({ endpoint }, signal) => {
      silent ??= endpoint
      return endpoint === silent ? never(signal) : fine()
    })
    const write = client.call(WRITE, ONCE)
    await expect(clock.run(write)).rejects.toThrow('did not answer within 5000 ms')
    expect(clock.monotonicMs()).toBe(5_000)
    await client.call(READ, REPEATABLE)
    expect(asked()[1]).not.toBe(silent)
  })

  test('the time limit holds for the body of an answer, too', async () => {
    const { client, clock, asked } = setUp((_, signal) => ({
      status: 200,
      body: (async function* () {
        yield Buffer.from('{"header":')
        await never(signal)
      })(),
    }))
    await expect(clock.run(client.call(READ, REPEATABLE))).rejects.toThrow('did not answer')
    expect(asked()).toHaveLength(4)
  })

  test('what every member would refuse is told at once', async () => {
    const { client, asked } = setUp(() => refusal(3, 'etcdserver: too many operations'))
    await expect(client.call(READ, REPEATABLE)).rejects.toThrow(EtcdError)
    expect(asked()).toHaveLength(1)
  })

  test('an error in a stream of one message is an error, though the status is 200', async () => {
    const inStream = { error: { grpc_code: 5, http_code: 404, message: 'lease not found' } }
    const { client } = setUp(() => answer(inStream))
    await expect(client.call(READ, REPEATABLE)).rejects.toMatchObject({ isLeaseGone: true })
  })

  test('the signal of a call ends it, and closing ends all', async () => {
    const { client, asked, clock } = setUp((_, signal) => never(signal))
    const own = new AbortController()
    const one = client.call(READ, { isRepeatable: true, signal: own.signal })
    const other = client.call(READ, REPEATABLE)
    await clock.runFor(0)
    own.abort(new Error('enough'))
    await expect(one).rejects.toThrow('enough')
    const closed = expect(other).rejects.toThrow('closed')
    await client.close(new Error('closed'))
    await closed
    await expect(client.call(READ, REPEATABLE)).rejects.toThrow('closed')
    expect(asked()).toHaveLength(2)
  })
})

describe('a user of etcd', () => {
  /** Tokens are numbered; only the newest `valid` one opens. */
  function setUpAuth(refuse: Respond) {
    let given = 0
    let valid = 1
    const set = setUp(
      async (call, signal) => {
        if (call.path === '/v3/auth/authenticate') {
          given++
          return answer({ header: HEADER, token: `token-${given}` })
        }
        return call.headers['authorization'] === `token-${valid}` ? fine() : refuse(call, signal)
      },
      { user: true },
    )
    return { ...set, expire: () => valid++, given: () => given }
  }
  const invalid = () => refusal(16, 'etcdserver: invalid auth token')

  test('one token serves all calls, those at the same moment too', async () => {
    const { client, given } = setUpAuth(invalid)
    await Promise.all(Array.from({ length: 5 }, () => client.call(WRITE, ONCE)))
    await client.call(READ, REPEATABLE)
    expect(given()).toBe(1)
  })

  test.each([
    ['is not valid any more', invalid],
    [
      'is of an older state of users',
      () => refusal(3, 'etcdserver: revision of auth store is old'),
    ],
  ])('a token that %s is renewed once, for writes too', async (_, refuse) => {
    const { client, given, expire } = setUpAuth(refuse)
    await client.call(WRITE, ONCE)
    expire()
    const outcomes = await Promise.all([1, 2, 3].map(() => client.call(WRITE, ONCE)))
    expect(outcomes.every(({ succeeded }) => succeeded)).toBe(true)
    expect(given()).toBe(2)
  })

  test('the refusal of an old token that comes late does not end the new one', async () => {
    const refusals = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    let calls = 0
    const { client, given, expire, clock } = setUpAuth(async () => {
      await refusals[calls++]?.promise
      return invalid()
    })
    await client.call(WRITE, ONCE)
    expire()
    const [early, late] = [client.call(WRITE, ONCE), client.call(WRITE, ONCE)]
    await clock.runFor(0)
    refusals[0]?.resolve()
    expect((await early).succeeded).toBe(true)
    refusals[1]?.resolve()
    expect((await late).succeeded).toBe(true)
    expect(given()).toBe(2)
  })

  test('a new token that is refused as well is told, without an end of renewals', async () => {
    const { client, given, expire } = setUpAuth(invalid)
    for (let n = 0; n < 10; n++) expire()
    await expect(client.call(WRITE, ONCE)).rejects.toThrow('invalid auth token')
    expect(given()).toBe(2)
  })

  test('a wrong password is told; nothing was written', async () => {
    const { client, paths } = setUp(() => refusal(3, 'etcdserver: authentication failed'), {
      user: true,
    })
    await expect(client.call(WRITE, ONCE)).rejects.toMatchObject({ fate: 'refused' })
    expect(paths()).toEqual(['/v3/auth/authenticate'])
  })

  test('where no token can be had, nothing was written; another member may give one', async () => {
    let first: string | undefined
    const { client } = setUp(
      ({ path, endpoint }) => {
        first ??= endpoint
        if (endpoint === first) return cutOff()
        return path === '/v3/auth/authenticate' ? answer({ token: 't' }) : fine()
      },
      { user: true },
    )
    expect((await client.call(WRITE, ONCE)).succeeded).toBe(true)
  })

  test('a cluster without authentication is used without a token', async () => {
    const { client, http, paths } = setUp(
      ({ path }) =>
        path === '/v3/auth/authenticate'
          ? answer({ code: 9, message: 'etcdserver: authentication is not enabled' }, 412)
          : fine(),
      { user: true },
    )
    await client.call(WRITE, ONCE)
    await client.call(WRITE, ONCE)
    expect(paths()).toEqual(['/v3/auth/authenticate', '/v3/kv/txn', '/v3/kv/txn'])
    expect(http.calls[1]?.headers['authorization']).toBeUndefined()
  })
})
