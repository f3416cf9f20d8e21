/** Offsets of groups: committed by cursor or by number, set anew, and checked against the logs before. */
import type { GroupId, MemberId } from '../../core/group-settings.ts'
import { parseTopicName } from '../../core/ids.ts'
import { ServiceError } from '../../lib/service-error.ts'
import type { MetadataView, TopicImage } from '../../metadata/metadata-image.ts'
import type { Cursor } from '../../wire/cursor.ts'
import type {
  CommitOffsets,
  CommitOutcome,
  GroupService,
  OffsetToCommit,
} from '../../wire/groups.ts'
import type { OffsetQuery, PartitionOffsets, StorageService } from '../../wire/internal.ts'

export interface GroupOffsetsDeps {
  readonly service: Pick<GroupService, 'commit' | 'reset' | 'offsets'>
  readonly storage: Pick<StorageService, 'offsetsOf' | 'resolveOffset'>
  readonly metadata: MetadataView
}

/** An offset as a client names it. */
export interface NamedOffset {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly metadata?: string
}

/** What became of one partition. */
export interface OffsetOutcome {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  /** Absent: it is committed. */
  readonly error?: ServiceError
}

/** Who commits; nobody in particular while the group has no members. */
export interface Committer {
  readonly groupId: GroupId
  readonly memberId?: MemberId
  readonly memberEpoch?: number
}

/** Where partitions are set to. */
export interface ResetTarget {
  /** Those that the group has offsets of if absent. */
  readonly topics?: readonly string[]
  readonly at: OffsetQuery | { readonly offset: number }
}

interface Resolved {
  readonly topic: TopicImage
  readonly to: OffsetToCommit
}

type Candidate = Resolved | OffsetOutcome

export class GroupOffsets {
  readonly #deps: GroupOffsetsDeps

  constructor(deps: GroupOffsetsDeps) {
    this.#deps = deps
  }

  /**
   * Commits where a cursor stands. That of a member commits for it, as of the epoch at which it was given,
   * and takes nothing back, as requests overtake each other; any other one is held against the logs.
   * @throws ServiceError `bad-cursor` for one of another member, and as `GroupService.commit`
   */
  commitCursor(
    committer: Committer,
    cursor: Cursor,
    signal: AbortSignal,
  ): Promise<OffsetOutcome[]> {
    const offsets = this.#positionsOf(cursor)
    const { member } = cursor
    if (member === undefined) {
      return this.#checked(offsets).then((checked) => this.#commit(committer, checked, signal))
    }
    const { groupId, memberId = member.memberId, memberEpoch = member.memberEpoch } = committer
    if (memberId !== member.memberId) {
      const detail = `the cursor is one of member ${member.memberId}`
      return Promise.reject(new ServiceError('bad-cursor', detail))
    }
    const epoch = Math.min(memberEpoch, member.memberEpoch)
    const at = { groupId, memberId, memberEpoch: epoch, onlyForward: true }
    return this.#commit(at, offsets, signal)
  }

  /** @throws ServiceError as `GroupService.commit` */
  async commit(
    committer: Committer,
    offsets: readonly NamedOffset[],
    signal: AbortSignal,
  ): Promise<OffsetOutcome[]> {
    const checked = await this.#checked(offsets.map((offset) => this.#named(offset)))
    return await this.#commit(committer, checked, signal)
  }

  /** @throws ServiceError as `GroupService.reset` */
  async set(
    groupId: GroupId,
    offsets: readonly NamedOffset[],
    signal: AbortSignal,
  ): Promise<OffsetOutcome[]> {
    const checked = await this.#checked(offsets.map((offset) => this.#named(offset)))
    return await this.#reset(groupId, checked, signal)
  }

  /**
   * Sets all partitions of some topics.
   * @throws ServiceError `topic-not-found`, and as `GroupService.reset`
   */
  async reset(
    groupId: GroupId,
    { topics, at }: ResetTarget,
    signal: AbortSignal,
  ): Promise<OffsetOutcome[]> {
    const names = topics ?? (await this.#topicsOf(groupId, signal))
    const places = names.map((name) => this.#topic(name)).flatMap(partitionsOf)
    if (typeof at === 'object' && 'offset' in at) {
      const { offset } = at
      const offsets = places.map(({ topic, topicId, partition }) => {
        return { topic, to: { topicId, partition, offset, leaderEpoch: -1 } }
      })
      return await this.#reset(groupId, await this.#checked(offsets), signal)
    }
    const found = await Promise.all(places.map((place) => this.#resolve(place, at)))
    return await this.#reset(groupId, found, signal)
  }

  async #topicsOf(groupId: GroupId, signal: AbortSignal): Promise<string[]> {
    const { image } = this.#deps.metadata
    const names = new Set<string>()
    for (const { topicId } of await this.#deps.service.offsets(groupId, signal)) {
      const topic = image.topicsById.get(topicId)
      if (topic !== undefined) names.add(topic.name)
    }
    return [...names]
  }

  async #resolve(
    place: ReturnType<typeof partitionsOf>[number],
    at: OffsetQuery,
  ): Promise<Candidate> {
    const { topic, topicId, partition } = place
    try {
      const { offset, lastEpoch } = await this.#deps.storage.resolveOffset(topicId, partition, at)
      return { topic, to: { topicId, partition, offset, leaderEpoch: lastEpoch } }
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error
      return { topic: topic.name, partition, offset: -1, error }
    }
  }

  /** In topics that are known here: the others are gone. */
  #positionsOf(cursor: Cursor): Resolved[] {
    const { topicsById } = this.#deps.metadata.image
    const resolved: Resolved[] = []
    for (const { topicId, positions } of cursor.topics) {
      const topic = topicsById.get(topicId)
      if (topic === undefined) continue
      for (const { partition, offset, lastEpoch } of positions) {
        resolved.push({ topic, to: { topicId, partition, offset, leaderEpoch: lastEpoch } })
      }
    }
    return resolved
  }

  #topic(name: string): TopicImage {
    const parsed = parseTopicName(name)
    const topic = parsed && this.#deps.metadata.image.topics.get(parsed)
    if (topic !== undefined) return topic
    throw new ServiceError('topic-not-found', `topic ${name} does not exist`)
  }

