/** What a handler of groups works with, and how it answers. */
import type { MemberId } from '../core/group-settings.ts'
import { isCurrentEpoch } from '../core/member-assignment.ts'
import type { ErrorCode } from '../lib/service-error.ts'
import { ERRORS } from '../lib/service-error.ts'
import type { MemberAt } from '../wire/groups.ts'
import type { Refusal } from '../wire/internal.ts'
import type { Group, Member } from './group.ts'
import type { GroupRecord } from './group-records.ts'
import type { Handled, Moment } from './shard.ts'
import type { TopicCatalogue } from './topic-catalogue.ts'

export interface GroupScene {
  readonly moment: Moment
  readonly catalogue: TopicCatalogue
  /** Of this coordinator. */
  readonly nodeId: number
  find(groupId: string): Group | undefined
  /** A sign of life, which begins the session anew. */
  renew(member: Member): void
}

export type Decision<Reply> = Handled<GroupRecord, Reply>

export function refuse(
  code: ErrorCode,
  detail: string,
  members?: Readonly<Record<string, string | number>>,
): Refusal {
  const { committed } = ERRORS[code]
  return { ok: false, code, detail, committed, ...(members !== undefined && { members }) }
}

/** An answer that changes nothing. */
export function answer<Reply>(reply: () => Reply | Refusal): Decision<Reply> {
  return { records: [], reply }
}

export function groupNotFound(groupId: string): Refusal {
  return refuse('group-not-found', `group ${groupId} does not exist`)
}

/** The member as it is now, if it is meant. */
export function currentMember(
  scene: GroupScene,
  { groupId, memberId, memberEpoch }: MemberAt,
): { group: Group; member: Member } | Refusal {
  const group = scene.find(groupId)
  if (group === undefined) return groupNotFound(groupId)
  const member = group.members.get(memberId)
  if (member === undefined) return memberNotFound(groupId, memberId)
  return epochRefusal(member, memberEpoch) ?? { group, member }
}

export function memberNotFound(groupId: string, memberId: MemberId): Refusal {
  return refuse('member-not-found', `member ${memberId} is not in group ${groupId}`)
}

export function epochRefusal(
  { memberId, assignment, isFenced }: Member,
  memberEpoch: number,
): Refusal | undefined {
  if (isFenced) {
    const detail = `member ${memberId} did not give up in time what it was to`
    return refuse('member-fenced', detail, { action: 'rejoin' })
  }
  if (isCurrentEpoch(assignment, memberEpoch)) return undefined
  const detail = `member ${memberId} is at epoch ${assignment.memberEpoch}, not ${memberEpoch}`
  return refuse('member-fenced', detail, { action: 'rejoin' })
}
