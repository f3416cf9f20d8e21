/**
 * The topics as groups see them: which there are and how many partitions they have. Most changes of
 * the metadata change neither, and cost groups nothing.
 */
import type { AssignableTopic } from '../core/assignable.ts'
import type { TopicId, TopicName } from '../core/ids.ts'
import { isReservedName } from '../core/ids.ts'
import { matchesPattern } from '../core/topic-pattern.ts'
import type { MetadataImage, TopicImage } from '../metadata/metadata-image.ts'
import type { Subscription } from '../wire/groups.ts'

export interface CatalogueTopic extends AssignableTopic {
  readonly name: TopicName
}

/** Subscriptions whose topics are remembered. */
const RESOLVED_MAX = 10_000
const NOTHING: readonly CatalogueTopic[] = []

export class TopicCatalogue {
  #image: MetadataImage | undefined
  #topics: MetadataImage['topics'] = new Map()
  #removed: MetadataImage['removedTopics'] = new Map()
  #byName = new Map<TopicName, CatalogueTopic>()
  #byId = new Map<TopicId, CatalogueTopic>()
  readonly #resolved = new Map<string, readonly CatalogueTopic[]>()
  #version = 0

  /** Grows when topics come or go, or get more partitions. */
  get version(): number {
    return this.#version
  }

  byId(topicId: TopicId): CatalogueTopic | undefined {
    return this.#byId.get(topicId)
  }

  byName(name: TopicName): CatalogueTopic | undefined {
    return this.#byName.get(name)
  }

  /** Whether the topic was deleted: that it is not known proves nothing. */
  isRemoved(topicId: TopicId): boolean {
    return this.#removed.has(topicId)
  }

  follow(image: MetadataImage): void {
    if (image === this.#image) return
    this.#image = image
    const isSame = image.topics === this.#topics && image.removedTopics === this.#removed
    if (isSame) return
    const wereRemoved = this.#removed
    this.#topics = image.topics
    this.#removed = image.removedTopics
    const byName = new Map<TopicName, CatalogueTopic>()
    let changed = image.removedTopics !== wereRemoved
    for (const topic of image.topics.values()) {
      if (isReservedName(topic.name)) continue
      const before = this.#byName.get(topic.name)
      const isKnown = before?.topicId === topic.id && before.partitions === topic.partitions.length
      if (!isKnown) changed = true
      byName.set(topic.name, isKnown ? before : this.#entry(topic))
    }
    if (!changed && byName.size === this.#byName.size) return
    this.#byName = byName
    this.#byId = new Map([...byName.values()].map((topic) => [topic.topicId, topic]))
    this.#resolved.clear()
    this.#version++
  }

  /** The same array for subscriptions of the same key, as long as the version is the same. */
  resolve(key: string, subscription: Subscription): readonly CatalogueTopic[] {
    if (this.#byName.size === 0) return NOTHING
    let topics = this.#resolved.get(key)
    if (topics === undefined) {
      topics = this.#find(subscription)
      if (this.#resolved.size >= RESOLVED_MAX) this.#resolved.clear()
      this.#resolved.set(key, topics)
    }
    return topics
  }

  #find(subscription: Subscription): readonly CatalogueTopic[] {
    if ('pattern' in subscription) {
      const { pattern } = subscription
      return [...this.#byName.values()].filter(({ name }) => matchesPattern(pattern, name))
    }
    const names = [...new Set(subscription.topics)]
    return names.map((name) => this.#byName.get(name)).filter((topic) => topic !== undefined)
  }

  #entry({ name, id: topicId, partitions: { length: partitions } }: TopicImage): CatalogueTopic {
    const racksOf = (partition: number): readonly string[] => {
      const image = this.#image
      const replicas = image?.topicsById.get(topicId)?.partitions[partition]?.replicas ?? []
      return replicas.map((nodeId) => image?.nodes.get(nodeId)?.rack ?? '')
    }
    return { name, topicId, partitions, racksOf }
  }
}

/** The same for subscriptions that name the same. */
export function subscriptionKey(subscription: Subscription): string {
  return 'pattern' in subscription
    ? `pattern ${subscription.pattern}`
    : [...new Set(subscription.topics)].sort((a, b) => (a < b ? -1 : 1)).join(' ')
}
