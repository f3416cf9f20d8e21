/** An immutable snapshot of what the cluster agrees on, as nodes use it on the way of a record. */
import type { TopicId, TopicName } from '../core/ids.ts'
import type { PartitionState } from '../core/partition-state.ts'
import type { SlotMap } from '../core/slot-map.ts'
import type { TopicConfig } from '../core/topic.ts'

export interface PartitionImage extends PartitionState {
  /** Modification revision of its key, which whoever changes it compares; 0 while the key is missing. */
  readonly revision: number
}

export interface TopicImage {
  readonly name: TopicName
  readonly id: TopicId
  readonly config: TopicConfig
  readonly slotMap: SlotMap
  readonly createdAtMs: number
  readonly partitions: readonly PartitionImage[]
}

export interface NodeImage {
  readonly id: number
  readonly url: string
  readonly rack: string
  /** Create revision of the node's registration: changes with every start. */
  readonly incarnation: number
  /** Software version, if the node tells it. */
  readonly version?: string
  /** The node is about to stop: it becomes no leader. */
  readonly draining: boolean
  /** Its disk takes no more records: it leads only what nobody else can. */
  readonly diskFull?: true
}

export interface MemberImage {
  readonly rack: string
}

export interface ControllerImage {
  readonly nodeId: number
  /** Create revision of the controller's key: another for every term of office. */
  readonly epoch: number
}

export interface MetadataImage {
  readonly clusterId: string
  /** Grows with every change. */
  readonly version: number
  readonly topics: ReadonlyMap<TopicName, TopicImage>
  readonly topicsById: ReadonlyMap<TopicId, TopicImage>
  readonly nodes: ReadonlyMap<number, NodeImage>
  /** All that ever were part of the cluster, up or not, as far as they have a data folder of their own. */
  readonly members: ReadonlyMap<number, MemberImage>
  /** Who elects leaders now; undefined while nobody does. */
  readonly controller: ControllerImage | undefined
  /**
   * Topics that were deleted, with the time in milliseconds since the epoch. Data of a topic may be
   * removed only when its id is here: that it is merely unknown proves nothing.
   */
  readonly removedTopics: ReadonlyMap<TopicId, number>
}

/** Whoever follows the metadata: the current image, and a way to be told of the next one. */
export interface MetadataView {
  readonly image: MetadataImage
  /** Calls back after each change, with the new image, until the returned function is called. */
  onChange(listener: (image: MetadataImage) => void): () => void
}

/** A view that one can wait on. */
export interface AwaitableMetadataView extends MetadataView {
  /** Resolves with the first image of at least this version; rejects with the signal's reason on abort. */
  waitForVersion(version: number, signal: AbortSignal): Promise<MetadataImage>
  /** Resolves as soon as a topic of this name is in the image; rejects with the signal's reason on abort. */
  waitForTopic(name: TopicName, signal: AbortSignal): Promise<TopicImage>
}
