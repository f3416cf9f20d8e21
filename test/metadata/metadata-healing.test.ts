/** What the follower does about a store that loses events on the way, or falls back to an older state. */
import { afterEach, describe, expect, test } from 'vitest'
import type { Logger } from '../../src/env/logger.ts'
import { nullLogger } from '../../src/env/logger.ts'
import { SeededRandom } from '../../src/env/seeded-random.ts'
import type { MetadataFollowerOptions } from '../../src/metadata/metadata-follower.ts'
import { MetadataFollower } from '../../src/metadata/metadata-follower.ts'
import type { MetadataImage } from '../../src/metadata/metadata-image.ts'
import { topicKey } from '../../src/metadata/metadata-keys.ts'
import type { Change, Entry } from '../../src/metadata/metadata-store.ts'
import { CompactedError } from '../../src/metadata/metadata-store.ts'
import { SimClock } from '../sim/sim-clock.ts'
import { NEVER, name, topicId, topicPut } from './topic-fixtures.ts'

const LOST = 'changes of the metadata had not arrived; they were read from a list'
const FELL_BACK = 'the metadata store fell back; the last image is kept'
/** Topics are written here without their partitions. */
const EXPECTED = 'partitions of a topic are not in the metadata'
const RELIST_MS = 60_000
/** The pause is half to one and a half of the setting, and then the change may still be under way. */
const PROBED_WITHIN_MS = 7_500
const HEALED_WITHIN_MS = RELIST_MS * 1.5 + 2_000

/** Lists what was written; its watch brings only what a test delivers. */
class ForgetfulStore {
  readonly #entries = new Map<string, Entry>()
  readonly #delivered: Change[] = []
  #wake: (() => void) | undefined
  #isCompacted: boolean = false
  revision = 1
  lists = 0
  watches: number[] = []

  /** Writes a topic; gives the change, which the watch has not brought yet. */
  put(topic: string, n: number): Change {
    const { key, value } = topicPut(topic, topicId(n), 1)
    this.revision++
    const createRevision = this.#entries.get(key)?.createRevision ?? this.revision
    const entry = { key, value, createRevision, modRevision: this.revision }
    this.#entries.set(key, entry)
    return { revision: this.revision, events: [{ key, entry }] }
  }

  remove(topic: string): Change {
    const key = topicKey(name(topic))
    this.#entries.delete(key)
    return { revision: ++this.revision, events: [{ key, entry: undefined }] }
  }

  deliver(change: Change): void {
    this.#delivered.push(change)
    this.#wake?.()
  }

  compact(): void {
    this.#isCompacted = true
    this.#wake?.()
  }

  async list(prefix: string) {
    if (prefix === '/') this.lists++
    const entries = [...this.#entries.values()].filter(({ key }) => key.startsWith(prefix))
    return { entries, revision: this.revision }
  }

  async *watch(_: string, fromRevision: number, signal: AbortSignal): AsyncGenerator<Change> {
    this.watches.push(fromRevision)
    while (!signal.aborted) {
      if (this.#isCompacted) {
        this.#isCompacted = false
        throw new CompactedError('the history is gone')
      }
      const change = this.#delivered.shift()
      if (change !== undefined) yield change
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve
          signal.addEventListener('abort', () => resolve(), { once: true })
        })
      }
    }
  }
}

