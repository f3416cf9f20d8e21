/**
 * The topics as groups see them: which there are, how many partitions they have, and in which racks
 * the replicas are. Most changes of the metadata change none of it, and cost groups nothing.
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

/** Of nodes. */
type Racks = ReadonlyMap<number, string>

/** Subscriptions whose topics are remembered. */
const RESOLVED_MAX = 10_000
const NOTHING: readonly CatalogueTopic[] = []

export class TopicCatalogue {
  #image: MetadataImage | undefined
  #topics: MetadataImage['topics'] = new Map()
  #removed: MetadataImage['removedTopics'] = new Map()
  #racks: Racks = new Map()
  #byName = new Map<TopicName, KnownTopic>()
  #byId = new Map<TopicId, CatalogueTopic>()
  readonly #resolved = new Map<string, readonly CatalogueTopic[]>()
  #version = 0

  /** Grows when topics come or go, get more partitions, or have replicas in other racks. */
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
    const isElsewhere = image.nodes !== this.#image?.nodes || image.members !== this.#image.members
    const racks = isElsewhere ? racksIn(image, this.#racks) : this.#racks
    const wereRemoved = this.#removed
    const isSame =
      image.topics === this.#topics && image.removedTopics === wereRemoved && racks === this.#racks
    this.#image = image
    if (isSame) return
    this.#topics = image.topics
    this.#removed = image.removedTopics
    this.#racks = racks
    const byName = new Map<TopicName, KnownTopic>()
    let changed = image.removedTopics !== wereRemoved
    for (const topic of image.topics.values()) {
      if (isReservedName(topic.name)) continue
      const before = this.#byName.get(topic.name)
      const isKnown = before?.isStill(topic, racks) === true
      if (!isKnown) changed = true
      byName.set(topic.name, isKnown ? before : new KnownTopic(topic, racks))
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
}

/** A topic as it was when it changed last for groups. */
class KnownTopic implements CatalogueTopic {
  readonly name: TopicName
  readonly topicId: TopicId
  readonly partitions: number
  /** The latest that said the same. */
  #image: TopicImage
  #racks: Racks

  constructor(image: TopicImage, racks: Racks) {
    this.name = image.name
    this.topicId = image.id
    this.partitions = image.partitions.length
    this.#image = image
    this.#racks = racks
  }

  racksOf(partition: number): readonly string[] {
    const { replicas = [] } = this.#image.partitions[partition] ?? {}
    return replicas.map((nodeId) => this.#racks.get(nodeId) ?? '')
  }

  /** Whether to groups the topic is what it was. */
  isStill(image: TopicImage, racks: Racks): boolean {
    const isSame =
      image.id === this.topicId &&
      image.partitions.length === this.partitions &&
      ((image === this.#image && racks === this.#racks) || this.#isWhereItWas(image, racks))
    if (!isSame) return false
    this.#image = image
    this.#racks = racks
    return true
  }

  #isWhereItWas({ partitions }: TopicImage, racks: Racks): boolean {
    return partitions.every((partition, i) => {
      if (partition === this.#image.partitions[i] && racks === this.#racks) return true
      const before = this.racksOf(i)
      const { replicas } = partition
      return (
        replicas.length === before.length &&
        replicas.every((nodeId, at) => (racks.get(nodeId) ?? '') === before[at])
      )
    })
  }
}

/**
 * Where nodes are, or were when they were up: nothing moves because one is restarted. The same map as
 * long as it says the same.
 */
function racksIn({ nodes, members }: MetadataImage, before: Racks): Racks {
  const racks = new Map(before)
  for (const [nodeId, { rack }] of members) if (!racks.has(nodeId)) racks.set(nodeId, rack)
  for (const [nodeId, { rack }] of nodes) racks.set(nodeId, rack)
  const isSame =
    racks.size === before.size && [...racks].every(([nodeId, rack]) => rack === before.get(nodeId))
  return isSame ? before : racks
}

/** The same for subscriptions that name the same. */
export function subscriptionKey(subscription: Subscription): string {
  return 'pattern' in subscription
    ? `pattern ${subscription.pattern}`
    : [...new Set(subscription.topics)].sort((a, b) => (a < b ? -1 : 1)).join(' ')
}
