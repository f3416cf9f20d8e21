import { describe, expect, test } from 'vitest'
import type { Logger } from '../../src/env/logger.ts'
import { nullLogger } from '../../src/env/logger.ts'
import { SeededRandom } from '../../src/env/seeded-random.ts'
import { NotSentError } from '../../src/metadata/etcd-http.ts'
import { EtcdStore } from '../../src/metadata/etcd-store.ts'
import type { Change } from '../../src/metadata/metadata-store.ts'
import { CompactedError } from '../../src/metadata/metadata-store.ts'
import { SimClock } from '../sim/sim-clock.ts'
import { answer, FakeEtcdHttp, FakeStream, HEADER } from './fake-etcd-http.ts'

const CREATED = { header: HEADER, created: true }
const PROGRESS = { header: HEADER }

const base64 = (text: string) => Buffer.from(text).toString('base64')

function events(...puts: readonly (readonly [key: string, revision: number])[]) {
  return {
    header: HEADER,
    events: puts.map(([key, revision]) => ({
      kv: {
        key: base64(`/curlew${key}`),
        value: base64(`${revision}`),
        create_revision: `${revision}`,
        mod_revision: `${revision}`,
        version: '1',
      },
    })),
  }
}

/** A watch from revision 5 on, over connections that a test writes. */
function setUp(open?: (connection: number) => Error | undefined) {
  const streams: FakeStream[] = []
  const signals: AbortSignal[] = []
  const warnings: string[] = []
  const clock = new SimClock()
  const http = new FakeEtcdHttp(({ path }, signal) => {
    if (path === '/v3/auth/authenticate') return answer({ token: 'token' })
    const error = open?.(signals.length)
    const stream = new FakeStream()
    streams.push(stream)
    signals.push(signal)
    if (error !== undefined) throw error
    return stream.answer(signal)
  })
  const logger: Logger = { ...nullLogger, warn: (_, message) => void warnings.push(message) }
  const store = new EtcdStore(
    { http, clock, random: new SeededRandom(1), logger },
    {
      endpoints: ['http://a', 'http://b'],
      callTimeoutMs: 2_000,
      progressIntervalMs: 1_000,
      user: { name: 'curlew', password: 'secret' },
    },
  )
  const stop = new AbortController()
  const changes: Change[] = []
  const ended = (async () => {
    for await (const change of store.watch('/', 5, stop.signal)) changes.push(change)
  })()
  ended.catch(() => undefined)
  const watches = () => http.calls.filter(({ path }) => path === '/v3/watch')
  return {
    clock,
    stop,
    store,
    ended,
    streams,
    signals,
    warnings,
    http,
    revisions: () => changes.map(({ revision }) => revision),
    changes,
    startedAt: () =>
      watches().map(({ body }) => Number(JSON.parse(body).create_request.start_revision)),
    endpoints: () => watches().map(({ endpoint }) => endpoint),
  }
}

