/**
 * How the records of groups are stored. Keys: `g <group>`, `m <group> <member>`, `a <group> <member>`,
 * `t <group> <topicId>`, `o <group> <topicId> <partition>`. Values: version u8, then JSON; of offsets
 * varints for offset, leader epoch plus one, and time of the commit, then the note in UTF-8. The key
 * `proof` stands for nothing, and has no value.
 */
import type { GroupId, MemberId } from '../core/group-settings.ts'
import type { TopicId } from '../core/ids.ts'
import type { MemberAssignment } from '../core/member-assignment.ts'
import { PartitionMap } from '../core/partition-map.ts'
import type { RecordInput } from '../core/record.ts'
import { MEDIA } from '../core/record.ts'
import { VarintReader, varintBytes, writeVarint } from '../lib/varint.ts'
import type {
  GroupRecord,
  GroupValue,
  MemberValue,
  OffsetValue,
  TopicValue,
} from './group-records.ts'
import type { RecordCodec } from './shard.ts'

const VERSION = 1
const NO_HEADERS: RecordInput['headers'] = []
const PROOF_KEY = Buffer.from('proof')

type StoredPartitions = [TopicId, number[][]][]

interface StoredAssignment {
  readonly joinEpoch: number
  readonly memberEpoch: number
  /** By topic: epoch, then its partitions. */
  readonly assigned: StoredPartitions
  readonly revoking: StoredPartitions
}

export const GROUP_CODEC: RecordCodec<GroupRecord> = {
  keyOf,

  encode(record, timestampMs) {
    return {
      key: Buffer.from(keyOf(record)),
      value: valueBytes(record),
      headers: NO_HEADERS,
      timestampMs,
      media: MEDIA.bytes,
    }
  },

  proof(timestampMs) {
    return { key: PROOF_KEY, value: null, headers: NO_HEADERS, timestampMs, media: MEDIA.bytes }
  },

  decode(key, value) {
    const [kind, groupId, second, third] = textOf(key).split(' ')
    if (groupId === undefined || (value !== null && value[0] !== VERSION)) return undefined
    return decodeRecord(kind as string, groupId as GroupId, second ?? '', Number(third), value)
  },
}

function keyOf(record: GroupRecord): string {
  const { kind, groupId } = record
  switch (kind) {
    case 'group':
      return `g ${groupId}`
    case 'member':
      return `m ${groupId} ${record.memberId}`
    case 'assignment':
      return `a ${groupId} ${record.memberId}`
    case 'topic':
      return `t ${groupId} ${record.topicId}`
    case 'offset':
      return `o ${groupId} ${record.topicId} ${record.partition}`
  }
}

function valueBytes(record: GroupRecord): Uint8Array | null {
  if (record.value === null) return null
  if (record.kind === 'offset') return offsetBytes(record.value)
  const stored = record.kind === 'assignment' ? storedAssignment(record.value) : record.value
  const json = JSON.stringify(stored)
  const bytes = Buffer.allocUnsafe(1 + Buffer.byteLength(json))
  bytes[0] = VERSION
  bytes.write(json, 1)
  return bytes
}

function decodeRecord(
  kind: string,
  groupId: GroupId,
  id: string,
  partition: number,
  value: Uint8Array | null,
): GroupRecord | undefined {
  const memberId = id as MemberId
  const topicId = id as TopicId
  switch (kind) {
    case 'g':
      return { kind: 'group', groupId, value: json<GroupValue>(value) }
    case 'm':
      return { kind: 'member', groupId, memberId, value: json<MemberValue>(value) }
    case 'a': {
      const stored = json<StoredAssignment>(value)
      return { kind: 'assignment', groupId, memberId, value: stored && readAssignment(stored) }
    }
    case 't':
      return { kind: 'topic', groupId, topicId, value: json<TopicValue>(value) }
    case 'o':
      return { kind: 'offset', groupId, topicId, partition, value: value && readOffset(value) }
    default:
      return undefined
  }
}

function json<T>(value: Uint8Array | null): T | null {
  return value === null ? null : (JSON.parse(textOf(value.subarray(1))) as T)
}

function storedAssignment(assignment: MemberAssignment): StoredAssignment {
  const { joinEpoch, memberEpoch } = assignment
  const assigned = storedPartitions(assignment.assigned)
  return { joinEpoch, memberEpoch, assigned, revoking: storedPartitions(assignment.revoking) }
}

function storedPartitions(epochs: PartitionMap<number>): StoredPartitions {
  return [...epochs.topicIds].map((topicId) => {
    const byEpoch = new Map<number, number[]>()
    for (const [partition, epoch] of epochs.ofTopic(topicId)) {
      const same = byEpoch.get(epoch)
      if (same === undefined) byEpoch.set(epoch, [epoch, partition])
      else same.push(partition)
    }
    return [topicId, [...byEpoch.values()]]
  })
}

function readAssignment({ joinEpoch, memberEpoch, ...stored }: StoredAssignment): MemberAssignment {
  const assigned = readPartitions(stored.assigned)
  return { joinEpoch, memberEpoch, assigned, revoking: readPartitions(stored.revoking) }
}

function readPartitions(stored: StoredPartitions): PartitionMap<number> {
  const epochs = new PartitionMap<number>()
  for (const [topicId, groups] of stored) {
    for (const [epoch, ...partitions] of groups) {
      for (const partition of partitions) epochs.set(topicId, partition, epoch as number)
    }
  }
  return epochs
}

function offsetBytes({ offset, leaderEpoch, metadata, committedAtMs }: OffsetValue): Uint8Array {
  const noteBytes = metadata === '' ? 0 : Buffer.byteLength(metadata)
  const size = 1 + varintBytes(offset) + varintBytes(leaderEpoch + 1) + varintBytes(committedAtMs)
  const bytes = Buffer.allocUnsafe(size + noteBytes)
  bytes[0] = VERSION
  let at = writeVarint(bytes, 1, offset)
  at = writeVarint(bytes, at, leaderEpoch + 1)
  at = writeVarint(bytes, at, committedAtMs)
  if (noteBytes > 0) bytes.write(metadata, at)
  return bytes
}

function readOffset(value: Uint8Array): OffsetValue {
  const reader = new VarintReader()
  reader.reset(value, 1, value.length)
  const offset = reader.unsigned()
  const leaderEpoch = reader.unsigned() - 1
  const committedAtMs = reader.unsigned()
  if (reader.failed) throw new TypeError('a committed offset cannot be read')
  return { offset, leaderEpoch, committedAtMs, metadata: textOf(value.subarray(reader.at)) }
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString()
}
