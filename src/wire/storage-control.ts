/** The small calls to a storage node, in JSON: offsets of one or many, resolve-offset, delete-records, hand-back. */
import { parseTopicId } from '../core/ids.ts'
import { LIMITS } from '../core/limits.ts'
import type { OffsetQuery, PartitionOffsets, PartitionPlace, ReplicaLog } from './internal.ts'
import { MalformedMessage } from './message.ts'

export type PartitionCall = PartitionPlace

export interface ResolveOffsetCall extends PartitionCall {
  readonly at: OffsetQuery
}

export interface ResolvedOffset {
  readonly offset: number
  /** Leader epoch of the record before, -1 if there is none. */
  readonly lastEpoch: number
}

export interface DeleteRecordsCall extends PartitionCall {
  readonly before: number
}

type Members = Readonly<Record<string, unknown>>

/** Each decoder throws MalformedMessage. */
export function encodeControl(
  message:
    | PartitionCall
    | ResolveOffsetCall
    | DeleteRecordsCall
    | PartitionOffsets
    | { readonly places: readonly PartitionPlace[] }
    | { readonly offsets: readonly (PartitionOffsets | undefined)[] }
    | ResolvedOffset
    | { readonly logStartOffset: number }
    | { readonly logs: readonly (ReplicaLog | undefined)[] }
    | { readonly moved: boolean },
): Uint8Array {
  return Buffer.from(JSON.stringify(message))
}

export function decodePartitionCall(body: Uint8Array): PartitionCall {
  return partitionOf(parse(body))
}

export function decodeResolveOffset(body: Uint8Array): ResolveOffsetCall {
  const members = parse(body)
  return { ...partitionOf(members), at: queryOf(members['at']) }
}

export function decodeDeleteRecords(body: Uint8Array): DeleteRecordsCall {
  const members = parse(body)
  return { ...partitionOf(members), before: integer(members, 'before', 0) }
}

export function decodePlaces(body: Uint8Array): PartitionPlace[] {
  return list(parse(body), 'places').map((place) => partitionOf(asMembers(place)))
}

/** What cannot be told is null on the way. */
export function decodeOffsetsOf(body: Uint8Array, count: number): (PartitionOffsets | undefined)[] {
  const offsets = list(parse(body), 'offsets')
  if (offsets.length !== count) throw new MalformedMessage('offsets are not as many as places')
  return offsets.map((one) => (one === null ? undefined : offsetsOf(asMembers(one))))
}

export function decodeOffsets(body: Uint8Array): PartitionOffsets {
  return offsetsOf(parse(body))
}

function offsetsOf(members: Members): PartitionOffsets {
  return {
    logStartOffset: integer(members, 'logStartOffset', 0),
    highWatermark: integer(members, 'highWatermark', 0),
    logEndOffset: integer(members, 'logEndOffset', 0),
    sizeBytes: integer(members, 'sizeBytes', 0),
    leaderEpoch: integer(members, 'leaderEpoch', -1),
  }
}

export function decodeResolvedOffset(body: Uint8Array): ResolvedOffset {
  const members = parse(body)
  return { offset: integer(members, 'offset', 0), lastEpoch: integer(members, 'lastEpoch', -1) }
}

export function decodeLogStart(body: Uint8Array): { logStartOffset: number } {
  return { logStartOffset: integer(parse(body), 'logStartOffset', 0) }
}

/** What a node does not have is null on the way. */
export function decodeReplicaLogs(body: Uint8Array, count: number): (ReplicaLog | undefined)[] {
  const logs = list(parse(body), 'logs')
  if (logs.length !== count) throw new MalformedMessage('logs are not as many as places')
  return logs.map((one) => (one === null ? undefined : replicaLogOf(asMembers(one))))
}

function replicaLogOf(members: Members): ReplicaLog {
  return {
    leads: members['leads'] === true,
    lastEpoch: integer(members, 'lastEpoch', -1),
    logStartOffset: integer(members, 'logStartOffset', 0),
    logEndOffset: integer(members, 'logEndOffset', 0),
    damaged: members['damaged'] === true,
  }
}

export function decodeMoved(body: Uint8Array): boolean {
  return parse(body)['moved'] === true
}

function partitionOf(members: Members): PartitionCall {
  const topicId = parseTopicId(String(members['topicId']))
  if (topicId === undefined) throw new MalformedMessage('topicId is not one')
  return { topicId, partition: integer(members, 'partition', 0) }
}

function queryOf(value: unknown): OffsetQuery {
  if (value === 'earliest' || value === 'latest') return value
  const members = asMembers(value)
  if (members['timeMs'] !== undefined) return { timeMs: integer(members, 'timeMs', -Infinity) }
  return { last: integer(members, 'last', 0) }
}

function parse(body: Uint8Array): Members {
  let value: unknown
  try {
    value = JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.length).toString('utf8'))
  } catch (error) {
    throw new MalformedMessage('the body is not JSON', { cause: error })
  }
  return asMembers(value)
}

function asMembers(value: unknown): Members {
  if (typeof value === 'object' && value !== null) return value as Members
  throw new MalformedMessage('the body is not an object')
}

function list(members: Members, name: string): readonly unknown[] {
  const value = members[name]
  if (Array.isArray(value) && value.length <= LIMITS.partitionsPerTopic) return value
  throw new MalformedMessage(`${name} is not a list in bounds`)
}

function integer(members: Members, name: string, min: number): number {
  const value = members[name]
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min) return value
  throw new MalformedMessage(`${name} is not a number in range`)
}
