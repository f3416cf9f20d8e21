/**
 * Turns the store's changes into images. Each image shares with the one before it all that did not
 * change; only the maps and arrays that hold a changed thing are copied.
 */
import type { TopicId, TopicName } from '../core/ids.ts'
import type { SlotMap } from '../core/slot-map.ts'
import { initialSlotMap } from '../core/slot-map.ts'
import type { Logger } from '../env/logger.ts'
import type { MetadataImage, NodeImage, PartitionImage, TopicImage } from './metadata-image.ts'
import type { MetadataKey } from './metadata-keys.ts'
import { parseMetadataKey } from './metadata-keys.ts'
import type { TopicRecord } from './metadata-records.ts'
import {
  decodeCluster,
  decodeNode,
  decodePartition,
  decodeRemovedTopic,
  decodeTopic,
} from './metadata-records.ts'
import type { Change, Entry } from './metadata-store.ts'
import { slotMapOf } from './slot-map-record.ts'

/** Distinct partition counts whose initial slot map is shared by all topics that have it. */
const SHARED_SLOT_MAPS = 256
const NOBODY: PartitionImage = { replicas: [], leader: -1, leaderEpoch: 0, isr: [] }

export class ImageBuilder {
  readonly #logger: Logger
  readonly #names = new Map<TopicId, TopicName>()
  readonly #records = new Map<TopicName, TopicRecord>()
  /** Also of topics whose own key is not there (yet): those are in no image. */
  readonly #partitions = new Map<TopicId, Map<number, PartitionImage>>()
  readonly #slotMaps = new Map<number, SlotMap>()
  #image: MetadataImage = {
    clusterId: '',
    version: 0,
    topics: new Map(),
    topicsById: new Map(),
    nodes: new Map(),
    removedTopics: new Map(),
  }

  constructor(logger: Logger) {
    this.#logger = logger
  }

  get image(): MetadataImage {
    return this.#image
  }

  /** A value that cannot be read changes nothing: what was known of its key goes on to hold. */
  apply(change: Change): MetadataImage {
    const touched = new Set<TopicName>()
    const draft = new Draft(this.#image)
    for (const { key, entry } of change.events) {
      const parsed = parseMetadataKey(key)
      if (parsed === undefined) continue
      try {
        this.#applyEvent(draft, touched, parsed, entry)
      } catch (error) {
        this.#logger.error({ key, error }, 'a metadata value is not readable and was ignored')
      }
    }
    for (const name of touched) this.#rebuild(draft, name)
    this.#image = draft.image(change.revision)
    return this.#image
  }

  #applyEvent(
    draft: Draft,
    touched: Set<TopicName>,
    key: MetadataKey,
    entry: Entry | undefined,
  ): void {
    switch (key.kind) {
      case 'cluster':
        draft.clusterId = entry === undefined ? '' : decodeCluster(entry.value).clusterId
        break
      case 'node':
        if (entry === undefined) draft.nodes.delete(key.nodeId)
        else draft.nodes.set(key.nodeId, nodeImage(key.nodeId, entry))
        break
      case 'removed-topic':
        if (entry === undefined) draft.removedTopics.delete(key.topicId)
        else draft.removedTopics.set(key.topicId, decodeRemovedTopic(entry.value).removedAtMs)
        break
      case 'topic':
        this.#setTopic(key.name, entry)
        touched.add(key.name)
        break
      case 'partition': {
        this.#setPartition(key.topicId, key.partition, entry)
        const name = this.#names.get(key.topicId)
        if (name !== undefined) touched.add(name)
      }
    }
  }

  #setTopic(name: TopicName, entry: Entry | undefined): void {
    const record = entry && decodeTopic(entry.value)
    const before = this.#records.get(name)
    // Recreated under its name it is another topic: nothing of the old one must stay reachable.
    if (before !== undefined && before.topicId !== record?.topicId) {
      this.#names.delete(before.topicId)
    }
    if (record === undefined) this.#records.delete(name)
    else {
      this.#records.set(name, record)
      this.#names.set(record.topicId, name)
    }
  }

  #setPartition(topicId: TopicId, partition: number, entry: Entry | undefined): void {
    let partitions = this.#partitions.get(topicId)
    if (entry === undefined) {
      partitions?.delete(partition)
      if (partitions?.size === 0) this.#partitions.delete(topicId)
      return
    }
    const { replicas, leader, leaderEpoch, isr } = decodePartition(entry.value)
    if (partitions === undefined) {
      partitions = new Map()
      this.#partitions.set(topicId, partitions)
    }
    partitions.set(partition, { replicas, leader, leaderEpoch, isr })
  }

  #rebuild(draft: Draft, name: TopicName): void {
    const before = this.#image.topics.get(name)
    const record = this.#records.get(name)
    if (before !== undefined && before.id !== record?.topicId) draft.topicsById.delete(before.id)
    if (record === undefined) {
      draft.topics.delete(name)
      return
    }
    const topic = this.#topicImage(name, record)
    draft.topics.set(name, topic)
    draft.topicsById.set(topic.id, topic)
  }

  #topicImage(name: TopicName, record: TopicRecord): TopicImage {
    const known = this.#partitions.get(record.topicId)
    let missing = 0
    const partitions = Array.from({ length: record.partitions }, (_, partition) => {
      const image = known?.get(partition)
      if (image === undefined) missing++
      return image ?? NOBODY
    })
    if (missing > 0) {
      this.#logger.error({ topic: name, missing }, 'partitions of a topic are not in the metadata')
    }
    return {
      name,
      id: record.topicId,
      config: record.config,
      slotMap: slotMapOf(record.slotMap, (count) => this.#initialSlotMap(count)),
      createdAtMs: record.createdAtMs,
      partitions,
    }
  }

  #initialSlotMap(partitions: number): SlotMap {
    const shared = this.#slotMaps.get(partitions)
    if (shared !== undefined) return shared
    const map = initialSlotMap(partitions)
    if (this.#slotMaps.size < SHARED_SLOT_MAPS) this.#slotMaps.set(partitions, map)
    return map
  }
}

/** The next image in the making: each map is copied when it is first written to. */
class Draft {
  clusterId: string
  readonly #before: MetadataImage
  #topics: Map<TopicName, TopicImage> | undefined
  #topicsById: Map<TopicId, TopicImage> | undefined
  #nodes: Map<number, NodeImage> | undefined
  #removedTopics: Map<TopicId, number> | undefined

  constructor(before: MetadataImage) {
    this.#before = before
    this.clusterId = before.clusterId
  }

  get topics(): Map<TopicName, TopicImage> {
    this.#topics ??= new Map(this.#before.topics)
    return this.#topics
  }

  get topicsById(): Map<TopicId, TopicImage> {
    this.#topicsById ??= new Map(this.#before.topicsById)
    return this.#topicsById
  }

  get nodes(): Map<number, NodeImage> {
    this.#nodes ??= new Map(this.#before.nodes)
    return this.#nodes
  }

  get removedTopics(): Map<TopicId, number> {
    this.#removedTopics ??= new Map(this.#before.removedTopics)
    return this.#removedTopics
  }

  image(version: number): MetadataImage {
    return {
      clusterId: this.clusterId,
      version,
      topics: this.#topics ?? this.#before.topics,
      topicsById: this.#topicsById ?? this.#before.topicsById,
      nodes: this.#nodes ?? this.#before.nodes,
      removedTopics: this.#removedTopics ?? this.#before.removedTopics,
    }
  }
}

function nodeImage(id: number, entry: Entry): NodeImage {
  const { url, rack } = decodeNode(entry.value)
  return { id, url, rack, incarnation: entry.createRevision }
}