describe('the watch of etcd', () => {
  test('events of one revision are one change, also when the bytes come in pieces', async () => {
    const { clock, streams, changes, stop, ended } = setUp()
    await clock.runFor(0)
    const line = JSON.stringify({ result: events(['/a', 5], ['/b', 5], ['/a', 7]) })
    streams[0]?.send(CREATED)
    streams[0]?.write(line.slice(0, 50))
    await clock.runFor(0)
    expect(changes).toEqual([])
    streams[0]?.write(line.slice(50))
    streams[0]?.write('\n')
    await clock.runFor(0)
    const entry = (key: string, revision: number) => ({
      key,
      entry: { key, value: `${revision}`, createRevision: revision, modRevision: revision },
    })
    expect(changes).toEqual([
      { revision: 5, events: [entry('/a', 5), entry('/b', 5)] },
      { revision: 7, events: [entry('/a', 7)] },
    ])
    stop.abort()
    await ended
  })

  test.each([
    ['ends', (stream: FakeStream) => stream.end()],
    ['sends nonsense', (stream: FakeStream) => stream.write('{]\n')],
    ['is canceled', (s: FakeStream) => s.send({ header: {}, canceled: true, cancel_reason: 'x' })],
    [
      'tells an error',
      (s: FakeStream) => s.write('{"error":{"grpc_code":14,"message":"no leader"}}\n'),
    ],
  ])(
    'when the stream %s it goes on with the other member, behind what was seen',
    async (_, fail) => {
      const { clock, streams, startedAt, endpoints, warnings, stop, ended, revisions } = setUp()
      await clock.runFor(0)
      streams[0]?.send(CREATED, events(['/a', 5]), events(['/a', 8]))
      await clock.runFor(0)
      fail(streams[0] as FakeStream)
      await clock.runFor(1_000)
      streams[1]?.send(CREATED, events(['/a', 9]))
      await clock.runFor(0)
      expect(startedAt()).toEqual([5, 9])
      expect(new Set(endpoints()).size).toBe(2)
      expect(revisions()).toEqual([5, 8, 9])
      expect(warnings).toEqual(['the etcd watch broke and will be taken up again'])
      stop.abort()
      await ended
    },
  )

  test('the revision of a message of progress is not trusted', async () => {
    const { clock, streams, startedAt, stop, ended } = setUp()
    await clock.runFor(0)
    streams[0]?.send(CREATED, { header: { ...HEADER, revision: '900' } })
    streams[0]?.end()
    await clock.runFor(1_000)
    expect(startedAt()).toEqual([5, 5])
    stop.abort()
    await ended
  })

  test('older events than were asked for are dropped', async () => {
    const { clock, streams, revisions, stop, ended } = setUp()
    await clock.runFor(0)
    streams[0]?.send(CREATED, events(['/a', 3], ['/a', 4], ['/a', 6]), events(['/b', 6], ['/b', 7]))
    await clock.runFor(0)
    expect(revisions()).toEqual([6, 7])
    stop.abort()
    await ended
  })

  test('a member that falls silent is left, one that sends progress is not', async () => {
    const { clock, streams, endpoints, signals, stop, ended, warnings } = setUp()
    await clock.runFor(0)
    streams[0]?.send(CREATED)
    for (let second = 0; second < 10; second++) {
      await clock.runFor(1_000)
      streams[0]?.send(PROGRESS)
    }
    expect(endpoints()).toHaveLength(1)
    await clock.runFor(2_999)
    expect(endpoints()).toHaveLength(1)
    await clock.runFor(1_000)
    expect(new Set(endpoints()).size).toBe(2)
    expect(signals[0]?.aborted).toBe(true)
    expect(warnings).toEqual(['an etcd member fell silent; the watch goes on with another'])
    stop.abort()
    await ended
  })

  test('where no progress is sent at all, the setting is named, once', async () => {
    const { clock, streams, endpoints, stop, ended, warnings } = setUp()
    for (let n = 0; n < 4; n++) {
      await clock.runFor(0)
      streams.at(-1)?.send(CREATED)
      await clock.runFor(3_200)
    }
    expect(endpoints().length).toBeGreaterThan(2)
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toContain('--watch-progress-notify-interval')
    stop.abort()
    await ended
  })

  test('a member that never begins the watch is left after the limit of a call', async () => {
    const { clock, endpoints, stop, ended, warnings } = setUp()
    await clock.runFor(1_999)
    expect(endpoints()).toHaveLength(1)
    await clock.runFor(1_000)
    expect(new Set(endpoints()).size).toBe(2)
    expect(warnings).toHaveLength(1)
    stop.abort()
    await ended
  })

  test('while nobody can be reached it tries again, less and less often', async () => {
    const { clock, endpoints, stop, ended } = setUp(() => new NotSentError('refused'))
    await clock.runFor(60_000)
    const tries = endpoints().length
    expect(tries).toBeGreaterThan(10)
    expect(tries).toBeLessThan(40)
    stop.abort()
    await ended
  })

  test('history that is gone is told, and the connection left', async () => {
    const { clock, streams, signals, ended } = setUp()
    await clock.runFor(0)
    streams[0]?.send(CREATED, { header: {}, canceled: true, compact_revision: '90' })
    await expect(clock.run(ended)).rejects.toThrow(CompactedError)
    expect(signals[0]?.aborted).toBe(true)
  })

  test('a watch that is refused asks for a new token', async () => {
    const { clock, streams, http, stop, ended } = setUp()
    await clock.runFor(0)
    const reason = 'rpc error: code = Unauthenticated desc = etcdserver: invalid auth token'
    streams[0]?.send({ ...CREATED, canceled: true, cancel_reason: reason })
    await clock.runFor(1_000)
    const tokens = http.calls.filter(({ path }) => path === '/v3/auth/authenticate')
    expect(tokens).toHaveLength(2)
    stop.abort()
    await ended
  })

  test('the end of the signal ends it, also in a pause; the end of the store is told', async () => {
    const paused = setUp(() => new NotSentError('refused'))
    await paused.clock.runFor(1)
    paused.stop.abort()
    await paused.ended
    expect(paused.revisions()).toEqual([])
    const open = setUp()
    await open.clock.runFor(0)
    await open.store.close()
    await expect(open.ended).rejects.toThrow('closed')
    expect(open.signals[0]?.aborted).toBe(true)
  })

  test('whoever takes the changes slowly does not make the member silent', async () => {
    const { clock, store, streams, endpoints, stop } = setUp()
    const watch = store.watch('/', 5, stop.signal)[Symbol.asyncIterator]()
    const first = watch.next()
    await clock.runFor(0)
    streams[1]?.send(CREATED, events(['/a', 5]))
    streams[0]?.send(CREATED)
    expect((await clock.run(first)).value.revision).toBe(5)
    for (let second = 0; second < 20; second++) {
      streams[0]?.send(PROGRESS)
      await clock.runFor(1_000)
    }
    streams[1]?.send(events(['/a', 6]))
    expect((await clock.run(watch.next())).value.revision).toBe(6)
    expect(endpoints()).toHaveLength(2)
    stop.abort()
  })
})
