/**
 * Creates, changes and deletes topics. Each call decides on the store's own state, writes by
 * compare and set, and resolves only when this process's image shows the result, so that whoever
 * got the answer can go on with the topic here.
 */
import type { TopicName } from '../core/ids.ts'
import { isReservedName, topicIdFromBytes } from '../core/ids.ts'
import { placeReplicas } from '../core/placement.ts'
import type { TopicSpec } from '../core/topic.ts'
import {
  changedConfig,
  configFaults,
  DEFAULT_PARTITIONS,
  DEFAULT_PARTITIONS_AUTO_CREATED,
  defaultTopicConfig,
  newTopicConfig,
  specDifferences,
  specFaults,
} from '../core/topic.ts'
import type { Clock } from '../env/clock.ts'
import type { Random } from '../env/random.ts'
import type { FaultDetail } from '../lib/service-error.ts'
import { ServiceError } from '../lib/service-error.ts'
import type {
  AwaitableMetadataView,
  MetadataImage,
  TopicImage,
} from '../metadata/metadata-image.ts'
import { removedTopicKey, topicKey } from '../metadata/metadata-keys.ts'
import type { TopicRecord } from '../metadata/metadata-records.ts'
import { decodeTopic, withConfig } from '../metadata/metadata-records.ts'
import type { LeaselessStore } from '../metadata/metadata-store.ts'
import type { NewTopic } from './topic-writes.ts'
import { createTopic, removePartitions, removeTopic } from './topic-writes.ts'
import { visibleImage } from './visible-image.ts'

export interface TopicAdminDeps {
  readonly store: LeaselessStore
  readonly view: AwaitableMetadataView
  readonly clock: Clock
  readonly random: Random
}

export interface TopicAdminOptions {
  /** Whether producing to a topic that does not exist creates it. */
  readonly autoCreateTopics: boolean
}

export interface Ensured {
  readonly outcome: 'created' | 'same'
  readonly topic: TopicImage
}

export interface TopicPage {
  readonly topics: readonly TopicImage[]
  /** Whether there are more behind the last. */
  readonly more: boolean
}

interface StoredTopic extends TopicRecord {
  readonly text: string
  readonly modRevision: number
}

/** Attempts of one call when others write the same topic, or an outcome is not known. */
const ATTEMPTS = 5
/** How long it is remembered that a topic was deleted, for nodes that were away meanwhile. */
const REMOVED_TOPICS_KEPT_MS = 30 * 24 * 3_600_000
const REMOVED_TOPICS_FORGOTTEN_AT_ONCE = 100
/** Loading one means reading all of it: what is out of date goes soon. */
const INTERNAL_TOPIC = {
  cleanup: 'compact',
  segmentBytes: 16 * 1024 * 1024,
  retentionMs: -1,
} as const satisfies TopicSpec

export class TopicAdmin {
  readonly #deps: TopicAdminDeps
  readonly #options: TopicAdminOptions
  #sorted: { of: MetadataImage['topics']; names: readonly TopicName[] } | undefined

  constructor(deps: TopicAdminDeps, options: TopicAdminOptions) {
    this.#deps = deps
    this.#options = options
  }

  /**
   * Creates the topic, or finds it as it is asked for.
   * @throws ServiceError `topic-differs`, `invalid-request`, `invalid-parameter`
   */
  async ensure(name: TopicName, spec: TopicSpec, signal: AbortSignal): Promise<Ensured> {
    if (isReservedName(name)) {
      const detail = 'begins with two underscores, which is reserved'
      throw new ServiceError('invalid-parameter', `the topic name ${name} ${detail}`, {
        errors: [{ pointer: 'topic', detail }],
      })
    }
    refuse(specFaults(spec))
    return await this.#ensure(name, spec, signal)
  }

