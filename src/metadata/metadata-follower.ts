/**
 * Follows the metadata store with one list and one watch, and gives the current image to all of the
 * process. Survives a store that is away for a while, a history that is cut, and events that are lost
 * on the way; goes along with no store that has fallen back.
 */
import type { TopicName } from '../core/ids.ts'
import type { Clock } from '../env/clock.ts'
import type { Logger } from '../env/logger.ts'
import type { Random } from '../env/random.ts'
import { assert } from '../lib/assert.ts'
import { ThresholdWaiters } from '../lib/threshold-waiters.ts'
import { whyOf } from '../lib/why.ts'
import { ImageBuilder } from './image-builder.ts'
import type { StoreList } from './known-keys.ts'
import { KnownKeys } from './known-keys.ts'
import type { AwaitableMetadataView, MetadataImage, TopicImage } from './metadata-image.ts'
import { CLUSTER_KEY } from './metadata-keys.ts'
import type { Change, MetadataStore } from './metadata-store.ts'
import { CompactedError } from './metadata-store.ts'

export interface MetadataFollowerDeps {
  readonly store: Pick<MetadataStore, 'list' | 'watch'>
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** Told of each change before the image is. */
  readonly onApply?: (change: Change) => void
}

export interface MetadataFollowerOptions {
  /** How many may wait for a version, or a topic, at once. */
  readonly maxWaiters: number
  /** Pause before the watch is taken up again after a failure; half to one and a half of it. */
  readonly retryMs: number
  /**
   * Pause between two looks at the whole store, for events that the watch did not bring; half to one
   * and a half of it. Infinite for a store that cannot lose any.
   */
  readonly relistMs: number
  /** Pause between two looks at how far the store is, which cost little. */
  readonly probeMs: number
  /** How long a change may be under way before it counts as lost. */
  readonly settleMs: number
  /**
   * Whether a list shows the newest state of all, so that an older one than was seen means that the
   * store fell back. Not so where lists come from nodes that may be behind.
   */
  readonly hasLinearizableLists: boolean
}

const DEFAULTS: MetadataFollowerOptions = {
  maxWaiters: 10_000,
  retryMs: 1_000,
  relistMs: 60_000,
  probeMs: 5_000,
  settleMs: 2_000,
  hasLinearizableLists: true,
}
/** Lists that may be older than the image, one after the other, before healing is put off. */
const HEAL_ATTEMPTS = 5
const KEYS_LOGGED = 10
const ALL_KEYS = '/'

export class MetadataFollower implements AwaitableMetadataView {
  readonly #deps: MetadataFollowerDeps
  readonly #options: MetadataFollowerOptions
  readonly #builder: ImageBuilder
  readonly #versions: ThresholdWaiters
  readonly #listeners = new Set<(image: MetadataImage) => void>()
  readonly #stop = new AbortController()
  readonly #keys = new KnownKeys()
  #running: Promise<unknown> | undefined
  #staleReason: string | undefined

  constructor(deps: MetadataFollowerDeps, options: Partial<MetadataFollowerOptions> = {}) {
    this.#deps = deps
    this.#options = { ...DEFAULTS, ...options }
    this.#builder = new ImageBuilder(deps.logger)
    this.#versions = new ThresholdWaiters(0, this.#options.maxWaiters)
  }

  /** Resolves with the first image; rejects when the store cannot be read. */
  async start(): Promise<MetadataImage> {
    assert(this.#running === undefined, 'the follower is started once')
    this.#adopt(await this.#list())
    this.#running = Promise.all([this.#follow(), this.#relistRegularly(), this.#probeRegularly()])
    return this.image
  }

  /** Why the image does not follow the store any more, for good; undefined while it does. */
  get staleReason(): string | undefined {
    return this.#staleReason
  }

  get image(): MetadataImage {
    return this.#builder.image
  }

  onChange(listener: (image: MetadataImage) => void): () => void {
    // Wrapped, so that the same function may be registered twice.
    const call = (image: MetadataImage) => listener(image)
    this.#listeners.add(call)
    return () => this.#listeners.delete(call)
  }

  async waitForVersion(version: number, signal: AbortSignal): Promise<MetadataImage> {
    await this.#versions.reached(version, signal)
    return this.image
  }

  async waitForTopic(name: TopicName, signal: AbortSignal): Promise<TopicImage> {
    for (;;) {
      const { topics, version } = this.image
      const topic = topics.get(name)
      if (topic !== undefined) return topic
      await this.#versions.reached(version + 1, signal)
    }
  }

  /** Stops following; the last image stays, and those who wait are left to their signals. */
  async close(): Promise<void> {
    this.#stop.abort()
    await this.#running
  }

  async #follow(): Promise<void> {
    const { clock, random, logger } = this.#deps
    const { signal } = this.#stop
    while (!signal.aborted) {
      try {
        await this.#watch(signal)
      } catch (error) {
        if (signal.aborted) return
        if (error instanceof CompactedError && (await this.#tryRelist())) continue
        logger.warn({ why: whyOf(error) }, 'the metadata watch broke and will be taken up again')
      }
      const pauseMs = this.#options.retryMs * (0.5 + random.float())
      await clock.sleep(pauseMs, signal).catch(() => undefined)
    }
  }

  async #watch(signal: AbortSignal): Promise<void> {
    const from = this.image.version + 1
    for await (const change of this.#deps.store.watch(ALL_KEYS, from, signal)) {
      // A list may have been faster.
      if (change.revision > this.image.version) this.#apply(change)
    }
  }

  async #tryRelist(): Promise<boolean> {
    try {
      this.#adopt(await this.#list())
      return true
    } catch (error) {
      this.#deps.logger.warn({ why: whyOf(error) }, 'the metadata could not be listed')
      return false
    }
  }

