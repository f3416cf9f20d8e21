/**
 * A GroupService that keeps groups in memory: enough of a coordinator for tests of the front. Members
 * get partitions in turn; one that moves is free once its owner has stopped reporting it.
 */
import type { GroupId, MemberId } from '../../src/core/group-settings.ts'
import { DEFAULT_GROUP_SETTINGS, heartbeatIntervalMs } from '../../src/core/group-settings.ts'
import type { Clock } from '../../src/env/clock.ts'
import type { ErrorCode } from '../../src/lib/service-error.ts'
import { ServiceError } from '../../src/lib/service-error.ts'
import type { MetadataView } from '../../src/metadata/metadata-image.ts'
import type {
  AssignedPartition,
  AwaitChange,
  CommitOffsets,
  CommitOutcome,
  CommittedOffset,
  GroupDescription,
  GroupService,
  Heartbeat,
  JoinedMember,
  JoinGroup,
  LeaveGroup,
  MemberAt,
  MemberView,
  OffsetToCommit,
  ReleasePartitions,
  StartAt,
  ViewMember,
} from '../../src/wire/groups.ts'
import type { PartitionPlace } from '../../src/wire/internal.ts'

interface Member {
  join: JoinGroup
  epoch: number
  version: number
  /** Since which epoch. */
  readonly owned: Map<string, number>
  revoking: Set<string>
  target: string[]
  renewals: number
}

interface Group {
  epoch: number
  readonly members: Map<MemberId, Member>
  readonly offsets: Map<string, OffsetToCommit>
  settings: typeof DEFAULT_GROUP_SETTINGS
}

const keyOf = ({ topicId, partition }: PartitionPlace): string => `${topicId} ${partition}`

export class FakeGroups implements GroupService {
  readonly #deps: { readonly metadata: MetadataView; readonly clock: Clock }
  readonly #groups = new Map<GroupId, Group>()
  readonly #wakes = new Set<() => void>()
  /** Every commit, as it was asked for. */
  readonly commits: CommitOffsets[] = []
  /** Called before each call is answered; a test makes it wait or fail. */
  before: (call: string) => Promise<void> | undefined = () => undefined

  constructor(deps: { readonly metadata: MetadataView; readonly clock: Clock }) {
    this.#deps = deps
  }

  /** How often the member has given a sign of life. */
  renewals(groupId: string, memberId: string): number {
    return this.#member({ groupId: groupId as GroupId, memberId: memberId as MemberId }).renewals
  }

