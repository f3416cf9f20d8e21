/** Where a member of a group stands in the partitions that it owns, over all topics; made into its cursor. */
import type { TopicId } from '../../core/ids.ts'
import { LIMITS } from '../../core/limits.ts'
import type { LogPosition } from '../../core/log-position.ts'
import { isBehind } from '../../core/log-position.ts'
import { assert } from '../../lib/assert.ts'
import { ServiceError } from '../../lib/service-error.ts'
import type { MetadataImage, TopicImage } from '../../metadata/metadata-image.ts'
import type { Cursor, CursorMember, CursorPosition } from '../../wire/cursor.ts'
import { encodeCursor } from '../../wire/cursor.ts'
import type { AssignedPartition, MemberView, OwnedPartition } from '../../wire/groups.ts'
import type { FetchPosition } from '../../wire/internal.ts'
import { ReadPositions } from '../read-positions.ts'

export class MemberPositions {
  readonly member: CursorMember
  /** To be read. */
  readonly topics: readonly ReadPositions[]
  /** In partitions that are to be given up: they stand still. */
  readonly #revoking: readonly ReadPositions[]

  private constructor(
    member: CursorMember,
    topics: readonly ReadPositions[],
    revoking: readonly ReadPositions[],
  ) {
    this.member = member
    this.topics = topics
    this.#revoking = revoking
  }

  /**
   * Of what the member owns now. A partition stands where `cursor` says, if the member has owned it ever
   * since it was given that cursor, else where the group has committed. Topics that this node does not
   * know yet are left out. `isNeverBehind`: nowhere before what is committed.
   * @throws ServiceError `bad-cursor` for one that is not of a member, `too-many-partitions`
   */
  static of(
    image: MetadataImage,
    view: MemberView,
    cursor?: Cursor,
    options: { readonly isNeverBehind?: boolean } = {},
  ): MemberPositions {
    const { memberId, memberEpoch, assigned, revoking } = view
    const carried = new CarriedPositions(view, cursor)
    const isTooEarly = ({ offset, lastEpoch }: CursorPosition, { committed }: AssignedPartition) =>
      options.isNeverBehind === true && isBehind({ offset, leaderEpoch: lastEpoch }, committed)
    checkCount(assigned.length + revoking.length)
    return new MemberPositions(
      { memberId, memberEpoch },
      byTopic(image, assigned, (owned) => {
        const position = carried.find(owned)
        const isGood = position !== undefined && !isTooEarly(position, owned)
        return isGood ? position : committedPosition(owned)
      }),
      byTopic(image, revoking, (owned) => carried.find(owned)),
    )
  }

  /** As a member's cursor says, whether the member still owns that or not. */
  static ofCursor(image: MetadataImage, { topics, member }: Cursor): MemberPositions {
    assert(member !== undefined, 'the cursor is not one of a member')
    const known = topics.flatMap(({ topicId, positions }) => {
      const topic = image.topicsById.get(topicId)
      return topic === undefined ? [] : [ReadPositions.of(topic, positions)]
    })
    return new MemberPositions(member as CursorMember, known, [])
  }

  copy(): MemberPositions {
    const topics = this.topics.map((topic) => topic.copy())
    return new MemberPositions(this.member, topics, this.#revoking)
  }

  in(topicId: TopicId): ReadPositions {
    const found = this.find(topicId)
    assert(found !== undefined, `topic ${topicId} is not in the read`)
    return found as ReadPositions
  }

  find(topicId: TopicId): ReadPositions | undefined {
    return this.topics.find(({ topic }) => topic.id === topicId)
  }

  has(topicId: TopicId, partition: number): boolean {
    return this.find(topicId)?.partitions.includes(partition) ?? false
  }

  get isEmpty(): boolean {
    return this.topics.length === 0
  }

  /** All that the member owns and may still commit, for its cursor. */
  cursorOf(): Cursor {
    const topics = this.topics.map((topic) => topic.cursorTopic())
    for (const revoking of this.#revoking) {
      const { topicId, mapVersion, positions } = revoking.cursorTopic()
      const index = topics.findIndex((topic) => topic.topicId === topicId)
      const both = [...(topics[index]?.positions ?? []), ...positions]
      both.sort((a, b) => a.partition - b.partition)
      const merged = { topicId, mapVersion, positions: both }
      if (index === -1) topics.push(merged)
      else topics[index] = merged
    }
    return { topics, member: this.member }
  }

  cursor(): string {
    return encodeCursor(this.cursorOf())
  }

  /** The cursor that differs in one partition, where it reads anew. */
  cursorAt(topicId: TopicId, partition: number, place: LogPosition): string {
    const copy = this.copy()
    copy.in(topicId).restart(partition, place)
    return copy.cursor()
  }

  /** For storage. Which partition comes first depends on the places alone: a read gives the same again. */
  fetchPositions(): FetchPosition[] {
    let sum = 0
    for (const topic of this.topics) {
      for (const { offset, partition } of topic.cursorPositions()) sum += offset + partition
    }
    const turn = Math.imul(sum, 0x9e37_79b1) >>> 16
    const positions = this.topics.flatMap((topic) => topic.fetchPositions(0))
    const first = positions.length === 0 ? 0 : turn % positions.length
    return [...positions.slice(first), ...positions.slice(0, first)]
  }
}

/** Positions that a client brought along, as far as they still count. */
class CarriedPositions {
  readonly #memberEpoch: number
  readonly #positions = new Map<string, CursorPosition>()

  constructor({ memberId }: MemberView, cursor: Cursor | undefined) {
    this.#memberEpoch = cursor?.member?.memberEpoch ?? -1
    if (cursor === undefined) return
    if (cursor.member === undefined) {
      throw new ServiceError('bad-cursor', 'the cursor is not one of a member of a group')
    }
    if (cursor.member.memberId !== memberId) return
    for (const { topicId, positions } of cursor.topics) {
      for (const position of positions) {
        this.#positions.set(`${topicId} ${position.partition}`, position)
      }
    }
  }

  find({ topicId, partition, sinceEpoch }: OwnedPartition): CursorPosition | undefined {
    if (this.#memberEpoch < sinceEpoch) return undefined
    return this.#positions.get(`${topicId} ${partition}`)
  }
}

function committedPosition({ partition, committed }: AssignedPartition): CursorPosition {
  return { partition, lastEpoch: committed.leaderEpoch, offset: committed.offset }
}

function byTopic<Owned extends OwnedPartition>(
  image: MetadataImage,
  owned: readonly Owned[],
  positionOf: (owned: Owned) => CursorPosition | undefined,
): ReadPositions[] {
  const topics = new Map<TopicImage, CursorPosition[]>()
  for (const one of owned) {
    const topic = image.topicsById.get(one.topicId)
    const position = positionOf(one)
    if (topic === undefined || position === undefined) continue
    const positions = topics.get(topic)
    if (positions === undefined) topics.set(topic, [position])
    else positions.push(position)
  }
  return [...topics].map(([topic, positions]) => {
    positions.sort((a, b) => a.partition - b.partition)
    return ReadPositions.of(topic, positions)
  })
}

/** @throws ServiceError `too-many-partitions` */
function checkCount(count: number): void {
  const limit = LIMITS.partitionsPerRead
  if (count <= limit) return
  const detail = `the member owns ${count} partitions; with more members each has fewer`
  throw new ServiceError('too-many-partitions', detail, { members: { limit } })
}
