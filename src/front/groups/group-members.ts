/**
 * Members as the fronts see them: partitions of which nobody has committed a start are resolved here,
 * so that whoever reads for a member finds a committed position in each.
 */

import type { GroupId } from '../../core/group-settings.ts'
import { ServiceError } from '../../lib/service-error.ts'
import type {
  GroupService,
  Heartbeat,
  JoinedMember,
  JoinGroup,
  LeaveGroup,
  MemberView,
  PartitionStart,
  UnresolvedPartition,
  ViewMember,
} from '../../wire/groups.ts'
import type { PartitionPlace, StorageService } from '../../wire/internal.ts'

export interface GroupMembersDeps {
  readonly service: GroupService
  readonly storage: Pick<StorageService, 'resolveOffset'>
}

/** One that has no leader now is tried again with the member's next request. */
type Resolved = PartitionStart | undefined

export class GroupMembers {
  readonly #deps: GroupMembersDeps

  constructor(deps: GroupMembersDeps) {
    this.#deps = deps
  }

  async join(command: JoinGroup, signal: AbortSignal): Promise<JoinedMember> {
    const joined = await this.#deps.service.join(command, signal)
    return { ...(await this.resolved(command, joined, signal)), created: joined.created }
  }

  async leave(command: LeaveGroup, signal: AbortSignal): Promise<void> {
    await this.#deps.service.leave(command, signal)
  }

  async heartbeat(command: Heartbeat, signal: AbortSignal): Promise<MemberView> {
    const view = await ofMember(command, this.#deps.service.heartbeat(command, signal))
    return await this.resolved(command, view, signal)
  }

  /** As a heartbeat that says that the member has stopped working on what it is to give up. */
  async giveUp(groupId: GroupId, view: MemberView, signal: AbortSignal): Promise<MemberView> {
    const { memberId, memberEpoch } = view
    return await this.heartbeat({ groupId, memberId, memberEpoch, owned: keptBy(view) }, signal)
  }

  /** The same without a sign of life. */
  async release(groupId: GroupId, view: MemberView, signal: AbortSignal): Promise<MemberView> {
    const { memberId, memberEpoch } = view
    const command = { groupId, memberId, memberEpoch, owned: keptBy(view) }
    const released = await ofMember(command, this.#deps.service.release(command, signal))
    return await this.resolved(command, released, signal)
  }

  async view(command: ViewMember, signal: AbortSignal): Promise<MemberView> {
    const view = await ofMember(command, this.#deps.service.view(command, signal))
    return await this.resolved(command, view, signal)
  }

  /** The view after the starts of its unresolved partitions are committed, as far as that can be done now. */
  async resolved(
    { groupId, memberId }: Pick<ViewMember, 'groupId' | 'memberId'>,
    view: MemberView,
    signal: AbortSignal,
  ): Promise<MemberView> {
    if (view.unresolved.length === 0) return view
    const found = await Promise.all(view.unresolved.map((partition) => this.#start(partition)))
    const starts = found.filter((start) => start !== undefined)
    if (starts.length === 0) return view
    const { service } = this.#deps
    await service.startAt({ groupId, starts }, signal)
    const { memberEpoch } = view
    return await ofMember(
      { groupId, memberId },
      service.view({ groupId, memberId, memberEpoch }, signal),
    )
  }

  async #start({ topicId, partition, at }: UnresolvedPartition): Promise<Resolved> {
    try {
      const { offset, lastEpoch } = await this.#deps.storage.resolveOffset(topicId, partition, at)
      return { topicId, partition, offset, leaderEpoch: lastEpoch }
    } catch (error) {
      if (error instanceof ServiceError) return undefined
      throw error
    }
  }
}

function keptBy({ assigned, unresolved }: MemberView): PartitionPlace[] {
  return [...assigned, ...unresolved].map(({ topicId, partition }) => ({ topicId, partition }))
}

/** To a member it is the same whether its group is gone or it is no longer in it. */
export async function ofMember<T>(
  place: Pick<ViewMember, 'groupId' | 'memberId'>,
  call: Promise<T>,
): Promise<T> {
  return await call.catch((error: unknown) => {
    throw asMissingMember(place, error)
  })
}

function asMissingMember(
  { groupId, memberId }: Pick<ViewMember, 'groupId' | 'memberId'>,
  error: unknown,
): unknown {
  if (!(error instanceof ServiceError) || error.code !== 'group-not-found') return error
  return new ServiceError('member-not-found', `group ${groupId} has no member ${memberId}`)
}
