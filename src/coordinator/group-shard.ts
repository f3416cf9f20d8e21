/** The groups of one partition of the internal topic: finds the one that a call is for, and watches over their deadlines. */
import type { GroupId } from '../core/group-settings.ts'
import { DeadlineHeap } from '../lib/deadline-heap.ts'
import type { GroupCall, GroupReply } from '../wire/group-calls.ts'
import type { GroupPage } from '../wire/groups.ts'
import type { Member } from './group.ts'
import { Group } from './group.ts'
import type { Decision, GroupScene } from './group-decision.ts'
import { answer, groupNotFound, refuse } from './group-decision.ts'
import { expired } from './group-expiry.ts'
import { following } from './group-following.ts'
import { departure, heartbeat, join, leave, release, view } from './group-membership.ts'
import { commit, remove, reset, startAt } from './group-offsets.ts'
import type { GroupRecord } from './group-records.ts'
import { committedOffsets, groupDescription, groupSummary } from './group-views.ts'
import type { Moment, Shard } from './shard.ts'
import { TopicCatalogue } from './topic-catalogue.ts'

export interface GroupShardDeps {
  readonly nodeId: number
  /** The member's view is another one, or it is not in the group any more. */
  readonly onChange: (groupId: GroupId, memberId: string) => void
}

/** Groups of one partition: the rest of the work is spread over the other partitions. */
const GROUPS_MAX = 50_000
/** What one round of following yields before it lets others have their turn. */
const RECORDS_A_ROUND = 1_000
const SWEEP_INTERVAL_MS = 600_000
/** Whoever looks so late had no time for what members said meanwhile. */
const STALL_MS = 1_000
const NOTHING: readonly GroupRecord[] = []

export class GroupShard implements Shard<GroupCall, GroupReply, GroupRecord> {
  readonly #deps: GroupShardDeps
  readonly #catalogue = new TopicCatalogue()
  readonly #groups = new Map<string, Group>()
  #sorted: readonly string[] | undefined
  /** Groups from whose state something may follow. */
  readonly #open = new Set<Group>()
  /** Members whose session has not begun here. */
  readonly #unstarted = new Set<Member>()
  readonly #deadlines = new DeadlineHeap<Member | Group>()
  /** Of the turn that goes on, or of the last one. */
  #scene: GroupScene | undefined
  #monotonicMs = 0
  #sweep: Iterator<Group> | undefined
  #sweepAtMs: number | undefined
  #catalogueVersion = 0

  constructor(deps: GroupShardDeps) {
    this.#deps = deps
  }

