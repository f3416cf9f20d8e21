/** Turns what a reader says (`cursor`, `from`, `partition`) into a position in every partition. */
import { LIMITS } from '../core/limits.ts'
import { ServiceError } from '../lib/service-error.ts'
import type { TopicImage } from '../metadata/metadata-image.ts'
import type { CursorPosition, CursorTopic } from '../wire/cursor.ts'
import { decodeCursor } from '../wire/cursor.ts'
import type { OffsetQuery, StorageService } from '../wire/internal.ts'
import { parsePosition } from '../wire/position.ts'
import { ReadPositions } from './read-positions.ts'

export interface ReadRange {
  /** Wins over `from`. */
  readonly cursor: string | undefined
  readonly from: string
  /** All partitions if undefined. */
  readonly partitions: readonly number[] | undefined
}

/** Whether the range itself says where to start, so that it means the same whatever comes or goes. */
export function namesPositions({ cursor, from }: ReadRange): boolean {
  return cursor !== undefined || from.startsWith('offset:')
}

/** What is known without asking storage. */
export interface ReadStart {
  readonly topic: TopicImage
  readonly partitions: readonly number[]
  /** Of those partitions whose position the reader has said. */
  readonly known: ReadonlyMap<number, CursorPosition>
  /** Where the others start. */
  readonly at: OffsetQuery
}

/** @throws ServiceError `bad-cursor`, `invalid-parameter`, `partition-not-found`, `too-many-partitions` */
export function parseStart(topic: TopicImage, range: ReadRange): ReadStart {
  const known = new Map<number, CursorPosition>()
  if (range.cursor !== undefined) {
    const cursor = cursorOf(topic, range.cursor)
    const partitions = partitionsOf(topic, range.partitions ?? partitionsOfCursor(topic, cursor))
    for (const position of cursor.positions) known.set(position.partition, position)
    return { topic, partitions, known, at: 'earliest' }
  }
  const partitions = partitionsOf(topic, range.partitions)
  const at = parsePosition(range.from)
  if (at === undefined) {
    const detail = 'must be earliest, latest, offset:N, time:<RFC 3339 time> or last:N'
    throw new ServiceError('invalid-parameter', `from ${detail}`, {
      errors: [{ pointer: 'from', detail }],
    })
  }
  if (typeof at === 'string' || !('offset' in at)) return { topic, partitions, known, at }
  for (const partition of partitions) {
    known.set(partition, { partition, offset: at.offset, lastEpoch: -1 })
  }
  return { topic, partitions, known, at: 'earliest' }
}

/** Asks storage for what is not known. */
export async function resolveStart(
  start: ReadStart,
  storage: StorageService,
): Promise<ReadPositions> {
  const { topic, partitions, known, at } = start
  if (partitions.every((partition) => known.has(partition))) {
    return ReadPositions.of(
      topic,
      partitions.map((partition) => known.get(partition) as CursorPosition),
    )
  }
  const positions = await Promise.all(
    partitions.map(async (partition) => {
      const position = known.get(partition)
      if (position !== undefined) return position
      return { partition, ...(await storage.resolveOffset(topic.id, partition, at)) }
    }),
  )
  return ReadPositions.of(topic, positions)
}

/** @throws ServiceError `bad-cursor` */
export function cursorOf(topic: TopicImage, text: string): CursorTopic {
  const cursor = decodeCursor(text)
  if (cursor === undefined) throw new ServiceError('bad-cursor', 'the cursor is damaged')
  const found = cursor.topics.find(({ topicId }) => topicId === topic.id)
  if (found === undefined) {
    throw new ServiceError('bad-cursor', `the cursor is not one of topic ${topic.name}`)
  }
  return found
}

/**
 * The partitions of the read that the cursor is of, and those that were added since: they can only
 * be part of a read that covered all there were.
 */
function partitionsOfCursor(topic: TopicImage, cursor: CursorTopic): number[] {
  const partitions = cursor.positions.map((position) => position.partition)
  const count = topic.partitions.length
  const hasGrown = cursor.mapVersion < topic.slotMap.version
  const isWhole = partitions.every((partition, i) => partition === i)
  // Numbers above the present ones are of partitions that are gone.
  const present = partitions.filter((partition) => partition < count)
  if (!hasGrown || !isWhole) return present
  for (let partition = partitions.length; partition < count; partition++) present.push(partition)
  return present
}

function partitionsOf(topic: TopicImage, asked: readonly number[] | undefined): number[] {
  const count = topic.partitions.length
  const limit = LIMITS.partitionsPerRead
  const isEvery = asked === undefined || asked.length === 0
  if ((isEvery ? count : asked.length) > limit) {
    throw new ServiceError(
      'too-many-partitions',
      `the read covers ${isEvery ? count : asked.length} partitions`,
      { members: { limit } },
    )
  }
  if (isEvery) return Array.from({ length: count }, (_, partition) => partition)
  const partitions = [...new Set(asked)].sort((a, b) => a - b)
  const missing = partitions.find((partition) => partition >= count)
  if (missing === undefined) return partitions
  throw new ServiceError('partition-not-found', `topic ${topic.name} has no partition ${missing}`)
}
