/**
 * The opaque place in topics that readers carry: base64url, without padding, of
 *   version u8 | member, from version 2 on | topic count | topics | CRC-32C of all before, u32
 *   member: length of its id u8 | id in ASCII | member epoch
 *   topic: id 16 bytes | map version | position count | positions, by ascending partition
 *   position: partition | leader epoch of the last record read, plus one | next offset
 * where counts and numbers are unsigned varints.
 */

import type { MemberId } from '../core/group-settings.ts'
import { parseMemberId } from '../core/group-settings.ts'
import type { TopicId } from '../core/ids.ts'
import { LIMITS } from '../core/limits.ts'
import { assert } from '../lib/assert.ts'
import { readUint32, writeInt32 } from '../lib/big-endian.ts'
import { crc32c } from '../lib/crc32c.ts'
import { VarintReader, varintBytes, writeVarint } from '../lib/varint.ts'

export interface CursorPosition {
  readonly partition: number
  /** Leader epoch of the last record read, -1 if none was. */
  readonly lastEpoch: number
  /** The next offset to read. */
  readonly offset: number
}

export interface CursorTopic {
  readonly topicId: TopicId
  readonly mapVersion: number
  readonly positions: readonly CursorPosition[]
}

/** Whose place in a group it is, and at which epoch of the member it was given. */
export interface CursorMember {
  readonly memberId: MemberId
  readonly memberEpoch: number
}

export interface Cursor {
  readonly topics: readonly CursorTopic[]
  readonly member?: CursorMember
}

const VERSION_PLAIN = 1
const VERSION_OF_MEMBER = 2
export const TOPIC_ID_BYTES = 16
export const CURSOR_CHECKSUM_BYTES = 4
const MAX_COUNT = LIMITS.partitionsPerRead
const MAX_INT32 = 0x7fff_ffff
const MEMBER_BYTES = 1 + 64 + 5
/** 256 topics of one partition each, all numbers as long as they get. */
const MAX_TEXT = Math.ceil(
  ((1 + MEMBER_BYTES + 2 + MAX_COUNT * (16 + 5 + 1 + 5 + 5 + 8) + 4) * 4) / 3,
)

/** Positions must be in ascending order of partition. */
export function encodeCursor(cursor: Cursor): string {
  return cursorBytes(cursor).toString('base64url')
}

export function cursorBytes(cursor: Cursor): Buffer {
  const { member } = cursor
  const bytes = Buffer.allocUnsafe(sizeOf(cursor))
  bytes[0] = member === undefined ? VERSION_PLAIN : VERSION_OF_MEMBER
  let at = writeMember(bytes, 1, member)
  at = writeVarint(bytes, at, cursor.topics.length)
  for (const topic of cursor.topics) {
    at = writeTopicHead(bytes, at, topic)
    let previous = -1
    for (const position of topic.positions) {
      assert(position.partition > previous, 'the positions of a cursor are out of order')
      previous = position.partition
      at = writePosition(bytes, at, position)
    }
  }
  writeInt32(bytes, at, crc32c(bytes, 0, at))
  return bytes
}

/** Undefined if `text` is not, to the last bit, what `encodeCursor` makes. */
export function decodeCursor(text: string): Cursor | undefined {
  if (text.length > MAX_TEXT) return undefined
  const bytes = Buffer.from(text, 'base64url')
  const end = bytes.length - CURSOR_CHECKSUM_BYTES
  const version = bytes[0]
  if (end < 2 || (version !== VERSION_PLAIN && version !== VERSION_OF_MEMBER)) return undefined
  if (readUint32(bytes, end) !== crc32c(bytes, 0, end)) return undefined
  const reader = new VarintReader()
  reader.reset(bytes, 1, end)
  const member = version === VERSION_OF_MEMBER ? readMember(bytes, reader) : undefined
  if (version === VERSION_OF_MEMBER && member === undefined) return undefined
  const topics = readTopics(bytes, reader)
  if (topics === undefined || reader.failed || reader.at !== end) return undefined
  const cursor = member === undefined ? { topics } : { topics, member }
  // Whatever the decoders forgive shows here: long varints, then padding and stray characters.
  const isExact = sizeOf(cursor) === bytes.length && bytes.toString('base64url') === text
  return isExact ? cursor : undefined
}