  get nextDeadlineMs(): number {
    if (this.#open.size > 0 || this.#sweep !== undefined) return this.#monotonicMs
    return Math.min(this.#deadlines.firstMs, this.#sweepAtMs ?? Number.POSITIVE_INFINITY)
  }

  handle({ kind, command }: GroupCall, moment: Moment): Decision<GroupReply> {
    this.#look(moment)
    if (this.#scene?.moment !== moment) this.#scene = this.#sceneAt(moment)
    const scene = this.#scene
    switch (kind) {
      case 'join':
        return this.#mayAdd(command.groupId) ?? join(scene, command)
      case 'heartbeat':
        return heartbeat(scene, command)
      case 'release':
        return release(scene, command)
      case 'leave':
        return leave(scene, command)
      case 'view':
      case 'awaitChange':
        return view(scene, command)
      case 'startAt':
        return startAt(scene, command)
      case 'commit':
        return this.#mayAdd(command.groupId) ?? commit(scene, command)
      case 'reset':
        return this.#mayAdd(command.groupId) ?? reset(scene, command)
      case 'offsets':
        return this.#ofGroup(command, (group) => committedOffsets(group, this.#catalogue))
      case 'describe':
        return this.#ofGroup(command, (group) => this.#description(group))
      case 'list':
        return answer(() => this.#page(command.after, command.limit))
      case 'change':
        return this.#change(command)
      case 'remove':
        return remove(scene, command)
    }
  }

  follow(moment: Moment): readonly GroupRecord[] {
    this.#look(moment)
    this.#startSessions()
    const overdue = this.#overdue(moment)
    if (overdue.length > 0) return overdue
    const records: GroupRecord[] = []
    for (const group of this.#open) {
      this.#open.delete(group)
      const next = following(group, this.#catalogue, moment)
      if (next.waitUntilMs !== undefined) this.#deadlines.push(next.waitUntilMs, group)
      for (const record of next.records) records.push(record)
      if (records.length >= RECORDS_A_ROUND) return records
    }
    return records.length > 0 ? records : this.#swept(moment)
  }

  replay(record: GroupRecord): void {
    const { groupId } = record
    let group = this.#groups.get(groupId)
    if (group === undefined) {
      if (record.value === null) return
      group = new Group(groupId)
      this.#groups.set(groupId, group)
      this.#sorted = undefined
    }
    const member = group.replay(record)
    if (member !== undefined) this.#changed(member)
    if (group.isNothing) {
      this.#groups.delete(groupId)
      this.#open.delete(group)
      this.#sorted = undefined
    } else if (record.kind !== 'offset') {
      this.#open.add(group)
    }
  }

  close(): void {
    for (const group of this.#groups.values()) {
      for (const { groupId, memberId } of group.members.values()) {
        this.#deps.onChange(groupId, memberId)
      }
    }
  }

  #sceneAt(moment: Moment): GroupScene {
    return {
      moment,
      catalogue: this.#catalogue,
      nodeId: this.#deps.nodeId,
      find: (groupId) => this.#groups.get(groupId),
      renew: (member) => {
        member.sessionEndsMs = moment.monotonicMs + member.info.sessionTimeoutMs
      },
    }
  }

  /** What was changed since the last look concerns groups that nobody calls, too. */
  #look(moment: Moment): void {
    this.#monotonicMs = moment.monotonicMs
    this.#sweepAtMs ??= moment.monotonicMs + SWEEP_INTERVAL_MS
    this.#catalogue.follow(moment.image)
    if (this.#catalogueVersion === this.#catalogue.version) return
    this.#catalogueVersion = this.#catalogue.version
    for (const group of this.#groups.values()) this.#open.add(group)
  }

  #mayAdd(groupId: GroupId): Decision<never> | undefined {
    if (this.#groups.size < GROUPS_MAX || this.#groups.has(groupId)) return undefined
    return refuse('overloaded', `this coordinator has ${GROUPS_MAX} groups`, { limit: GROUPS_MAX })
  }

  #ofGroup<Reply>(
    { groupId }: { readonly groupId: string },
    reply: (group: Group) => Reply,
  ): Decision<Reply> {
    const group = this.#groups.get(groupId)
    return group === undefined ? groupNotFound(groupId) : answer(() => reply(group))
  }

  #description(group: Group) {
    return groupDescription(group, this.#deps.nodeId, this.#catalogue)
  }

  #change({
    groupId,
    settings,
  }: Extract<GroupCall, { kind: 'change' }>['command']): Decision<GroupReply> {
    const group = this.#groups.get(groupId)
    if (group?.value === undefined) return groupNotFound(groupId)
    const value = { ...group.value, ...settings }
    return { records: [{ kind: 'group', groupId, value }], reply: () => this.#description(group) }
  }

  #page(after: string, limit: number): GroupPage {
    this.#sorted ??= [...this.#groups.keys()].sort((a, b) => (a < b ? -1 : 1))
    const ids = this.#sorted.slice(firstBehind(this.#sorted, after))
    const groups = ids.slice(0, limit).map((id) => groupSummary(this.#groups.get(id) as Group))
    return { groups, more: ids.length > limit }
  }

  /** A member that is new, has changed or is gone. */
  #changed(member: Member): void {
    const { groupId, memberId, assignment, info } = member
    this.#deps.onChange(groupId, memberId)
    if (member.sessionEndsMs === undefined) {
      this.#unstarted.add(member)
      return
    }
    if (assignment.revoking.size === 0) member.revokeEndsMs = undefined
    else if (member.revokeEndsMs === undefined && !member.isFenced) {
      member.revokeEndsMs = this.#monotonicMs + info.rebalanceTimeoutMs
    }
    this.#watch(member)
  }

  /** Sessions begin anew on every coordinator, and so does the time to give something up. */
  #startSessions(): void {
    for (const member of this.#unstarted) {
      member.sessionEndsMs = this.#monotonicMs + member.info.sessionTimeoutMs
      if (member.assignment.revoking.size > 0) {
        member.revokeEndsMs = this.#monotonicMs + member.info.rebalanceTimeoutMs
      }
      this.#watch(member)
    }
    this.#unstarted.clear()
  }

  #watch(member: Member): void {
    const atMs = endOf(member)
    if (atMs >= member.watchedMs) return
    member.watchedMs = atMs
    this.#deadlines.push(atMs, member)
  }

  /** Members that were silent for too long are put out; those that did not give up what they were to are heard no more. */
  #overdue({ monotonicMs, nowMs }: Moment): readonly GroupRecord[] {
    if (this.#deadlines.firstMs > monotonicMs) return NOTHING
    const gone = new Map<Group, Set<Member>>()
    for (;;) {
      const deadline = this.#deadlines.takeDue(monotonicMs)
      if (deadline === undefined) break
      const { item: due, atMs } = deadline
      if (due instanceof Group) {
        if (this.#groups.get(due.id) === due) this.#open.add(due)
        continue
      }
      const group = this.#groups.get(due.groupId)
      if (group?.members.get(due.memberId) !== due || due.watchedMs !== atMs) continue
      due.watchedMs = Number.POSITIVE_INFINITY
      if (monotonicMs - atMs > STALL_MS) spare(due, monotonicMs)
      if (due.revokeEndsMs !== undefined && due.revokeEndsMs <= monotonicMs) fence(due)
      if (endOf(due) > monotonicMs) this.#watch(due)
      else gone.set(group, (gone.get(group) ?? new Set()).add(due))
    }
    return [...gone].flatMap(([group, members]) => departure(group, [...members], nowMs))
  }

  /** Looks at all groups from time to time for what is to be forgotten. */
  #swept({ monotonicMs, nowMs }: Moment): readonly GroupRecord[] {
    if (this.#sweep === undefined) {
      if (monotonicMs < (this.#sweepAtMs as number)) return []
      this.#sweepAtMs = monotonicMs + SWEEP_INTERVAL_MS
      this.#sweep = this.#groups.values()
    }
    const records: GroupRecord[] = []
    while (records.length < RECORDS_A_ROUND) {
      const { done, value: group } = this.#sweep.next()
      if (done === true) {
        this.#sweep = undefined
        break
      }
      for (const record of expired(group, nowMs)) records.push(record)
    }
    return records
  }
}

function endOf({ sessionEndsMs, revokeEndsMs }: Member): number {
  return Math.min(
    sessionEndsMs ?? Number.POSITIVE_INFINITY,
    revokeEndsMs ?? Number.POSITIVE_INFINITY,
  )
}

function fence(member: Member): void {
  member.isFenced = true
  member.revokeEndsMs = undefined
}

/** The member could not be heard: it gets the time that it takes to say something. */
function spare(member: Member, monotonicMs: number): void {
  const untilMs = monotonicMs + member.info.sessionTimeoutMs
  member.sessionEndsMs = Math.max(member.sessionEndsMs ?? 0, untilMs)
  if (member.revokeEndsMs !== undefined) {
    member.revokeEndsMs = Math.max(member.revokeEndsMs, untilMs)
  }
}

function firstBehind(ids: readonly string[], after: string): number {
  let [low, high] = [0, ids.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((ids[middle] as string) <= after) low = middle + 1
    else high = middle
  }
  return low
}
