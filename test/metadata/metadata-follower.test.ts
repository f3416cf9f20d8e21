import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { partitionOfKey } from '../../src/core/slot-map.ts'
import type { Logger } from '../../src/env/logger.ts'
import { nullLogger } from '../../src/env/logger.ts'
import { ensureCluster, registerOnlyNode } from '../../src/metadata/cluster-bootstrap.ts'
import { MetadataFollower } from '../../src/metadata/metadata-follower.ts'
import type { MetadataImage } from '../../src/metadata/metadata-image.ts'
import { CONTROLLER_KEY, removedTopicKey, topicKey } from '../../src/metadata/metadata-keys.ts'
import { encodeRecord } from '../../src/metadata/metadata-records.ts'
import type { MetadataStore, Transaction } from '../../src/metadata/metadata-store.ts'
import { makeTempStore } from './temp-store.ts'
import { NEVER, name, partitionPut, partitionPuts, topicId, topicPut } from './topic-fixtures.ts'

describe('MetadataFollower', () => {
  let base: Awaited<ReturnType<typeof makeTempStore>>
  let follower: MetadataFollower
  let errors: string[]

  beforeEach(async () => {
    base = await makeTempStore({ history: { events: 50, characters: 1_000_000 } })
    errors = []
  })
  afterEach(async () => {
    await follower.close()
    await base.close()
  })

  async function follow(store: MetadataStore = base.store): Promise<void> {
    const log = (_: object, message: string) => void errors.push(message)
    const logger: Logger = { ...nullLogger, warn: log, error: log }
    follower = new MetadataFollower({ ...base, store, logger })
    await follower.start()
  }

  async function write(
    put: Transaction['put'],
    remove: readonly string[] = [],
  ): Promise<MetadataImage> {
    const { revision } = await base.store.transact({ compare: [], put, remove })
    return await follower.waitForVersion(revision, NEVER)
  }

  test('begins with what is there', async () => {
    const { clusterId } = await ensureCluster(base)
    const incarnation = await registerOnlyNode(base.store, 3, { url: 'http://a', rack: 'r' })
    await base.store.transact({
      compare: [],
      put: [...partitionPuts(topicId(1), 3), topicPut('a', topicId(1), 3, { lingerMs: 4 })],
    })
    await follow()
    const { image } = follower
    expect(image.clusterId).toBe(clusterId)
    expect(image.nodes.get(3)).toEqual({
      id: 3,
      url: 'http://a',
      rack: 'r',
      incarnation,
      draining: false,
    })
    const topic = image.topics.get(name('a'))!
    expect(topic.partitions).toHaveLength(3)
    expect(topic.config.lingerMs).toBe(4)
    expect(image.topicsById.get(topicId(1))).toBe(topic)
    expect(image.version).toBe((await base.store.list('/')).revision)
  })

  test('the cluster is named once, and each start of the node is another incarnation', async () => {
    const first = await ensureCluster(base)
    expect(await ensureCluster(base)).toEqual(first)
    const node = { url: 'http://a', rack: 'r' }
    const incarnation = await registerOnlyNode(base.store, 0, node)
    expect(await registerOnlyNode(base.store, 0, node)).toBeGreaterThan(incarnation)
    await follow()
    expect(follower.image.nodes.get(0)?.incarnation).toBeGreaterThan(incarnation)
  })

  test('tells who the controller is, and since which revision', async () => {
    await follow()
    expect(follower.image.controller).toBeUndefined()
    const value = encodeRecord({ nodeId: 3, incarnation: 2 })
    const { version } = await write([{ key: CONTROLLER_KEY, value }])
    expect(follower.image.controller).toEqual({ nodeId: 3, epoch: version })
    expect((await write([], [CONTROLLER_KEY])).controller).toBeUndefined()
  })

  test('a partition keeps what only a later version knows, and tells its revision', async () => {
    await follow()
    const id = topicId(1)
    const put = partitionPut(id, 0, 3)
    const value = JSON.stringify({ ...JSON.parse(put.value), adding: [4] })
    const { version, topics } = await write([{ key: put.key, value }, topicPut('a', id, 1)])
    expect(topics.get(name('a'))?.partitions[0]).toMatchObject({
      elr: [],
      adding: [4],
      revision: version,
    })
  })

  test('tells listeners of each change, with the image that it gives', async () => {
    await follow()
    const seen: MetadataImage[] = []
    const stop = follower.onChange((image) => {
      expect(image).toBe(follower.image)
      seen.push(image)
    })
    const id = topicId(1)
    await write([...partitionPuts(id, 2), topicPut('a', id, 2)])
    await write([partitionPut(id, 1, 5)])
    stop()
    await write([], [topicKey(name('a'))])
    expect(seen.map((image) => image.topics.get(name('a'))?.partitions[1]?.leaderEpoch)).toEqual([
      0, 5,
    ])
    expect(follower.image.topics.size).toBe(0)
  })

  test('a listener that throws does not harm the others', async () => {
    await follow()
    const seen: number[] = []
    follower.onChange(() => {
      throw new Error('boom')
    })
    follower.onChange((image) => seen.push(image.version))
    const { version } = await write([topicPut('a', topicId(1), 1)])
    expect(seen).toEqual([version])
    expect(errors).toContain('a listener of metadata changes threw')
  })

  test('a topic appears with its own key, not with its partitions', async () => {
    await follow()
    const id = topicId(1)
    expect((await write(partitionPuts(id, 2))).topics.size).toBe(0)
    const image = await write([topicPut('a', id, 2)])
    expect(image.topics.get(name('a'))?.partitions.map((p) => p.leader)).toEqual([0, 0])
    expect(errors).toEqual([])
  })

  test('a partition whose key is missing has no leader', async () => {
    await follow()
    const image = await write([...partitionPuts(topicId(1), 1), topicPut('a', topicId(1), 2)])
    expect(image.topics.get(name('a'))?.partitions.map((p) => p.leader)).toEqual([0, -1])
    expect(errors).toEqual(['partitions of a topic are not in the metadata'])
  })

  test('a deleted topic is gone by name and id, and known as removed', async () => {
    await follow()
    const id = topicId(1)
    await write([...partitionPuts(id, 1), topicPut('a', id, 1)])
    const value = encodeRecord({ name: 'a', removedAtMs: 77 })
    const image = await write([{ key: removedTopicKey(id), value }], [topicKey(name('a'))])
    expect(image.topics.size + image.topicsById.size).toBe(0)
    expect([...image.removedTopics]).toEqual([[id, 77]])
    expect((await write([], [removedTopicKey(id)])).removedTopics.size).toBe(0)
  })

  test('a topic that is made again under its name replaces the old one', async () => {
    await follow()
    const before = await write([...partitionPuts(topicId(1), 1), topicPut('a', topicId(1), 1)])
    const image = await write([...partitionPuts(topicId(2), 2), topicPut('a', topicId(2), 2)])
    expect(image.topics.get(name('a'))?.id).toBe(topicId(2))
    expect([...image.topicsById.keys()]).toEqual([topicId(2)])
    // A late write to the old one's partitions touches nothing.
    const late = await write([partitionPut(topicId(1), 0, 9)])
    expect(late.topics).toBe(image.topics)
    expect(before.topics.get(name('a'))?.id).toBe(topicId(1))
  })

  test('what did not change is shared with the image before', async () => {
    await follow()
    const [a, b] = [topicId(1), topicId(2)]
    const before = await write([
      ...partitionPuts(a, 3),
      topicPut('a', a, 3),
      ...partitionPuts(b, 3),
      topicPut('b', b, 3),
    ])
    const after = await write([partitionPut(a, 1, 1)])
    expect(after.topics.get(name('b'))).toBe(before.topics.get(name('b')))
    expect(after.nodes).toBe(before.nodes)
    const [was, is] = [before.topics.get(name('a'))!, after.topics.get(name('a'))!]
    expect(is.partitions[0]).toBe(was.partitions[0])
    expect(is.partitions[1]).not.toBe(was.partitions[1])
    expect(was.partitions[1]?.leaderEpoch).toBe(0)
    expect(is.slotMap.slots).toBe(after.topics.get(name('b'))?.slotMap.slots)
  })

  test('moved slots are where the record says', async () => {
    await follow()
    const key = new TextEncoder().encode('customer-7')
    const { value } = topicPut('a', topicId(1), 2)
    const stored = JSON.parse(value)
    stored.slotMap = { initialPartitions: 1, version: 2, moves: [[1, [0, 1, 2]]] }
    const image = await write([{ key: topicKey(name('a')), value: JSON.stringify(stored) }])
    const { slotMap } = image.topics.get(name('a'))!
    expect(slotMap.version).toBe(2)
    expect([...slotMap.slots.slice(0, 4)]).toEqual([1, 1, 1, 0])
    expect(partitionOfKey(slotMap, key)).toBe(0)
  })

  test('a value that cannot be read leaves what was known', async () => {
    await follow()
    await write([...partitionPuts(topicId(1), 1), topicPut('a', topicId(1), 1)])
    const image = await write([
      { key: topicKey(name('a')), value: '{"topicId":1}' },
      topicPut('b', topicId(2), 1),
    ])
    expect(image.topics.size).toBe(2)
    expect(image.topics.get(name('a'))?.id).toBe(topicId(1))
    expect(errors).toContain('a metadata value is not readable and was ignored')
  })

  test('waits for a version and for a topic, and stops waiting on abort', async () => {
    await follow()
    const stop = new AbortController()
    const topic = follower.waitForTopic(name('a'), NEVER)
    const other = follower.waitForTopic(name('b'), stop.signal)
    const version = follower.waitForVersion(1_000, stop.signal)
    await write([topicPut('a', topicId(1), 1)])
    expect((await topic).id).toBe(topicId(1))
    expect((await follower.waitForTopic(name('a'), NEVER)).id).toBe(topicId(1))
    stop.abort(new Error('enough'))
    await expect(other).rejects.toThrow('enough')
    await expect(version).rejects.toThrow('enough')
  })

  test('after a cut history it shows what changed, deletions too', async () => {
    const gate = new Gate(base.store)
    await follow(gate)
    await write([
      ...partitionPuts(topicId(1), 1),
      topicPut('gone', topicId(1), 1),
      ...partitionPuts(topicId(2), 1),
      topicPut('stays', topicId(2), 1),
    ])
    const stays = follower.image.topics.get(name('stays'))
    await gate.shut()
    await base.store.transact({ compare: [], put: [], remove: [topicKey(name('gone'))] })
    await base.store.transact({
      compare: [],
      put: [...partitionPuts(topicId(3), 60), topicPut('new', topicId(3), 60)],
    })
    const { revision } = await base.store.list('/')
    const images: MetadataImage[] = []
    follower.onChange((image) => images.push(image))
    gate.open()
    await base.clock.run(follower.waitForVersion(revision, NEVER))
    expect(images).toHaveLength(1)
    expect(new Set(follower.image.topics.keys())).toEqual(new Set(['new', 'stays']))
    expect(new Set(follower.image.topicsById.keys())).toEqual(new Set([topicId(2), topicId(3)]))
    expect(follower.image.topics.get(name('stays'))).toBe(stays)
    // And it goes on from there.
    expect(
      (await write([partitionPut(topicId(3), 59, 4)])).topics.get(name('new'))?.partitions[59],
    ).toMatchObject({ leaderEpoch: 4 })
  })

  test('takes the watch up again when the store was away, without a gap', async () => {
    const gate = new Gate(base.store)
    await follow(gate)
    await gate.shut()
    const { revision } = await base.store.transact({
      compare: [],
      put: [topicPut('a', topicId(1), 1)],
    })
    await base.clock.runFor(5_000)
    expect(follower.image.topics.size).toBe(0)
    gate.open()
    await base.clock.run(follower.waitForVersion(revision, NEVER))
    expect([...follower.image.topics.keys()]).toEqual(['a'])
    expect(errors).toContain('the metadata watch broke and will be taken up again')
  })

  test('does not start without the store', async () => {
    await follow()
    const closed = new MetadataFollower({ ...base, logger: nullLogger })
    await base.store.close()
    await expect(closed.start()).rejects.toThrow('closed')
  })
})

/** A store whose watch and list can be cut off, as behind a network. */
class Gate implements MetadataStore {
  readonly #store: MetadataStore
  #cut = new AbortController()
  #shut = false

  constructor(store: MetadataStore) {
    this.#store = store
  }

  get maxOperations() {
    return this.#store.maxOperations
  }

  async shut(): Promise<void> {
    this.#shut = true
    this.#cut.abort()
    await new Promise((resolve) => setImmediate(resolve))
  }

  open(): void {
    this.#shut = false
    this.#cut = new AbortController()
  }

  async *watch(prefix: string, fromRevision: number, signal: AbortSignal) {
    if (this.#shut) throw new Error('unreachable')
    const cut = this.#cut.signal
    yield* this.#store.watch(prefix, fromRevision, AbortSignal.any([signal, cut]))
    if (cut.aborted) throw new Error('cut off')
  }

  async list(prefix: string) {
    if (this.#shut) throw new Error('unreachable')
    return await this.#store.list(prefix)
  }

  get = (key: string) => this.#store.get(key)
  transact = (transaction: Transaction) => this.#store.transact(transaction)
  lease = (ttlMs: number) => this.#store.lease(ttlMs)
  close = () => this.#store.close()
}