function sizeOf({ topics, member }: Cursor): number {
  let size = 1 + memberBytes(member) + varintBytes(topics.length) + CURSOR_CHECKSUM_BYTES
  for (const topic of topics) size += topicHeadBytes(topic) + positionsBytes(topic.positions)
  return size
}

function readMember(bytes: Buffer, reader: VarintReader): CursorMember | undefined {
  const { at, end } = reader
  const idEnd = at + 1 + (bytes[at] as number)
  if (idEnd >= end) return undefined
  const memberId = parseMemberId(bytes.toString('latin1', at + 1, idEnd))
  reader.at = idEnd
  const memberEpoch = reader.unsigned()
  return memberId === undefined || memberEpoch > MAX_INT32 ? undefined : { memberId, memberEpoch }
}

function readTopics(bytes: Buffer, reader: VarintReader): CursorTopic[] | undefined {
  const count = reader.unsigned()
  if (count > MAX_COUNT) return undefined
  const topics: CursorTopic[] = []
  let positionsLeft: number = MAX_COUNT
  for (let i = 0; i < count && !reader.failed; i++) {
    if (reader.end - reader.at < TOPIC_ID_BYTES) return undefined
    const topicId = bytes.toString('hex', reader.at, reader.at + TOPIC_ID_BYTES) as TopicId
    reader.at += TOPIC_ID_BYTES
    const mapVersion = reader.unsigned()
    const positions = readPositions(reader, positionsLeft)
    if (positions === undefined || mapVersion > MAX_INT32) return undefined
    positionsLeft -= positions.length
    topics.push({ topicId, mapVersion, positions })
  }
  return topics
}

function readPositions(reader: VarintReader, atMost: number): CursorPosition[] | undefined {
  const count = reader.unsigned()
  if (count > atMost) return undefined
  const positions: CursorPosition[] = []
  let previous = -1
  for (let i = 0; i < count && !reader.failed; i++) {
    const partition = reader.unsigned()
    const lastEpoch = reader.unsigned() - 1
    const offset = reader.unsigned()
    if (partition <= previous || partition > MAX_INT32 || lastEpoch > MAX_INT32) return undefined
    positions.push({ partition, lastEpoch, offset })
    previous = partition
  }
  return positions
}

function memberBytes(member: CursorMember | undefined): number {
  return member === undefined ? 0 : 1 + member.memberId.length + varintBytes(member.memberEpoch)
}

function writeMember(bytes: Buffer, start: number, member: CursorMember | undefined): number {
  if (member === undefined) return start
  const { memberId, memberEpoch } = member
  bytes[start] = memberId.length
  bytes.write(memberId, start + 1, 'latin1')
  return writeVarint(bytes, start + 1 + memberId.length, memberEpoch)
}

export function topicHeadBytes(topic: CursorTopic): number {
  return TOPIC_ID_BYTES + varintBytes(topic.mapVersion) + varintBytes(topic.positions.length)
}

function writeTopicHead(bytes: Buffer, start: number, topic: CursorTopic): number {
  bytes.write(topic.topicId, start, 'hex')
  const at = writeVarint(bytes, start + TOPIC_ID_BYTES, topic.mapVersion)
  return writeVarint(bytes, at, topic.positions.length)
}

function positionsBytes(positions: readonly CursorPosition[]): number {
  let bytes = 0
  for (const position of positions) bytes += positionBytes(position)
  return bytes
}

function positionBytes(position: CursorPosition): number {
  return (
    varintBytes(position.partition) +
    varintBytes(position.lastEpoch + 1) +
    varintBytes(position.offset)
  )
}

function writePosition(bytes: Uint8Array, start: number, position: CursorPosition): number {
  const at = writeVarint(bytes, start, position.partition)
  return writeVarint(bytes, writeVarint(bytes, at, position.lastEpoch + 1), position.offset)
}
