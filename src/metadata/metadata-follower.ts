/**
 * Follows the metadata store with one list and one watch, and gives the current image to all of the
 * process. Survives a store that is away for a while and a history that is cut.
 */
import type { TopicName } from '../core/ids.ts'
import type { Clock } from '../env/clock.ts'
import type { Logger } from '../env/logger.ts'
import type { Random } from '../env/random.ts'
import { assert } from '../lib/assert.ts'
import { ThresholdWaiters } from '../lib/threshold-waiters.ts'
import { ImageBuilder } from './image-builder.ts'
import type { AwaitableMetadataView, MetadataImage, TopicImage } from './metadata-image.ts'
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
}

const DEFAULTS: MetadataFollowerOptions = { maxWaiters: 10_000, retryMs: 1_000 }
const ALL_KEYS = '/'

export class MetadataFollower implements AwaitableMetadataView {
  readonly #deps: MetadataFollowerDeps
  readonly #options: MetadataFollowerOptions
  readonly #builder: ImageBuilder
  readonly #versions: ThresholdWaiters
  readonly #listeners = new Set<(image: MetadataImage) => void>()
  readonly #stop = new AbortController()
  /** Modification revision of every key, so that a new list tells what a lost history would have. */
  #keys = new Map<string, number>()
  #running: Promise<void> | undefined

  constructor(deps: MetadataFollowerDeps, options: Partial<MetadataFollowerOptions> = {}) {
    this.#deps = deps
    this.#options = { ...DEFAULTS, ...options }
    this.#builder = new ImageBuilder(deps.logger)
    this.#versions = new ThresholdWaiters(0, this.#options.maxWaiters)
  }

  /** Resolves with the first image; rejects when the store cannot be read. */
  async start(): Promise<MetadataImage> {
    assert(this.#running === undefined, 'the follower is started once')
    await this.#relist()
    this.#running = this.#follow()
    return this.image
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
        logger.warn({ error }, 'the metadata watch broke and will be taken up again')
      }
      const pauseMs = this.#options.retryMs * (0.5 + random.float())
      await clock.sleep(pauseMs, signal).catch(() => undefined)
    }
  }

  async #watch(signal: AbortSignal): Promise<void> {
    const from = this.image.version + 1
    for await (const change of this.#deps.store.watch(ALL_KEYS, from, signal)) {
      for (const { key, entry } of change.events) {
        if (entry === undefined) this.#keys.delete(key)
        else this.#keys.set(key, entry.modRevision)
      }
      this.#apply(change)
    }
  }

  async #tryRelist(): Promise<boolean> {
    try {
      await this.#relist()
      return true
    } catch (error) {
      this.#deps.logger.warn({ error }, 'the metadata could not be listed')
      return false
    }
  }

  /** Brings the image to what the store holds now, as one change made of the differences. */
  async #relist(): Promise<void> {
    const { entries, revision } = await this.#deps.store.list(ALL_KEYS)
    const before = this.#keys
    this.#keys = new Map()
    const events: Change['events'][number][] = []
    for (const entry of entries) {
      this.#keys.set(entry.key, entry.modRevision)
      if (before.get(entry.key) !== entry.modRevision) events.push({ key: entry.key, entry })
      before.delete(entry.key)
    }
    for (const key of before.keys()) events.push({ key, entry: undefined })
    this.#apply({ revision, events })
  }

  #apply(change: Change): void {
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
