/**
 * Turns the store's changes into images. Each image shares with the one before it all that did not
 * change; only the maps and arrays that hold a changed thing are copied.
 */
import type { TopicId, TopicName } from '../core/ids.ts'
import type { SlotMap } from '../core/slot-map.ts'
import { initialSlotMap } from '../core/slot-map.ts'
import type { Logger } from '../env/logger.ts'
import { EMPTY_IMAGE, ImageDraft } from './image-draft.ts'
import type {
  ControllerImage,
  MetadataImage,
  NodeImage,
  PartitionImage,
  TopicImage,
} from './metadata-image.ts'
import type { MetadataKey } from './metadata-keys.ts'
import { parseMetadataKey } from './metadata-keys.ts'
import type { TopicRecord } from './metadata-records.ts'
import {
  decodeCluster,
  decodeController,
  decodeNode,
  decodeNodeRegistry,
  decodePartition,
  decodeRemovedTopic,
  decodeTopic,
} from './metadata-records.ts'
import type { Change, Entry } from './metadata-store.ts'
import { slotMapOf } from './slot-map-record.ts'

/** Distinct partition counts whose initial slot map is shared by all topics that have it. */
const SHARED_SLOT_MAPS = 256
const NOBODY: PartitionImage = {
  replicas: [],
  leader: -1,
  leaderEpoch: 0,
  isr: [],
  elr: [],
  state: 'active',
  revision: 0,
}

/** Topics that a change is about, each with its partitions that are. */
type Touched = Map<TopicName, number[]>

export class ImageBuilder {
  readonly #logger: Logger
  readonly #names = new Map<TopicId, TopicName>()
  readonly #records = new Map<TopicName, TopicRecord>()
  /** Also of topics whose own key is not there (yet): those are in no image. */
  readonly #partitions = new Map<TopicId, Map<number, PartitionImage>>()
  readonly #slotMaps = new Map<number, SlotMap>()
  #image = EMPTY_IMAGE

  constructor(logger: Logger) {
    this.#logger = logger
  }

  get image(): MetadataImage {
    return this.#image
  }

  /** A value that cannot be read changes nothing: what was known of its key goes on to hold. */
  apply(change: Change): MetadataImage {
    const touched: Touched = new Map()
    const draft = new ImageDraft(this.#image)
    for (const { key, entry } of change.events) {
      const parsed = parseMetadataKey(key)
      if (parsed === undefined) continue
      try {
        this.#applyEvent(draft, touched, parsed, entry)
      } catch (error) {
        this.#logger.error({ key, error }, 'a metadata value is not readable and was ignored')
      }
    }
    for (const [name, partitions] of touched) draft.setTopic(name, this.#topic(name, partitions))
    this.#image = draft.image(change.revision)
    return this.#image
  }

  #applyEvent(
    draft: ImageDraft,
    touched: Touched,
    key: MetadataKey,
    entry: Entry | undefined,
  ): void {
    switch (key.kind) {
      case 'cluster':
        draft.setClusterId(entry === undefined ? '' : decodeCluster(entry.value).clusterId)
        break
      case 'controller':
        draft.setController(entry && controllerImage(entry))
        break
      case 'node':
        draft.setNode(key.nodeId, entry && nodeImage(key.nodeId, entry))
        break
      case 'node-registry':
        draft.setMember(key.nodeId, entry && { rack: decodeNodeRegistry(entry.value).rack })
        break
      case 'removed-topic':
        draft.setRemovedTopic(key.topicId, entry && decodeRemovedTopic(entry.value).removedAtMs)
        break
      case 'topic':
        this.#setTopic(key.name, entry)
        touch(touched, key.name)
        break
      case 'partition': {
        this.#setPartition(key.topicId, key.partition, entry)
        const name = this.#names.get(key.topicId)
        if (name !== undefined) touch(touched, name).push(key.partition)
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
    const image = { ...decodePartition(entry.value), revision: entry.modRevision }
    if (partitions === undefined) {
      partitions = new Map()
      this.#partitions.set(topicId, partitions)
    }
    partitions.set(partition, image)
  }

  #topic(name: TopicName, touched: readonly number[]): TopicImage | undefined {
    const record = this.#records.get(name)
    if (record === undefined) return undefined
    const before = this.#image.topics.get(name)
    const isSame = before?.id === record.topicId && before.partitions.length === record.partitions
    return {
      name,
      id: record.topicId,
      config: record.config,
      slotMap: slotMapOf(record.slotMap, (count) => this.#initialSlotMap(count)),
      createdAtMs: record.createdAtMs,
      partitions: isSame
        ? this.#changedPartitions(before, touched)
        : this.#allPartitions(name, record),
    }
  }

  #changedPartitions(before: TopicImage, touched: readonly number[]): readonly PartitionImage[] {
    if (touched.length === 0) return before.partitions
    const known = this.#partitions.get(before.id)
    const partitions = before.partitions.slice()
    for (const partition of touched) {
      // A key beyond the count belongs to a growth that is not published yet.
      if (partition < partitions.length) partitions[partition] = known?.get(partition) ?? NOBODY
    }
    return partitions
  }

  #allPartitions(name: TopicName, { topicId, partitions: count }: TopicRecord): PartitionImage[] {
    const known = this.#partitions.get(topicId)
    let missing = 0
    const partitions = Array.from({ length: count }, (_, partition) => {
      const image = known?.get(partition)
      if (image === undefined) missing++
      return image ?? NOBODY
    })
    if (missing > 0) {
      this.#logger.error({ topic: name, missing }, 'partitions of a topic are not in the metadata')
    }
    return partitions
  }

  #initialSlotMap(partitions: number): SlotMap {
    const shared = this.#slotMaps.get(partitions)
    if (shared !== undefined) return shared
    const map = initialSlotMap(partitions)
    if (this.#slotMaps.size < SHARED_SLOT_MAPS) this.#slotMaps.set(partitions, map)
    return map
  }
}

function nodeImage(id: number, entry: Entry): NodeImage {
  const { url, rack, version, draining = false, diskFull = false } = decodeNode(entry.value)
  return {
    id,
    url,
    rack,
    incarnation: entry.createRevision,
    draining,
    ...(diskFull && { diskFull }),
    ...(version !== undefined && { version }),
  }
}

function controllerImage(entry: Entry): ControllerImage {
  return { nodeId: decodeController(entry.value).nodeId, epoch: entry.createRevision }
}

function touch(touched: Touched, name: TopicName): number[] {
  let partitions = touched.get(name)
  if (partitions === undefined) {
    partitions = []
    touched.set(name, partitions)
  }
  return partitions
}