  #named(named: NamedOffset): Candidate {
    const { partition, offset, metadata } = named
    try {
      const topic = this.#topic(named.topic)
      if (partition < topic.partitions.length) {
        const note = metadata === undefined ? {} : { metadata }
        return { topic, to: { topicId: topic.id, partition, offset, leaderEpoch: -1, ...note } }
      }
      const detail = `topic ${topic.name} has no partition ${partition}`
      throw new ServiceError('partition-not-found', detail)
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error
      return { topic: named.topic, partition, offset, error }
    }
  }

  /** Refuses what lies outside of its log, and what nobody can look up now. */
  async #checked(candidates: readonly Candidate[]): Promise<Candidate[]> {
    const known = candidates.filter(isResolved).map(({ to }) => to)
    const bounds = await this.#deps.storage.offsetsOf(known)
    let at = 0
    return candidates.map((candidate) => {
      if (!isResolved(candidate)) return candidate
      const error = boundsError(candidate, bounds[at++])
      if (error === undefined) return candidate
      const { topic, to } = candidate
      return { topic: topic.name, partition: to.partition, offset: to.offset, error }
    })
  }

  #commit(
    committer: Omit<CommitOffsets, 'offsets'>,
    candidates: readonly Candidate[],
    signal: AbortSignal,
  ): Promise<OffsetOutcome[]> {
    return settle(candidates, (offsets) =>
      this.#deps.service.commit({ ...committer, offsets }, signal),
    )
  }

  #reset(
    groupId: GroupId,
    candidates: readonly Candidate[],
    signal: AbortSignal,
  ): Promise<OffsetOutcome[]> {
    return settle(candidates, (offsets) => this.#deps.service.reset({ groupId, offsets }, signal))
  }
}

function partitionsOf(topic: TopicImage) {
  return topic.partitions.map((_, partition) => ({ topic, topicId: topic.id, partition }))
}

function isResolved(candidate: Candidate): candidate is Resolved {
  return 'to' in candidate
}

function boundsError(
  { topic, to: { partition, offset } }: Resolved,
  bounds: PartitionOffsets | undefined,
): ServiceError | undefined {
  if (bounds !== undefined && offset <= bounds.highWatermark && offset >= bounds.logStartOffset) {
    return undefined
  }
  const where = `partition ${partition} of ${topic.name}`
  if (bounds === undefined) {
    return new ServiceError('partition-unavailable', `nobody can say where ${where} ends just now`)
  }
  const { logStartOffset: earliest, highWatermark: tail } = bounds
  const [side, bound] = offset > tail ? ['beyond the end', tail] : ['before the start', earliest]
  const members = offset > tail ? { tail } : { earliest }
  const detail = `offset ${offset} is ${side} of ${where}, which is ${bound}`
  return new ServiceError('invalid-offset', detail, { members })
}

/** Has the resolved ones committed, all at once, and puts what became of each in its place. */
async function settle(
  candidates: readonly Candidate[],
  commit: (offsets: readonly OffsetToCommit[]) => Promise<readonly CommitOutcome[]>,
): Promise<OffsetOutcome[]> {
  const offsets: OffsetToCommit[] = []
  for (const candidate of candidates) if (isResolved(candidate)) offsets.push(candidate.to)
  const outcomes = offsets.length === 0 ? [] : await commit(offsets)
  let at = 0
  return candidates.map((candidate) =>
    isResolved(candidate) ? settled(candidate, outcomes[at++] as CommitOutcome) : candidate,
  )
}

function settled({ topic, to }: Resolved, outcome: CommitOutcome): OffsetOutcome {
  const { partition, offset } = to
  if (outcome.ok) return { topic: topic.name, partition, offset }
  const { code, detail, committed, members } = outcome
  const error = new ServiceError(code, detail, { committed, ...(members && { members }) })
  return { topic: topic.name, partition, offset, error }
}