  async join(command: JoinGroup): Promise<JoinedMember> {
    await this.before('join')
    const { groupId, memberId } = command
    const group = this.#groups.get(groupId) ?? this.#make(groupId)
    const known = group.members.get(memberId)
    if (known !== undefined) {
      known.join = command
      known.renewals++
      return { ...this.#view(group, memberId), created: false }
    }
    const member = { epoch: 0, version: 0, owned: new Map(), revoking: new Set<string>() }
    group.members.set(memberId, { ...member, join: command, target: [], renewals: 1 })
    this.#rebalance(group)
    return { ...this.#view(group, memberId), created: true }
  }

  async heartbeat(command: Heartbeat): Promise<MemberView> {
    await this.before('heartbeat')
    const member = this.#member(command)
    member.renewals++
    return this.#report(command)
  }

  async release(command: ReleasePartitions): Promise<MemberView> {
    await this.before('release')
    return this.#report(command)
  }

  async leave({ groupId, memberId }: LeaveGroup): Promise<void> {
    const group = this.#groups.get(groupId)
    if (group?.members.delete(memberId)) this.#rebalance(group)
  }

  async view(command: ViewMember): Promise<MemberView> {
    await this.before('view')
    const member = this.#member(command)
    if (command.renew === true) member.renewals++
    return this.#view(this.#group(command.groupId), command.memberId)
  }

  async awaitChange(command: AwaitChange, signal: AbortSignal): Promise<MemberView> {
    const { clock } = this.#deps
    const look = () => this.#view(this.#group(command.groupId), command.memberId)
    signal.throwIfAborted()
    if (this.#member(command).version !== command.version) return look()
    return await new Promise((resolve, reject) => {
      const settle = (give: () => void) => {
        timer.cancel()
        this.#wakes.delete(wake)
        signal.removeEventListener('abort', abort)
        give()
      }
      const wake = () => {
        try {
          const { version } = this.#member({ ...command, memberEpoch: undefined })
          if (version !== command.version) settle(() => resolve(look()))
        } catch (error) {
          settle(() => reject(error))
        }
      }
      const abort = () => settle(() => reject(signal.reason))
      const timer = clock.timer(command.waitMs, () => settle(() => resolve(look())))
      this.#wakes.add(wake)
      signal.addEventListener('abort', abort, { once: true })
    })
  }

  async startAt({ groupId, starts }: StartAt): Promise<void> {
    const group = this.#group(groupId)
    for (const start of starts) {
      const key = keyOf(start)
      if (!group.offsets.has(key)) group.offsets.set(key, start)
    }
  }

  async commit(command: CommitOffsets): Promise<CommitOutcome[]> {
    await this.before('commit')
    this.commits.push(command)
    const { groupId, memberId, memberEpoch, offsets } = command
    if (memberId === undefined) {
      const group = this.#groups.get(groupId) ?? this.#make(groupId)
      if (group.members.size > 0) throw new ServiceError('group-not-empty', 'it has members')
      return offsets.map((offset) => this.#set(group, offset))
    }
    const group = this.#group(groupId)
    const member = this.#member({ groupId, memberId })
    if ((memberEpoch ?? 0) > member.epoch) throw fenced()
    return offsets.map((offset) => {
      const since = member.owned.get(keyOf(offset))
      const isOwner = since !== undefined && since <= (memberEpoch ?? 0)
      if (!isOwner) return refused(offset, 'partition-not-owned')
      const { expectedOffset, ...rest } = offset
      const current = group.offsets.get(keyOf(offset))?.offset
      const isExpected = expectedOffset === undefined || expectedOffset === current
      return isExpected ? this.#set(group, rest) : refused(offset, 'offset-moved')
    })
  }

  async reset({ groupId, offsets }: Pick<CommitOffsets, 'groupId' | 'offsets'>) {
    return await this.commit({ groupId, offsets })
  }

  async offsets(groupId: GroupId): Promise<CommittedOffset[]> {
    const { topicsById } = this.#deps.metadata.image
    return [...this.#group(groupId).offsets.values()].map((offset) => {
      const topic = topicsById.get(offset.topicId)?.name
      return { ...offset, ...(topic && { topic }), committedAtMs: this.#deps.clock.nowMs() }
    })
  }

  async describe(groupId: GroupId): Promise<GroupDescription> {
    const group = this.#group(groupId)
    const members = [...group.members].map(([memberId, member]) => {
      const { join } = member
      const { assigned, revoking, memberEpoch } = this.#view(group, memberId)
      const { subscription, sessionTimeoutMs, rebalanceTimeoutMs } = join
      const settings = { subscription, sessionTimeoutMs, rebalanceTimeoutMs }
      return { memberId, memberEpoch, ...settings, away: false, assigned, revoking, target: [] }
    })
    const state = members.length === 0 ? ('empty' as const) : ('stable' as const)
    const rest = { state, groupEpoch: group.epoch, from: 'earliest' as const, coordinator: 1 }
    return { groupId, ...group.settings, ...rest, members }
  }

  async list(after: string, limit: number) {
    const names = [...this.#groups.keys()]
      .filter((name) => name > after)
      .toSorted((a, b) => (a < b ? -1 : 1))
    const groups = names.slice(0, limit).map((groupId) => {
      const members = this.#groups.get(groupId)?.members.size ?? 0
      return { groupId, state: members === 0 ? ('empty' as const) : ('stable' as const), members }
    })
    return { groups, more: names.length > limit }
  }

  async change(groupId: GroupId, settings: Partial<typeof DEFAULT_GROUP_SETTINGS>) {
    const group = this.#group(groupId)
    group.settings = { ...group.settings, ...settings }
    return await this.describe(groupId)
  }

  async remove(groupId: GroupId): Promise<void> {
    if (this.#group(groupId).members.size > 0) throw new ServiceError('group-not-empty', 'members')
    this.#groups.delete(groupId)
  }

  #make(groupId: GroupId): Group {
    const group = { epoch: 0, members: new Map(), offsets: new Map() }
    const made: Group = { ...group, settings: DEFAULT_GROUP_SETTINGS }
    this.#groups.set(groupId, made)
    return made
  }

  #group(groupId: GroupId): Group {
    const group = this.#groups.get(groupId)
    if (group === undefined) throw new ServiceError('group-not-found', `no group ${groupId}`)
    return group
  }

  #member({
    groupId,
    memberId,
    memberEpoch,
  }: Pick<MemberAt, 'groupId' | 'memberId'> & { memberEpoch?: number | undefined }): Member {
    const member = this.#group(groupId).members.get(memberId)
    if (member === undefined) throw new ServiceError('member-not-found', `no member ${memberId}`)
    const isKnown = memberEpoch === undefined || member.epoch - memberEpoch <= 1
    if (!isKnown || (memberEpoch ?? 0) > member.epoch) throw fenced()
    return member
  }

  #set(group: Group, offset: OffsetToCommit): CommitOutcome {
    group.offsets.set(keyOf(offset), offset)
    const { topicId, partition } = offset
    return { topicId, partition, ok: true }
  }

  #report({ groupId, memberId, memberEpoch, owned }: Heartbeat): MemberView {
    const group = this.#group(groupId)
    const member = this.#member({ groupId, memberId, memberEpoch })
    if (owned !== undefined) {
      const kept = new Set(owned.map(keyOf))
      const free = [...member.revoking].filter((key) => !kept.has(key))
      for (const key of free) {
        member.revoking.delete(key)
        member.owned.delete(key)
      }
      if (free.length > 0) {
        member.version++
        this.#reconcile(group)
      }
    }
    return this.#view(group, memberId)
  }

