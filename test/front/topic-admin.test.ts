import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { TopicAdmin } from '../../src/front/topic-admin.ts'
import { ServiceError } from '../../src/lib/service-error.ts'
import { nodeKey, partitionsPrefix, topicKey } from '../../src/metadata/metadata-keys.ts'
import { encodeRecord } from '../../src/metadata/metadata-records.ts'
import type { MetadataStore, Transaction } from '../../src/metadata/metadata-store.ts'
import { makeFollowedStore } from '../metadata/temp-store.ts'
import { NEVER, name, topicPut } from '../metadata/topic-fixtures.ts'

const A = name('a')
const DAY_MS = 24 * 3_600_000

describe('TopicAdmin', () => {
  let base: Awaited<ReturnType<typeof makeFollowedStore>>
  let admin: TopicAdmin

  async function start(maxOperations = 1000): Promise<void> {
    base = await makeFollowedStore({ maxOperations })
    admin = adminOn(base.store)
  }
  function adminOn(store: MetadataStore, autoCreateTopics = true): TopicAdmin {
    return new TopicAdmin({ ...base, store, view: base.follower }, { autoCreateTopics })
  }
  beforeEach(() => start())
  afterEach(() => base.close())

  describe('ensure', () => {
    test('creates with the defaults, visible at once', async () => {
      const { outcome, topic } = await admin.ensure(A, {}, NEVER)
      expect(outcome).toBe('created')
      expect(base.follower.image.topics.get(A)).toBe(topic)
      expect(topic.config).toMatchObject({
        replicationFactor: 1,
        minInsyncReplicas: 1,
        lingerMs: 0,
      })
      expect(topic.createdAtMs).toBe(base.clock.nowMs())
      expect(topic.partitions).toHaveLength(6)
      expect(topic.partitions[5]).toEqual({
        replicas: [0],
        leader: 0,
        leaderEpoch: 0,
        isr: [0],
        elr: [],
        state: 'active',
        revision: base.follower.image.version,
      })
      expect(topic.slotMap.slots.length).toBe(4098)
    })

    test('nodes that are about to stop get no replicas', async () => {
      const register = (id: number, draining: boolean) => ({
        key: nodeKey(id),
        value: encodeRecord({ url: '', rack: `${id}`, draining }),
      })
      const put = [register(1, true), register(2, false), register(3, false)]
      const { revision } = await base.store.transact({ compare: [], put })
      await base.follower.waitForVersion(revision, NEVER)
      const { topic } = await admin.ensure(A, { partitions: 20 }, NEVER)
      expect(topic.config.replicationFactor).toBe(3)
      const hosts = new Set(topic.partitions.flatMap(({ replicas }) => replicas))
      expect(hosts).toEqual(new Set([0, 2, 3]))
    })

    test('the second time it is the same, however it is asked for', async () => {
      const { topic } = await admin.ensure(A, { partitions: 3, lingerMs: 7 }, NEVER)
      for (const spec of [{}, { partitions: 3 }, { lingerMs: 7, flush: 'commit' } as const]) {
        expect(await admin.ensure(A, spec, NEVER)).toEqual({ outcome: 'same', topic })
      }
    })

    test('other settings are refused, each by name, and change nothing', async () => {
      const { topic } = await admin.ensure(A, { partitions: 3 }, NEVER)
      const wanted = { partitions: 4, profile: 'throughput', retentionMs: -1 } as const
      await expect(admin.ensure(A, wanted, NEVER)).rejects.toMatchObject({
        code: 'topic-differs',
        committed: 'no',
        options: {
          errors: [
            { pointer: '/partitions', detail: 'is 3, not 4' },
            { pointer: '/lingerMs', detail: 'is 0, not 5' },
            { pointer: '/batchBytes', detail: 'is 262144, not 1048576' },
            { pointer: '/retentionMs', detail: 'is 604800000, not -1' },
          ],
        },
      })
      expect(admin.describe(A)).toBe(topic)
    })

    test.each([
      [{ partitions: 0 }, '/partitions'],
      [{ partitions: 10_001 }, '/partitions'],
      [{ replicationFactor: 2 }, '/replicationFactor'],
      [{ minInsyncReplicas: 2 }, '/minInsyncReplicas'],
      [{ lingerMs: -1 }, '/lingerMs'],
    ])('%o is refused', async (spec, pointer) => {
      await expect(admin.ensure(A, spec, NEVER)).rejects.toMatchObject({
        code: 'invalid-request',
        options: { errors: [{ pointer }] },
      })
      expect((await base.store.list('/topics/')).entries).toEqual([])
    })

    test('reserved names are refused', async () => {
      await expect(admin.ensure(name('__groups'), {}, NEVER)).rejects.toMatchObject({
        code: 'invalid-parameter',
      })
    })

    test('of many at once one creates, and the others find it', async () => {
      const ensured = await Promise.all(
        Array.from({ length: 20 }, () => admin.ensure(A, { partitions: 4 }, NEVER)),
      )
      expect(ensured.filter(({ outcome }) => outcome === 'created')).toHaveLength(1)
      expect(new Set(ensured.map(({ topic }) => topic.id)).size).toBe(1)
      expect((await base.store.list('/partitions/')).entries).toHaveLength(4)
    })

    test('an answer that was lost does not make it twice, nor a stranger’s', async () => {
      const lossy = new LossyStore(base.store, ['lose-answer'])
      const { outcome, topic } = await adminOn(lossy).ensure(A, { partitions: 2 }, NEVER)
      expect(outcome).toBe('created')
      expect(lossy.transactions).toBe(1)
      expect((await base.store.list(partitionsPrefix(topic.id))).entries).toHaveLength(2)
    })

    test('a request that was lost is repeated', async () => {
      const lossy = new LossyStore(base.store, ['lose-request', 'lose-request'])
      expect((await adminOn(lossy).ensure(A, {}, NEVER)).outcome).toBe('created')
      expect(lossy.transactions).toBe(3)
    })

    test('gives up on a store that does not answer, saying that nobody knows', async () => {
      const lossy = new LossyStore(base.store, Array(50).fill('lose-request'))
      await expect(adminOn(lossy).ensure(A, {}, NEVER)).rejects.toMatchObject({
        code: 'outcome-unknown',
        committed: 'unknown',
      })
      expect(lossy.transactions).toBe(5)
    })

    test('a store that is away is told as such, but not where an earlier outcome is open', async () => {
      const away = () => Promise.reject(new ServiceError('metadata-unavailable', 'away'))
      const unreachable = new LossyStore(base.store, [])
      unreachable.get = away
      await expect(adminOn(unreachable).ensure(A, {}, NEVER)).rejects.toMatchObject({
        code: 'metadata-unavailable',
        committed: 'no',
      })
      const lossy = new LossyStore(base.store, ['lose-answer'], async () => {
        lossy.get = away
      })
      await expect(adminOn(lossy).ensure(A, {}, NEVER)).rejects.toMatchObject({
        code: 'outcome-unknown',
        committed: 'unknown',
      })
      expect(base.follower.image.topics.size).toBe(1)
    })

    test('in several transactions where one cannot hold it; the topic key comes last', async () => {
      await base.close()
      await start(4)
      const { topic } = await admin.ensure(A, { partitions: 9 }, NEVER)
      expect(topic.partitions.map((p) => p.leader)).toEqual(Array(9).fill(0))
      const { entries } = await base.store.list(partitionsPrefix(topic.id))
      const published = (await base.store.get(topicKey(A)))!.createRevision
      expect(new Set(entries.map((entry) => entry.createRevision)).size).toBe(3)
      for (const entry of entries) expect(entry.createRevision).toBeLessThanOrEqual(published)
    })

    test('a race that is lost in several transactions leaves no partitions behind', async () => {
      await base.close()
      await start(4)
      const ensured = await Promise.all(
        [1, 2, 3].map(() => admin.ensure(A, { partitions: 9 }, NEVER)),
      )
      expect(ensured.filter(({ outcome }) => outcome === 'created')).toHaveLength(1)
      expect((await base.store.list('/partitions/')).entries).toHaveLength(9)
    })

    test('an abort ends the wait for the image', async () => {
      await base.follower.close()
      const stop = new AbortController()
      const waiting = admin.ensure(A, {}, stop.signal)
      const refused = expect(waiting).rejects.toThrow('client gone')
      await new Promise((resolve) => setImmediate(resolve))
      stop.abort(new Error('client gone'))
      await refused
      expect(await base.store.get(topicKey(A))).toBeDefined()
    })

    test('a node that is cut off says that the topic is written, after a while', async () => {
      await base.follower.close()
      const waiting = admin.ensure(A, {}, NEVER)
      const refused = expect(waiting).rejects.toMatchObject({
        code: 'outcome-unknown',
        committed: 'yes',
      })
      await base.clock.runFor(10_000)
      await refused
    })

    test('metadata that cannot be read is not overwritten', async () => {
      await base.store.transact({ compare: [], put: [{ key: topicKey(A), value: '{}' }] })
      await expect(admin.ensure(A, {}, NEVER)).rejects.toMatchObject({ code: 'internal-error' })
      expect((await base.store.get(topicKey(A)))?.value).toBe('{}')
    })
  })

  describe('change', () => {
    test('changes what is named, visible at once, and keeps id, partitions and the rest', async () => {
      const before = (await admin.ensure(A, { partitions: 2, lingerMs: 3 }, NEVER)).topic
      const after = await admin.change(A, { retentionMs: 5_000 }, NEVER)
      expect(admin.describe(A)).toBe(after)
      expect(after).toEqual({ ...before, config: { ...before.config, retentionMs: 5_000 } })
    })

    test('what is as asked for is not written', async () => {
      await admin.ensure(A, { lingerMs: 3 }, NEVER)
      const { version } = base.follower.image
      await admin.change(A, { lingerMs: 3, partitions: 6, flush: 'commit' }, NEVER)
      expect((await base.store.list('/')).revision).toBe(version)
    })

    test.each([
      [{ partitions: 7 }, '/partitions', 'is 6, not 7, and cannot be changed'],
      [{ replicationFactor: 3 }, '/replicationFactor', 'is 1, not 3, and cannot be changed'],
      [{ flush: 'os' } as const, '/flush', 'is commit, not os, and cannot be changed'],
      [{ minInsyncReplicas: 2 }, '/minInsyncReplicas', 'must be at most 1, the replicationFactor'],
      [{ lingerMs: 1_001 }, '/lingerMs', 'must be an integer from 0 to 1000'],
    ])('%o is refused', async (spec, pointer, detail) => {
      const { topic } = await admin.ensure(A, {}, NEVER)
      await expect(admin.change(A, { ...spec, retentionMs: 5 }, NEVER)).rejects.toMatchObject({
        code: 'invalid-request',
        options: { errors: [{ pointer, detail }] },
      })
      expect(admin.describe(A)).toBe(topic)
    })

    test('an unknown topic', async () => {
      await expect(admin.change(A, { lingerMs: 1 }, NEVER)).rejects.toMatchObject({
        code: 'topic-not-found',
      })
    })

    test('changes of different settings at once are all kept', async () => {
      await admin.ensure(A, {}, NEVER)
      await Promise.all([
        admin.change(A, { lingerMs: 9 }, NEVER),
        admin.change(A, { retentionMs: 99 }, NEVER),
        admin.change(A, { segmentBytes: 99_999 }, NEVER),
      ])
      expect(admin.describe(A).config).toMatchObject({
        lingerMs: 9,
        retentionMs: 99,
        segmentBytes: 99_999,
      })
    })

    test('gives up when others always are faster', async () => {
      await admin.ensure(A, {}, NEVER)
      const rival = new RivalStore(base.store)
      await expect(adminOn(rival).change(A, { lingerMs: 9 }, NEVER)).rejects.toMatchObject({
        code: 'too-many-requests',
      })
    })
  })

  describe('remove', () => {
    test('the topic is gone at once, with its keys, and its id is written down', async () => {
      const { topic } = await admin.ensure(A, {}, NEVER)
      await admin.remove(A, NEVER)
      expect(() => admin.describe(A)).toThrow('does not exist')
      const { image } = base.follower
      expect(image.topicsById.size).toBe(0)
      expect([...image.removedTopics]).toEqual([[topic.id, base.clock.nowMs()]])
      expect((await base.store.list('/partitions/')).entries).toEqual([])
    })

    test('made again it is another topic', async () => {
      const first = (await admin.ensure(A, { partitions: 2 }, NEVER)).topic
      await admin.remove(A, NEVER)
      const second = (await admin.ensure(A, { partitions: 3 }, NEVER)).topic
      expect(second.id).not.toBe(first.id)
      expect(base.follower.image.removedTopics.has(second.id)).toBe(false)
    })

    test('an unknown topic, also the second time', async () => {
      await expect(admin.remove(A, NEVER)).rejects.toMatchObject({ code: 'topic-not-found' })
      await admin.ensure(A, {}, NEVER)
      await admin.remove(A, NEVER)
      await expect(admin.remove(A, NEVER)).rejects.toMatchObject({ code: 'topic-not-found' })
    })

    test('an answer that was lost is success, and spares a new topic of the name', async () => {
      await admin.ensure(A, {}, NEVER)
      await adminOn(new LossyStore(base.store, ['lose-answer'])).remove(A, NEVER)
      expect(base.follower.image.topics.size).toBe(0)
      await admin.ensure(A, {}, NEVER)
      const recreating = new LossyStore(base.store, ['lose-answer'], async () => {
        await admin.ensure(A, { partitions: 1 }, NEVER)
      })
      await adminOn(recreating).remove(A, NEVER)
      expect(admin.describe(A).partitions).toHaveLength(1)
    })

    test('in several transactions where one cannot hold it', async () => {
      await base.close()
      await start(4)
      await admin.ensure(A, { partitions: 9 }, NEVER)
      await admin.remove(A, NEVER)
      const { entries } = await base.store.list('/')
      expect(entries.map(({ key }) => key.split('/')[1])).toEqual([
        'cluster',
        'nodes',
        'removed-topics',
      ])
    })

    test('a topic is deleted also when the store goes away before its partitions are', async () => {
      await base.close()
      await start(4)
      await admin.ensure(A, { partitions: 9 }, NEVER)
      await adminOn(new LossyStore(base.store, ['none', 'away'])).remove(A, NEVER)
      expect(base.follower.image.topics.size).toBe(0)
      expect(base.follower.image.removedTopics.size).toBe(1)
    })

    test('removals are forgotten after thirty days', async () => {
      const first = (await admin.ensure(A, {}, NEVER)).topic
      await admin.remove(A, NEVER)
      await base.clock.runFor(29 * DAY_MS)
      const second = (await admin.ensure(A, {}, NEVER)).topic
      await admin.remove(A, NEVER)
      expect(new Set(base.follower.image.removedTopics.keys())).toEqual(
        new Set([first.id, second.id]),
      )
      await base.clock.runFor(2 * DAY_MS)
      await admin.ensure(A, {}, NEVER)
      await admin.remove(A, NEVER)
      expect(base.follower.image.removedTopics.has(first.id)).toBe(false)
      expect(base.follower.image.removedTopics.has(second.id)).toBe(true)
    })
  })

  describe('list', () => {
    test('pages through all topics by name', async () => {
      for (const topic of ['b', 'a', 'B', 'c', 'a.b', '-'])
        await admin.ensure(name(topic), {}, NEVER)
      const names: string[] = []
      let pages = 0
      for (let more = true; more; pages++) {
        const page = admin.list(2, names.at(-1))
        names.push(...page.topics.map((topic) => topic.name))
        more = page.more
      }
      expect(names).toEqual(['-', 'B', 'a', 'a.b', 'b', 'c'])
      expect(pages).toBe(3)
      // It need not exist to begin behind it.
      expect(admin.list(1, 'a.a')).toMatchObject({ topics: [{ name: 'a.b' }], more: true })
      expect(admin.list(1, 'zzz')).toEqual({ topics: [], more: false })
    })
  })

  describe('autoCreate', () => {
    test('makes one partition, once', async () => {
      const topics = await Promise.all([1, 2, 3].map(() => admin.autoCreate(A, NEVER)))
      expect(topics[0]?.partitions).toHaveLength(1)
      expect(new Set(topics).size).toBe(1)
    })

    test('takes the topic as it is', async () => {
      const { topic } = await admin.ensure(A, { partitions: 5 }, NEVER)
      expect(await admin.autoCreate(A, NEVER)).toBe(topic)
      expect(await adminOn(base.store, false).autoCreate(A, NEVER)).toBe(topic)
    })

    test('takes what another made meanwhile', async () => {
      const [{ topic }, auto] = await Promise.all([
        admin.ensure(A, { partitions: 5 }, NEVER),
        admin.autoCreate(A, NEVER),
      ])
      expect(auto).toBe(topic)
    })

    test('only where it is on, and never reserved names', async () => {
      const off = adminOn(base.store, false)
      await expect(off.autoCreate(A, NEVER)).rejects.toMatchObject({ code: 'topic-not-found' })
      await expect(admin.autoCreate(name('__x'), NEVER)).rejects.toMatchObject({
        code: 'topic-not-found',
      })
      expect(base.follower.image.topics.size).toBe(0)
    })
  })

  test('ten thousand partitions are made, described and deleted as one', async () => {
    await base.close()
    await start(16_384)
    const { topic } = await admin.ensure(A, { partitions: 10_000 }, NEVER)
    expect(topic.partitions).toHaveLength(10_000)
    expect(topic.partitions.every(({ leader }) => leader === 0)).toBe(true)
    const { revision } = await base.store.list('/')
    await admin.remove(A, NEVER)
    expect((await base.store.list('/')).revision).toBe(revision + 1)
    expect((await base.store.list('/partitions/')).entries).toEqual([])
  })
})

