/** What the operations on groups have in common: names out of paths and bodies, cursors, answers by partition. */
import type { GroupId, MemberId } from '../../core/group-settings.ts'
import { parseGroupId, parseMemberId } from '../../core/group-settings.ts'
import { isReservedName, parseTopicName } from '../../core/ids.ts'
import { LIMITS } from '../../core/limits.ts'
import { isTopicPattern } from '../../core/topic-pattern.ts'
import type { OffsetOutcome } from '../../front/groups/group-offsets.ts'
import { assert } from '../../lib/assert.ts'
import { ServiceError } from '../../lib/service-error.ts'
import type { MetadataView } from '../../metadata/metadata-image.ts'
import type { Cursor } from '../../wire/cursor.ts'
import { decodeCursor } from '../../wire/cursor.ts'
import type { TopicPartitions } from '../../wire/group-members.ts'
import type { Subscription } from '../../wire/groups.ts'
import type { PartitionPlace } from '../../wire/internal.ts'
import { problemOf } from '../../wire/problem.ts'

/** The schema has let it through, so it is one. */
export function groupIdOf(text: string): GroupId {
  const id = parseGroupId(text)
  assert(id !== undefined, 'the schema of a group name lets through what is none')
  return id as GroupId
}

/** As above. */
export function memberIdOf(text: string): MemberId {
  const id = parseMemberId(text)
  assert(id !== undefined, 'the schema of a member id lets through what is none')
  return id as MemberId
}

/** @throws ServiceError `bad-cursor` */
export function cursorOf(text: string): Cursor {
  const cursor = decodeCursor(text)
  if (cursor !== undefined) return cursor
  throw new ServiceError('bad-cursor', 'the cursor is damaged')
}

/** @throws ServiceError `invalid-request` unless there is exactly one of both */
export function subscriptionOf({
  topics,
  pattern,
}: {
  readonly topics?: readonly string[]
  readonly pattern?: string
}): Subscription {
  if (topics === undefined && pattern !== undefined) {
    if (isTopicPattern(pattern)) return { pattern }
    throw invalid('/pattern', 'must be of A-Z a-z 0-9 . _ - and of * and ?, which stand for others')
  }
  if (topics === undefined || pattern !== undefined) {
    const detail =
      topics === undefined ? 'is missing, and so is pattern' : 'is given, and so is pattern'
    throw invalid('/topics', detail)
  }
  return { topics: topics.map((name, i) => topicNameOf(name, `/topics/${i}`)) }
}

/** @throws ServiceError `invalid-request` */
function topicNameOf(text: string, pointer: string) {
  const name = parseTopicName(text)
  if (name !== undefined && !isReservedName(name)) return name
  throw invalid(pointer, 'must be the name of a topic, which does not begin with __')
}

/** @throws ServiceError `invalid-request` for a note that is too long, or that UTF-8 cannot hold */
export function checkNotes(offsets: readonly { readonly metadata?: string }[]): void {
  for (const [i, { metadata = '' }] of offsets.entries()) {
    const pointer = `/offsets/${i}/metadata`
    if (!metadata.isWellFormed()) {
      throw invalid(pointer, 'has half a surrogate pair, which is no text')
    }
    if (Buffer.byteLength(metadata) > LIMITS.offsetMetadataBytes) {
      throw invalid(pointer, `is longer than ${LIMITS.offsetMetadataBytes} bytes`)
    }
  }
}

export function invalid(pointer: string, detail: string): ServiceError {
  return new ServiceError('invalid-request', `${pointer} ${detail}`, {
    errors: [{ pointer, detail }],
  })
}

/** Of topics that are known here: the others are gone. */
export function placesOf(
  { image }: MetadataView,
  owned: readonly TopicPartitions[],
): PartitionPlace[] {
  return owned.flatMap(({ topic, partitions }) => {
    const name = parseTopicName(topic)
    const found = name && image.topics.get(name)
    return found === undefined
      ? []
      : partitions.map((partition) => ({ topicId: found.id, partition }))
  })
}

/** One outcome as an answer lists it. */
export function receiptOf({ topic, partition, offset, error }: OffsetOutcome, traceId: string) {
  if (error === undefined) return { topic, partition, offset }
  return { topic, partition, error: problemOf(error, traceId) }
}
