/**
 * What the metadata store holds under each key, as JSON. Members that this version does not know
 * are tolerated when reading and kept when a record is rewritten.
 */
import type { TopicId } from '../core/ids.ts'
import { parseTopicId } from '../core/ids.ts'
import { LIMITS } from '../core/limits.ts'
import type { PartitionState } from '../core/partition-state.ts'
import type { TopicConfig } from '../core/topic.ts'
import { COMPACTION_DEFAULTS } from '../core/topic.ts'
import { JsonFields } from './json-fields.ts'
import type { SlotMapRecord } from './slot-map-record.ts'
import { readSlotMapRecord } from './slot-map-record.ts'

export interface ClusterRecord {
  readonly clusterId: string
  readonly createdAtMs: number
}

export interface NodeRecord {
  /** Where other nodes reach it. */
  readonly url: string
  readonly rack: string
  /** Software version. */
  readonly version?: string
  /** The node is about to stop: it is given no new work. */
  readonly draining?: boolean
  /** The disk takes no more records: the node leads only what nobody else can. */
  readonly diskFull?: boolean
  /** Of the data directory, so that a node knows the registration of its own previous run. */
  readonly directoryId?: string
  /** The lease that the registration ends with; no other registration has the same. */
  readonly leaseId?: string
}

/** Outlives the node's process: whose the id is. */
export interface NodeRegistryRecord {
  readonly directoryId: string
  readonly rack: string
  readonly createdAtMs: number
}

export interface ControllerRecord {
  readonly nodeId: number
  /** Of that node, when it became the controller. */
  readonly incarnation: number
}

export interface TopicRecord {
  readonly topicId: TopicId
  /** How many partition keys the topic has, numbered from 0. */
  readonly partitions: number
  readonly config: TopicConfig
  readonly slotMap: SlotMapRecord
  readonly state: 'active'
  readonly createdAtMs: number
}

/** May hold members that a later version added: who makes the next state from it spreads it. */
export type PartitionRecord = PartitionState

export interface RemovedTopicRecord {
  readonly name: string
  readonly removedAtMs: number
}

export function encodeRecord(
  record:
    | ClusterRecord
    | ControllerRecord
    | NodeRecord
    | NodeRegistryRecord
    | TopicRecord
    | PartitionRecord
    | RemovedTopicRecord,
): string {
  return JSON.stringify(record)
}

/** A state as it is stored: without the revision that it has in an image. */
export function encodePartition(state: PartitionState & { readonly revision?: number }): string {
  const { revision: _, ...record } = state
  return encodeRecord(record)
}

/** @throws TypeError, SyntaxError, as do all the others */
export function decodeCluster(text: string): ClusterRecord {
  const fields = JsonFields.parse(text)
  return { clusterId: fields.string('clusterId'), createdAtMs: fields.integer('createdAtMs', 0) }
}

export function decodeNode(text: string): NodeRecord {
  const fields = JsonFields.parse(text)
  return {
    url: fields.string('url'),
    rack: fields.string('rack'),
    ...(fields.has('version') && { version: fields.string('version') }),
    ...(fields.has('draining') && { draining: fields.boolean('draining') }),
    ...(fields.has('diskFull') && { diskFull: fields.boolean('diskFull') }),
    ...(fields.has('directoryId') && { directoryId: fields.string('directoryId') }),
    ...(fields.has('leaseId') && { leaseId: fields.string('leaseId') }),
  }
}

export function decodeNodeRegistry(text: string): NodeRegistryRecord {
  const fields = JsonFields.parse(text)
  return {
    directoryId: fields.string('directoryId'),
    rack: fields.string('rack'),
    createdAtMs: fields.integer('createdAtMs', 0),
  }
}

export function decodeController(text: string): ControllerRecord {
  const fields = JsonFields.parse(text)
  return { nodeId: fields.integer('nodeId', 0), incarnation: fields.integer('incarnation', 1) }
}

export function decodeTopic(text: string): TopicRecord {
  const fields = JsonFields.parse(text)
  const topicId = parseTopicId(fields.string('topicId'))
  if (topicId === undefined) throw new TypeError('topicId is not 32 hexadecimal digits')
  const partitions = fields.integer('partitions', 1)
  if (partitions > LIMITS.partitionsPerTopic) throw new TypeError('partitions is out of bounds')
  return {
    topicId,
    partitions,
    config: readConfig(fields.object('config')),
    slotMap: readSlotMapRecord(fields.object('slotMap'), partitions),
    state: fields.oneOf('state', ['active']),
    createdAtMs: fields.integer('createdAtMs', 0),
  }
}

/** With the members that this version does not know, so that they survive its being rewritten. */
export function decodePartition(text: string): PartitionRecord {
  const fields = JsonFields.parse(text)
  return {
    ...fields.members,
    replicas: fields.integers('replicas'),
    leader: fields.integer('leader', -1),
    leaderEpoch: fields.integer('leaderEpoch', 0),
    isr: fields.integers('isr'),
    elr: fields.integers('elr'),
    state: fields.oneOf('state', ['active']),
    ...(fields.has('unclean') && { unclean: readUnclean(fields.object('unclean')) }),
  }
}

function readUnclean(fields: JsonFields): NonNullable<PartitionRecord['unclean']> {
  return { atMs: fields.integer('atMs', 0), leaderEpoch: fields.integer('leaderEpoch', 0) }
}

export function decodeRemovedTopic(text: string): RemovedTopicRecord {
  const fields = JsonFields.parse(text)
  return { name: fields.string('name'), removedAtMs: fields.integer('removedAtMs', 0) }
}

/** The stored topic with another config; what a later version added to either stays. */
export function withConfig(text: string, config: TopicConfig): string {
  const topic = JSON.parse(text) as { config: object }
  return JSON.stringify({ ...topic, config: { ...topic.config, ...config } })
}

function readConfig(fields: JsonFields): TopicConfig {
  return {
    replicationFactor: fields.integer('replicationFactor', 1),
    minInsyncReplicas: fields.integer('minInsyncReplicas', 1),
    cleanup: fields.has('cleanup')
      ? fields.oneOf('cleanup', ['delete', 'compact', 'both'])
      : 'delete',
    retentionMs: fields.integer('retentionMs', -1),
    retentionBytes: fields.integer('retentionBytes', -1),
    segmentBytes: fields.integer('segmentBytes', 1),
    segmentMs: fields.integer('segmentMs', 1),
    ...readCompaction(fields),
    maxRecordBytes: fields.integer('maxRecordBytes', 1),
    timestamps: fields.oneOf('timestamps', ['create', 'append']),
    flush: fields.oneOf('flush', ['commit', 'os']),
    lingerMs: fields.integer('lingerMs', 0),
    batchBytes: fields.integer('batchBytes', 1),
  }
}

type CompactionConfig = Pick<TopicConfig, keyof typeof COMPACTION_DEFAULTS>

/** Topics of earlier versions have none of it. */
function readCompaction(fields: JsonFields): CompactionConfig {
  if (!fields.has('minCleanableDirtyRatio')) return COMPACTION_DEFAULTS
  return {
    minCleanableDirtyRatio: fields.number('minCleanableDirtyRatio', 0, 1),
    minCompactionLagMs: fields.integer('minCompactionLagMs', 0),
    maxCompactionLagMs: fields.integer('maxCompactionLagMs', -1),
    deleteRetentionMs: fields.integer('deleteRetentionMs', 0),
  }
}
