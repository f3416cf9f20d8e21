/**
 * One call that is all a member needs: commits what it has processed, says that it is alive, gives up
 * what it is to give up, and reads on. Or, the other way round: commits what it is about to deliver.
 */
import { isBehind } from '../../core/log-position.ts'
import type { MetadataView } from '../../metadata/metadata-image.ts'
import type { Cursor } from '../../wire/cursor.ts'
import type { GroupService, MemberView } from '../../wire/groups.ts'
import type { PartitionPlace } from '../../wire/internal.ts'
import type { GroupMembers } from './group-members.ts'
import type { GroupOffsets, OffsetOutcome } from './group-offsets.ts'
import type { GroupReader, GroupReadRequest, GroupSelection } from './group-reader.ts'
import { MemberPositions } from './member-positions.ts'

export interface PollRequest extends GroupReadRequest {
  /** The partitions that the member still works on. Absent: those that it is to keep. */
  readonly owned: readonly PartitionPlace[] | undefined
  /** What it has processed; or `before`: what this call delivers. */
  readonly commit: Cursor | 'before' | undefined
}

export interface PollAnswer {
  readonly selection: GroupSelection
  /** Partitions of `commit` that were not committed, and why. */
  readonly uncommitted: readonly OffsetOutcome[]
}

export interface GroupPollDeps {
  readonly service: Pick<GroupService, 'commit'>
  readonly metadata: MetadataView
  readonly members: GroupMembers
  readonly offsets: GroupOffsets
  readonly reader: GroupReader
}

export class GroupPoll {
  readonly #deps: GroupPollDeps

  constructor(deps: GroupPollDeps) {
    this.#deps = deps
  }

  /** @throws ServiceError `member-fenced`, `member-not-found`, and as a read and a commit */
  async run(request: PollRequest, signal: AbortSignal): Promise<PollAnswer> {
    const { groupId, memberId, memberEpoch, cursor, commit } = request
    const { members, offsets, reader, metadata } = this.#deps
    const isBefore = commit === 'before'
    const outcomes =
      commit === undefined || isBefore
        ? []
        : await offsets.commitCursor({ groupId, memberId, memberEpoch }, commit, signal)
    const told = await members.heartbeat(heartbeatOf(request), signal)
    const isToGiveUp = request.owned === undefined && told.revoking.length > 0
    const view = isToGiveUp ? await members.giveUp(groupId, told, signal) : told
    const start = MemberPositions.of(metadata.image, view, cursor, { isNeverBehind: isBefore })
    const found = await reader.readFor(request, { view, start, results: [] }, signal)
    const selection = isBefore ? await this.#committed(request, found, signal) : found
    return { selection, uncommitted: outcomes.filter(({ error }) => error !== undefined) }
  }

  /** What of the selection could be committed: nobody else delivers that. */
  async #committed(
    { groupId, memberId }: PollRequest,
    selection: GroupSelection,
    signal: AbortSignal,
  ): Promise<GroupSelection> {
    const { view, start, after } = selection
    const offsets = offsetsBehind(view, after)
    if (offsets.length === 0) return selection
    const { memberEpoch } = view
    const outcomes = await this.#deps.service.commit(
      { groupId, memberId, memberEpoch, offsets },
      signal,
    )
    const refused = new Set<string>()
    for (const { topicId, partition, ok } of outcomes) {
      if (ok) continue
      refused.add(`${topicId} ${partition}`)
      after.in(topicId).restart(partition, start.in(topicId).placeOf(partition))
    }
    const slices = selection.slices.filter(
      ({ topicId, partition }) => !refused.has(`${topicId} ${partition}`),
    )
    const records = slices.reduce((sum, slice) => sum + slice.records, 0)
    return { ...selection, slices, records }
  }
}

function heartbeatOf({ groupId, memberId, memberEpoch, owned }: PollRequest) {
  return { groupId, memberId, memberEpoch, ...(owned && { owned }) }
}

/** Commits of where `after` stands, each in place of what the view has seen committed. */
function offsetsBehind(view: MemberView, after: MemberPositions) {
  return view.assigned.flatMap(({ topicId, partition, committed }) => {
    const positions = after.find(topicId)
    if (positions === undefined || !after.has(topicId, partition)) return []
    const place = positions.placeOf(partition)
    if (!isBehind(committed, place)) return []
    return [{ topicId, partition, ...place, expectedOffset: committed.offset }]
  })
}
