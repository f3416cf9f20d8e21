/**
 * What the metadata ask a controller to do: which partitions need another leader, and which cannot
 * have one. Looks again only at what changed since the last image.
 */
import { elect } from '../core/election.ts'
import type { PartitionKey, TopicId } from '../core/ids.ts'
import { partitionKey } from '../core/ids.ts'
import type {
  MetadataImage,
  NodeImage,
  PartitionImage,
  TopicImage,
} from '../metadata/metadata-image.ts'
import type { PartitionChange } from '../metadata/partition-writes.ts'

export interface OfflinePartition {
  readonly topic: string
  readonly partition: number
  /** Nodes of which any could lead it without a loss, none of them up; empty: there is none. */
  readonly waitsFor: readonly number[]
}

interface Place {
  readonly topicId: TopicId
  readonly partition: number
}

export class ElectionSurvey {
  readonly #offline = new Map<PartitionKey, OfflinePartition & Place>()
  /** Of which the last image that was looked at asked for a change. */
  readonly #pending = new Map<PartitionKey, Place>()
  #seen: MetadataImage | undefined

  get offline(): ReadonlyMap<PartitionKey, OfflinePartition> {
    return this.#offline
  }

  /** The changes that the image asks for. */
  look(image: MetadataImage): PartitionChange[] {
    const before = this.#seen
    this.#seen = image
    const changes: PartitionChange[] = []
    const isNew = before === undefined || before.nodes !== image.nodes
    const avoid = nodesToAvoid(image)
    for (const [key, place] of this.#pending) {
      const topic = image.topicsById.get(place.topicId)
      // The others are come by below.
      const isSame = topic !== undefined && topic === before?.topicsById.get(place.topicId)
      if (topic === undefined) this.#pending.delete(key)
      else if (isSame && !isNew) this.#decide(image, topic, place.partition, avoid, changes)
    }
    if (before?.topics !== image.topics || isNew) {
      for (const [name, topic] of image.topics) {
        const old = isNew ? undefined : before?.topics.get(name)
        if (topic === old) continue
        this.#lookAtTopic(image, topic, old, avoid, changes)
      }
      for (const [key, { topicId }] of this.#offline) {
        if (!image.topicsById.has(topicId)) this.#offline.delete(key)
      }
    }
    return changes
  }

  #lookAtTopic(
    image: MetadataImage,
    topic: TopicImage,
    before: TopicImage | undefined,
    avoid: ReadonlySet<number>,
    changes: PartitionChange[],
  ): void {
    const old = before?.id === topic.id ? before.partitions : []
    for (const [partition, state] of topic.partitions.entries()) {
      const isPending = () => this.#pending.has(partitionKey(topic.id, partition))
      if (old[partition] !== state || isPending()) {
        this.#decide(image, topic, partition, avoid, changes)
      }
    }
  }

  #decide(
    image: MetadataImage,
    topic: TopicImage,
    partition: number,
    avoid: ReadonlySet<number>,
    changes: PartitionChange[],
  ): void {
    const state = topic.partitions[partition] as PartitionImage
    const minInsync = topic.config.minInsyncReplicas
    const isLive = (node: number) => image.nodes.has(node)
    // Its key is missing, or not yet there: nothing that could be compared.
    const next = state.revision === 0 ? undefined : elect(state, { isLive, minInsync, avoid })
    const key = partitionKey(topic.id, partition)
    const place = { topicId: topic.id, partition }
    if (next === undefined) this.#pending.delete(key)
    else {
      this.#pending.set(key, place)
      changes.push(changeOf(place, state, next, image.nodes))
    }
    if (isLive((next ?? state).leader)) this.#offline.delete(key)
    else {
      const waitsFor = [...state.isr, ...state.elr]
      this.#offline.set(key, { ...place, topic: topic.name, waitsFor })
    }
  }
}

/** The change from a state of the image to the next one, which takes effect only if its leader is still up. */
export function changeOf(
  { topicId, partition }: Place,
  state: PartitionImage,
  next: PartitionImage,
  nodes: ReadonlyMap<number, NodeImage>,
): PartitionChange {
  const change = { topicId, partition, seenRevision: state.revision, next }
  const leader = next.leader === state.leader ? undefined : nodes.get(next.leader)
  return leader === undefined ? change : { ...change, leaderIncarnation: leader.incarnation }
}

/** Nodes that are about to stop or have a full disk: they are given only what nobody else can lead. */
export function nodesToAvoid(image: MetadataImage): ReadonlySet<number> {
  const avoid = [...image.nodes.values()].filter(({ draining, diskFull }) => draining || diskFull)
  return new Set(avoid.map(({ id }) => id))
}