  /**
   * A topic of Curlew's own, which is compacted and keeps the partitions that it is made with. It
   * has as many replicas as there are nodes for, up or not, but no more than other topics.
   */
  async ensureInternal(
    name: TopicName,
    partitions: number,
    signal: AbortSignal,
  ): Promise<TopicImage> {
    const known = this.#deps.view.image.topics.get(name)
    if (known !== undefined) return known
    if ((await this.#read(name)) === undefined) {
      const { nodes, members } = this.#deps.view.image
      const { replicationFactor } = defaultTopicConfig(Math.max(nodes.size, members.size))
      if (nodes.size < replicationFactor) {
        const detail = `${nodes.size} of the ${replicationFactor} nodes are up that hold ${name}`
        throw new ServiceError('not-enough-replicas', detail, { retryAfterMs: 1000 })
      }
      const spec = { ...INTERNAL_TOPIC, partitions, replicationFactor }
      const made = await this.#ensure(name, spec, signal).catch((error: unknown) => {
        if (!isDifferent(error)) throw error
      })
      if (made !== undefined) return made.topic
    }
    // Somebody else has made it, maybe with other settings: it will do.
    return await this.#deps.view.waitForTopic(name, signal)
  }

  async #ensure(name: TopicName, spec: TopicSpec, signal: AbortSignal): Promise<Ensured> {
    let own: NewTopic | undefined
    return await this.#attempt(name, signal, async () => {
      const stored = await this.#read(name)
      if (stored !== undefined) {
        const topic = await this.#shown(name, stored.modRevision, signal)
        if (topic === undefined) return undefined
        // Found after an attempt of which nobody knew how it ended: it was ours.
        if (stored.topicId === own?.id) return { outcome: 'created', topic }
        const errors = specDifferences(spec, stored)
        if (errors.length === 0) return { outcome: 'same', topic }
        const what = errors.map(({ pointer, detail }) => `${pointer.slice(1)} ${detail}`)
        throw new ServiceError('topic-differs', `topic ${name}: ${what.join('; ')}`, { errors })
      }
      own ??= this.#newTopic(name, spec)
      const { succeeded, revision } = await createTopic(this.#deps.store, own)
      if (!succeeded) {
        own = undefined
        return undefined
      }
      const topic = await this.#shown(name, revision, signal)
      if (topic?.id === own.id) return { outcome: 'created', topic }
      throw new ServiceError('topic-deleting', `topic ${name} was deleted as soon as it was made`)
    })
  }

  /** @throws ServiceError `topic-not-found` */
  describe(name: TopicName): TopicImage {
    const topic = this.#deps.view.image.topics.get(name)
    if (topic === undefined || isReservedName(name)) throw notFound(name)
    return topic
  }

  /** Topics by name, at most `limit` of them, behind the name `after`. */
  list(limit: number, after = ''): TopicPage {
    const { topics } = this.#deps.view.image
    const names = this.#sortedNames(topics)
    const start = firstBehind(names, after)
    const page = names.slice(start, start + limit)
    return {
      topics: page.map((name) => topics.get(name) as TopicImage),
      more: start + page.length < names.length,
    }
  }

  /**
   * Changes the settings that the spec names.
   * @throws ServiceError `topic-not-found`; `invalid-request` for what cannot be changed
   */
  async change(name: TopicName, spec: TopicSpec, signal: AbortSignal): Promise<TopicImage> {
    if (isReservedName(name)) throw notFound(name)
    refuse(specFaults(spec))
    return await this.#attempt(name, signal, async () => {
      const stored = await this.#read(name)
      if (stored === undefined) throw notFound(name)
      const change = changedConfig(spec, stored)
      if (!change.ok) throw invalid(change.faults)
      if (!change.changed) return await this.#shown(name, stored.modRevision, signal)
      const key = topicKey(name)
      const { succeeded, revision } = await this.#deps.store.transact({
        compare: [{ key, target: 'modRevision', equals: stored.modRevision }],
        put: [{ key, value: withConfig(stored.text, change.config) }],
      })
      return succeeded ? await this.#shown(name, revision, signal) : undefined
    })
  }

  /**
   * Deletes the topic; its data follows on each node. Made again, it is another topic.
   * @throws ServiceError `topic-not-found`
   */
  async remove(name: TopicName, signal: AbortSignal): Promise<void> {
    if (isReservedName(name)) throw notFound(name)
    const { store, clock } = this.#deps
    let removing: string | undefined
    await this.#attempt(name, signal, async () => {
      await this.#forgetOldRemovals()
      const stored = await this.#read(name)
      // After an attempt of unknown outcome another topic of the name, or none, means it succeeded.
      const done = removing !== undefined && stored?.topicId !== removing
      if (done) return true
      if (stored === undefined) throw notFound(name)
      removing = stored.topicId
      const topic = { ...stored, name, id: stored.topicId }
      const { succeeded, revision } = await removeTopic(store, topic, clock.nowMs())
      if (!succeeded) return undefined
      await visibleImage(this.#deps, revision, signal)
      return true
    })
  }

  /**
   * The topic as producing needs it, made with the defaults if that is allowed.
   * @throws ServiceError `topic-not-found`
   */
  async autoCreate(name: TopicName, signal: AbortSignal): Promise<TopicImage> {
    if (isReservedName(name)) throw notFound(name)
    const topic = this.#deps.view.image.topics.get(name)
    if (topic !== undefined) return topic
    if (!this.#options.autoCreateTopics) throw notFound(name)
    const spec = { partitions: DEFAULT_PARTITIONS_AUTO_CREATED }
    return await this.ensure(name, spec, signal).then(
      (ensured) => ensured.topic,
      // Somebody made it meanwhile, otherwise than by default: it will do.
      (error: unknown) => {
        if (isDifferent(error)) return this.describe(name)
        throw error
      },
    )
  }

  #newTopic(name: TopicName, spec: TopicSpec): NewTopic {
    const { view, clock, random } = this.#deps
    const nodes = [...view.image.nodes.values()].map((node) => ({
      ...node,
      avoid: node.draining || node.diskFull === true,
    }))
    if (nodes.length === 0) {
      throw new ServiceError('not-enough-replicas', 'no storage node is up to hold the topic')
    }
    const config = newTopicConfig(spec, nodes.length)
    refuse(configFaults(config, nodes.length))
    const partitions = spec.partitions ?? DEFAULT_PARTITIONS
    const replicas = placeReplicas(nodes, partitions, config.replicationFactor, random.uint32())
    if (replicas === undefined) {
      throw new ServiceError('not-enough-replicas', 'there are fewer nodes than replicas')
    }
    const id = topicIdFromBytes(random.bytes(16))
    return { name, id, config, replicas, createdAtMs: clock.nowMs() }
  }

  /** The linearizable truth, of which the image may be short. */
  async #read(name: TopicName): Promise<StoredTopic | undefined> {
    const entry = await this.#deps.store.get(topicKey(name))
    if (entry === undefined) return undefined
    try {
      return { ...decodeTopic(entry.value), text: entry.value, modRevision: entry.modRevision }
    } catch (error) {
      throw unreadable(name, error)
    }
  }

  /** Runs `attempt` until it gives a result: again when others were faster or its write ended unknown. */
  async #attempt<T>(
    name: TopicName,
    signal: AbortSignal,
    attempt: () => Promise<T | undefined>,
  ): Promise<T> {
    let cause: unknown
    for (let n = 0; n < ATTEMPTS; n++) {
      signal.throwIfAborted()
      try {
        const result = await attempt()
        if (result !== undefined) return result
        cause = undefined
      } catch (error) {
        if (signal.aborted) throw error
        // That the store is away says nothing of an attempt before, of which nobody knows.
        const isOpen = cause !== undefined && isStoreAway(error)
        if (error instanceof ServiceError && !isOpen) throw error
        cause ??= error
      }
    }
    if (cause === undefined) {
      throw new ServiceError('too-many-requests', `others keep changing the topic ${name}`)
    }
    throw new ServiceError('outcome-unknown', `the metadata store did not answer for ${name}`, {
      cause,
    })
  }

  async #shown(
    name: TopicName,
    revision: number,
    signal: AbortSignal,
  ): Promise<TopicImage | undefined> {
    const { topics } = await visibleImage(this.#deps, revision, signal)
    return topics.get(name)
  }

  async #forgetOldRemovals(): Promise<void> {
    const { store, view, clock } = this.#deps
    const before = clock.nowMs() - REMOVED_TOPICS_KEPT_MS
    const old = [...view.image.removedTopics]
      .filter(([, removedAtMs]) => removedAtMs < before)
      .slice(0, REMOVED_TOPICS_FORGOTTEN_AT_ONCE)
      .map(([id]) => id)
    if (old.length === 0) return
    // What a deletion that was cut short left behind.
    for (const id of old) await removePartitions(store, id)
    await store.transact({ compare: [], put: [], remove: old.map(removedTopicKey) })
  }

  #sortedNames(topics: MetadataImage['topics']): readonly TopicName[] {
    if (this.#sorted?.of !== topics) {
      const own = [...topics.keys()].filter((name) => !isReservedName(name))
      const names = own.sort((a, b) => (a < b ? -1 : 1))
      this.#sorted = { of: topics, names }
    }
    return this.#sorted.names
  }
}

function isDifferent(error: unknown): boolean {
  return error instanceof ServiceError && error.code === 'topic-differs'
}

function isStoreAway(error: unknown): boolean {
  return error instanceof ServiceError && error.code === 'metadata-unavailable'
}

function firstBehind(names: readonly string[], after: string): number {
  let [low, high] = [0, names.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((names[middle] as string) <= after) low = middle + 1
    else high = middle
  }
  return low
}

function notFound(name: TopicName): ServiceError {
  return new ServiceError('topic-not-found', `topic ${name} does not exist`)
}

function unreadable(name: TopicName, cause: unknown): ServiceError {
  const detail = `the metadata of topic ${name} cannot be read`
  return new ServiceError('internal-error', detail, { committed: 'no', cause })
}

function refuse(faults: readonly FaultDetail[]): void {
  if (faults.length > 0) throw invalid(faults)
}

function invalid(faults: readonly FaultDetail[]): ServiceError {
  const what = faults.map(({ pointer, detail }) => `${pointer.slice(1)} ${detail}`)
  return new ServiceError('invalid-request', what.join('; '), { errors: faults })
}