type Fault = 'none' | 'lose-answer' | 'lose-request' | 'away'

/** A store behind a network that loses the first few requests or answers. */
class LossyStore implements MetadataStore {
  readonly #store: MetadataStore
  readonly #faults: Fault[]
  readonly #afterLoss: () => Promise<void>
  transactions = 0

  constructor(
    store: MetadataStore,
    faults: readonly Fault[],
    afterLoss: () => Promise<void> = () => Promise.resolve(),
  ) {
    this.#store = store
    this.#faults = [...faults]
    this.#afterLoss = afterLoss
  }

  get maxOperations() {
    return this.#store.maxOperations
  }

  async transact(transaction: Transaction) {
    this.transactions++
    const fault = this.#faults.shift()
    if (fault === 'lose-request') throw new Error('the connection broke')
    if (fault === 'away') throw new ServiceError('metadata-unavailable', 'away')
    const outcome = await this.#store.transact(transaction)
    if (fault === undefined || fault === 'none') return outcome
    await this.#afterLoss()
    throw new Error('the connection broke')
  }

  get: MetadataStore['get'] = (key) => this.#store.get(key)
  list = (prefix: string) => this.#store.list(prefix)
  watch = (...args: Parameters<MetadataStore['watch']>) => this.#store.watch(...args)
  lease = (ttlMs: number) => this.#store.lease(ttlMs)
  close = () => this.#store.close()
}

/** A store in which somebody else rewrites the topic right after each read. */
class RivalStore extends LossyStore {
  override get: MetadataStore['get']

  constructor(store: MetadataStore) {
    super(store, [])
    this.get = async (key) => {
      const entry = await store.get(key)
      await store.transact({
        compare: [],
        put: [{ key, value: topicPut('a', '0'.repeat(32) as never, 6).value }],
      })
      return entry
    }
  }
}