  /** Each partition of each topic to the members in turn. */
  #rebalance(group: Group): void {
    group.epoch++
    const { topics } = this.#deps.metadata.image
    const members = [...group.members.values()]
    for (const member of members) member.target = []
    let turn = 0
    for (const topic of topics.values()) {
      for (const [partition] of topic.partitions.entries()) {
        const readers = members.filter(({ join: { subscription } }) => {
          return 'topics' in subscription && subscription.topics.includes(topic.name)
        })
        readers[turn++ % readers.length]?.target.push(keyOf({ topicId: topic.id, partition }))
      }
    }
    this.#reconcile(group)
  }

  #reconcile(group: Group): void {
    for (const member of group.members.values()) {
      const before = stateOf(member)
      for (const key of member.owned.keys()) {
        if (!member.target.includes(key)) member.revoking.add(key)
      }
      if (member.revoking.size === 0) {
        member.epoch = group.epoch
        const taken = [...group.members.values()].flatMap(({ owned }) => [...owned.keys()])
        for (const key of member.target) {
          if (!taken.includes(key)) member.owned.set(key, member.epoch)
        }
      }
      if (stateOf(member) !== before) member.version++
    }
    for (const wake of [...this.#wakes]) wake()
  }

  #view(group: Group, memberId: MemberId): MemberView {
    const member = group.members.get(memberId)
    if (member === undefined) throw new ServiceError('member-not-found', `no member ${memberId}`)
    const { sessionTimeoutMs, rebalanceTimeoutMs, from } = member.join
    const assigned: AssignedPartition[] = []
    const revoking: AssignedPartition[] = []
    const unresolved: MemberView['unresolved'][number][] = []
    for (const [key, sinceEpoch] of member.owned) {
      const topic = [...this.#deps.metadata.image.topics.values()].find(({ id }) =>
        key.startsWith(id),
      )
      if (topic === undefined) continue
      const partition = Number(key.split(' ')[1])
      const place = { topicId: topic.id, topic: topic.name, partition }
      const committed = group.offsets.get(key)
      if (committed === undefined) unresolved.push({ ...place, at: from })
      else if (member.revoking.has(key)) revoking.push({ ...place, sinceEpoch, committed })
      else assigned.push({ ...place, sinceEpoch, committed })
    }
    return {
      memberId,
      memberEpoch: member.epoch,
      version: member.version,
      assigned,
      revoking,
      unresolved,
      heartbeatIntervalMs: heartbeatIntervalMs(sessionTimeoutMs),
      sessionTimeoutMs,
      rebalanceTimeoutMs,
    }
  }
}

function stateOf({ epoch, owned, revoking }: Member): string {
  return JSON.stringify([epoch, [...owned], [...revoking]])
}

function fenced(): ServiceError {
  return new ServiceError('member-fenced', 'the epoch is not the current one')
}

function refused(place: PartitionPlace, code: ErrorCode): CommitOutcome {
  const { topicId, partition } = place
  return { topicId, partition, ok: false, code, detail: code, committed: 'no' }
}