  async #relistRegularly(): Promise<void> {
    const { clock, random, logger } = this.#deps
    const { signal } = this.#stop
    const { relistMs } = this.#options
    while (Number.isFinite(relistMs) && !signal.aborted) {
      await clock.sleep(relistMs * (0.5 + random.float()), signal).catch(() => undefined)
      try {
        if (!signal.aborted) await this.#heal(signal)
      } catch (error) {
        if (!signal.aborted) logger.warn({ why: whyOf(error) }, 'the metadata could not be listed')
      }
    }
  }

  /** A store that fell back is behind what was seen until it has made up for it: that is to be noticed soon. */
  async #probeRegularly(): Promise<void> {
    const { clock, random, store } = this.#deps
    const { signal } = this.#stop
    const { relistMs, probeMs, hasLinearizableLists } = this.#options
    while (hasLinearizableLists && Number.isFinite(relistMs) && !signal.aborted) {
      await clock.sleep(probeMs * (0.5 + random.float()), signal).catch(() => undefined)
      if (signal.aborted) return
      const seen = this.image.version
      // One that does not answer is known by other signs.
      const list = await store.list(CLUSTER_KEY).catch(() => undefined)
      if (list !== undefined && list.revision < seen && !signal.aborted) {
        this.#endFollowing(list.revision)
      }
    }
  }

  /** Finds what differs from the store and goes on to differ, though nothing has come since. */
  async #heal(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#deps
    const suspects = this.#keys.differences(await this.#list())
    if (suspects.length === 0) return
    const before = new Map(suspects.map(({ key }) => [key, this.#keys.revisionOf(key)]))
    await clock.sleep(this.#options.settleMs, signal)
    for (let attempt = 0; attempt < HEAL_ATTEMPTS; attempt++) {
      const list = await this.#list()
      const lost = this.#keys
        .differences(list)
        .filter(({ key }) => before.has(key) && before.get(key) === this.#keys.revisionOf(key))
      if (lost.length === 0) return
      if (!this.#adopt(list)) continue
      const keys = lost.slice(0, KEYS_LOGGED).map(({ key }) => key)
      const fields = { lost: lost.length, keys, version: this.image.version }
      logger.warn(fields, 'changes of the metadata had not arrived; they were read from a list')
      return
    }
  }

  /** @throws Error when the list is older than what was seen; that may end the following */
  async #list(): Promise<StoreList> {
    const seen = this.image.version
    const list = await this.#deps.store.list(ALL_KEYS)
    if (list.revision >= seen && !this.#keys.contradicts(list)) return list
    if (this.#options.hasLinearizableLists) this.#endFollowing(list.revision)
    throw new Error(`the list, of revision ${list.revision}, is older than what was seen`)
  }

  #endFollowing(revision: number): void {
    const seen = this.image.version
    this.#staleReason =
      `the metadata store fell back (it is at revision ${revision}, and this node has seen ` +
      `${seen}), as after a restore from a backup; restart the node`
    this.#deps.logger.error(
      { revision, seen },
      'the metadata store fell back; the last image is kept',
    )
    this.#stop.abort()
  }

  /** Brings the image to the list, as one change made of the differences; false when it is further. */
  #adopt(list: StoreList): boolean {
    if (list.revision < this.image.version) return false
    this.#apply({ revision: list.revision, events: this.#keys.differences(list) })
    return true
  }

  #apply(change: Change): void {
    this.#keys.apply(change)
    this.#deps.onApply?.(change)
    const image = this.#builder.apply(change)
    for (const listener of this.#listeners) {
      try {
        listener(image)
      } catch (error) {
        this.#deps.logger.error({ error }, 'a listener of metadata changes threw')
      }
    }
    this.#versions.advance(image.version)
  }
}