describe('MetadataFollower and its store', () => {
  let follower: MetadataFollower
  afterEach(() => follower.close())

  async function follow(options: Partial<MetadataFollowerOptions> = {}) {
    const store = new ForgetfulStore()
    const clock = new SimClock()
    const messages: string[] = []
    const log = (_: object, message: string) => {
      if (message !== EXPECTED) messages.push(message)
    }
    const logger: Logger = { ...nullLogger, warn: log, error: log }
    const images: MetadataImage[] = []
    store.put('old', 1)
    store.put('kept', 2)
    const random = new SeededRandom(5)
    follower = new MetadataFollower({ store, clock, random, logger }, options)
    await follower.start()
    follower.onChange((image) => images.push(image))
    return { store, clock, messages, images }
  }
  const topics = (): Set<string> => new Set(follower.image.topics.keys())

  test('looks regularly, and does nothing while all has arrived', async () => {
    const { store, clock, messages, images } = await follow()
    store.deliver(store.put('new', 3))
    await clock.runFor(10 * RELIST_MS)
    expect(store.lists).toBeGreaterThan(5)
    expect(store.lists).toBeLessThan(20)
    expect(images.map(({ version }) => version)).toEqual([store.revision])
    expect(messages).toEqual([])
  })

  test('what the watch never brought is there before long, removals too, and told', async () => {
    const { store, clock, messages, images } = await follow()
    store.put('new', 3)
    store.remove('old')
    store.put('kept', 4)
    await clock.runFor(HEALED_WITHIN_MS)
    expect(topics()).toEqual(new Set(['kept', 'new']))
    expect(follower.image.topics.get(name('kept'))?.id).toBe(topicId(4))
    expect(images.map(({ version }) => version)).toEqual([store.revision])
    expect(messages).toEqual([LOST])
    store.deliver(store.put('next', 5))
    await clock.runFor(0)
    expect(topics()).toEqual(new Set(['kept', 'new', 'next']))
  })

  test('what was lost is found behind what came later', async () => {
    const { store, clock, messages } = await follow()
    store.put('lost', 3)
    store.deliver(store.put('new', 4))
    await clock.runFor(0)
    expect(topics()).toEqual(new Set(['kept', 'new', 'old']))
    await clock.runFor(HEALED_WITHIN_MS)
    expect(topics()).toEqual(new Set(['kept', 'lost', 'new', 'old']))
    expect(messages).toEqual([LOST])
  })

  test('what is only under way is left to come, and not told as lost', async () => {
    const { store, clock, messages, images } = await follow()
    const lists = store.lists
    const late = [store.put('new', 3), store.remove('old')]
    while (store.lists === lists) await clock.runFor(500)
    for (const change of late) store.deliver(change)
    await clock.runFor(HEALED_WITHIN_MS)
    expect(images.map(({ version }) => version)).toEqual([store.revision - 1, store.revision])
    expect(messages).toEqual([])
  })

  test('what comes after it was listed is not taken twice, nor does it lead back', async () => {
    const { store, clock, images } = await follow()
    const late = [store.put('new', 3), store.put('new', 4)]
    await clock.runFor(HEALED_WITHIN_MS)
    for (const change of late) store.deliver(change)
    await clock.runFor(1_000)
    expect(images).toHaveLength(1)
    expect(follower.image.topics.get(name('new'))?.id).toBe(topicId(4))
    const waiting = follower.waitForVersion(store.revision + 1, NEVER)
    store.deliver(store.put('next', 5))
    expect((await clock.run(waiting)).topics.has(name('next'))).toBe(true)
  })

  test('a store at an older revision is not followed: the image stays and the reason is told', async () => {
    const { store, clock, messages, images } = await follow()
    expect(follower.staleReason).toBeUndefined()
    const { image } = follower
    store.remove('old')
    store.revision = 2
    await clock.runFor(HEALED_WITHIN_MS)
    expect(follower.staleReason).toContain('fell back (it is at revision 2')
    expect(messages).toContain(FELL_BACK)
    // Also not when it has as many revisions again, of another history.
    store.revision = 50
    store.deliver(store.put('new', 3))
    await clock.runFor(10 * RELIST_MS)
    expect(images).toEqual([])
    expect(follower.image).toBe(image)
    expect(messages.filter((message) => message === FELL_BACK)).toHaveLength(1)
  })

  test('a store at an older revision is noticed within seconds, without a list of all', async () => {
    const { store, clock, messages } = await follow()
    await clock.runFor(20_000)
    const { lists } = store
    expect(follower.staleReason).toBeUndefined()
    store.revision = 2
    await clock.runFor(PROBED_WITHIN_MS)
    expect(follower.staleReason).toContain('fell back (it is at revision 2')
    expect(messages).toEqual([FELL_BACK])
    expect(store.lists).toBe(lists)
  })

  test('a store that caught up after it fell back is known by its keys', async () => {
    const { store, clock, messages } = await follow()
    store.deliver(store.put('kept', 3))
    await clock.runFor(0)
    const { image } = follower
    store.revision = 2
    store.put('kept', 7)
    store.revision = 90
    await clock.runFor(HEALED_WITHIN_MS)
    expect(follower.staleReason).toBeDefined()
    expect(messages).toContain(FELL_BACK)
    expect(follower.image).toBe(image)
  })

  test('a store that fell back is noticed when its history is gone', async () => {
    const { store, clock } = await follow()
    store.revision = 2
    store.compact()
    await clock.runFor(0)
    expect(follower.staleReason).toBeDefined()
    expect(topics()).toEqual(new Set(['kept', 'old']))
  })

  test('where lists may come from nodes that are behind, an old one is left, and all goes on', async () => {
    const { store, clock, messages } = await follow({ hasLinearizableLists: false })
    store.deliver(store.put('kept', 3))
    await clock.runFor(0)
    const { revision } = store
    store.revision = 2
    store.put('kept', 7)
    for (const behind of [3, revision, revision + 1]) {
      store.revision = behind
      await clock.runFor(HEALED_WITHIN_MS)
      expect(follower.image.topics.get(name('kept'))?.id).toBe(topicId(3))
    }
    expect(follower.staleReason).toBeUndefined()
    expect(new Set(messages)).toEqual(new Set(['the metadata could not be listed']))
    store.deliver(store.put('new', 4))
    await clock.runFor(0)
    expect(follower.image.topics.has(name('new'))).toBe(true)
  })
})
