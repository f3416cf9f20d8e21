/**
 * The coordinators of groups as a front uses them: finds the one of a group in the metadata, and asks
 * again where it was not ready, within the time of its caller. A call of which nobody knows whether it
 * was carried out is made again only if that changes nothing.
 */
import type { GroupId, GroupSettings } from '../../core/group-settings.ts'
import { OFFSETS_TOPIC, partitionOfGroup } from '../../core/internal-topics.ts'
import type { Clock } from '../../env/clock.ts'
import { ServiceError } from '../../lib/service-error.ts'
import type { MetadataView, TopicImage } from '../../metadata/metadata-image.ts'
import type {
  GroupCall,
  GroupCallKind,
  GroupCoordinators,
  GroupReply,
} from '../../wire/group-calls.ts'
import { isRepeatable } from '../../wire/group-calls.ts'
import type {
  AwaitChange,
  CommitOffsets,
  CommitOutcome,
  CommittedOffset,
  GroupDescription,
  GroupPage,
  GroupService,
  Heartbeat,
  JoinedMember,
  JoinGroup,
  LeaveGroup,
  MemberView,
  ReleasePartitions,
  StartAt,
  ViewMember,
} from '../../wire/groups.ts'
import { imageChange } from '../image-change.ts'
import type { TopicAdmin } from '../topic-admin.ts'

export interface CoordinatorClientDeps {
  readonly clock: Clock
  readonly metadata: MetadataView
  readonly topics: Pick<TopicAdmin, 'ensureInternal'>
  readonly coordinators: GroupCoordinators
}

export interface CoordinatorClientOptions {
  /** Of the internal topic, if it has to be made. */
  readonly partitions: number
  /** How long a coordinator is looked for that is ready; 10 s. */
  readonly patienceMs?: number
}

const PATIENCE_MS = 10_000
/** The longest pause before a coordinator is asked again. */
const RETRY_MS = 100

export class CoordinatorClient implements GroupService {
  readonly #deps: CoordinatorClientDeps
  readonly #partitions: number
  readonly #patienceMs: number

  constructor(
    deps: CoordinatorClientDeps,
    { partitions, patienceMs = PATIENCE_MS }: CoordinatorClientOptions,
  ) {
    this.#deps = deps
    this.#partitions = partitions
    this.#patienceMs = patienceMs
  }

  join(command: JoinGroup, signal: AbortSignal): Promise<JoinedMember> {
    return this.#make('join', command, signal)
  }

  heartbeat(command: Heartbeat, signal: AbortSignal): Promise<MemberView> {
    return this.#ask('heartbeat', command, signal)
  }

  release(command: ReleasePartitions, signal: AbortSignal): Promise<MemberView> {
    return this.#ask('release', command, signal)
  }

  async leave(command: LeaveGroup, signal: AbortSignal): Promise<void> {
    if (this.#topic !== undefined) await this.#ask('leave', command, signal)
  }

  view(command: ViewMember, signal: AbortSignal): Promise<MemberView> {
    return this.#ask('view', command, signal)
  }

  awaitChange(command: AwaitChange, signal: AbortSignal): Promise<MemberView> {
    return this.#ask('awaitChange', command, signal)
  }

  async startAt(command: StartAt, signal: AbortSignal): Promise<void> {
    await this.#ask('startAt', command, signal)
  }

  commit(command: CommitOffsets, signal: AbortSignal): Promise<readonly CommitOutcome[]> {
    return this.#make('commit', command, signal)
  }

  reset(
    command: Pick<CommitOffsets, 'groupId' | 'offsets'>,
    signal: AbortSignal,
  ): Promise<readonly CommitOutcome[]> {
    return this.#make('reset', command, signal)
  }

  async offsets(groupId: GroupId, signal: AbortSignal): Promise<CommittedOffset[]> {
    return [...(await this.#ask('offsets', { groupId }, signal))]
  }

  describe(groupId: GroupId, signal: AbortSignal): Promise<GroupDescription> {
    return this.#ask('describe', { groupId }, signal)
  }

  async list(after: string, limit: number, signal: AbortSignal): Promise<GroupPage> {
    const partitions = this.#topic?.partitions.length ?? 0
    const call = { kind: 'list', command: { after, limit } } as const
    const pages = await Promise.all(
      Array.from({ length: partitions }, (_, partition) => this.#call(partition, call, signal)),
    )
    const groups = pages
      .flatMap((page) => page.groups)
      .sort((a, b) => (a.groupId < b.groupId ? -1 : 1))
    const more = groups.length > limit || pages.some((page) => page.more)
    return { groups: groups.slice(0, limit), more }
  }

  change(
    groupId: GroupId,
    settings: Partial<GroupSettings>,
    signal: AbortSignal,
  ): Promise<GroupDescription> {
    return this.#ask('change', { groupId, settings }, signal)
  }

  async remove(groupId: GroupId, signal: AbortSignal): Promise<void> {
    await this.#ask('remove', { groupId }, signal)
  }

  get #topic(): TopicImage | undefined {
    return this.#deps.metadata.image.topics.get(OFFSETS_TOPIC)
  }

  /** A call that may make the group: the first one of all makes the internal topic, too. */
  #make<K extends 'join' | 'commit' | 'reset'>(
    kind: K,
    command: GroupCall<K>['command'],
    signal: AbortSignal,
  ): Promise<GroupReply<K>> {
    if (this.#topic !== undefined) return this.#ask(kind, command, signal)
    return this.#deps.topics
      .ensureInternal(OFFSETS_TOPIC, this.#partitions, signal)
      .then(() => this.#ask(kind, command, signal))
  }

  #ask<K extends Exclude<GroupCallKind, 'list'>>(
    kind: K,
    command: GroupCall<K>['command'],
    signal: AbortSignal,
  ): Promise<GroupReply<K>> {
    const { groupId } = command
    const topic = this.#topic
    if (topic === undefined) {
      const detail = `group ${groupId} does not exist`
      return Promise.reject(new ServiceError('group-not-found', detail))
    }
    const partition = partitionOfGroup(groupId, topic.partitions.length)
    return this.#call(partition, { kind, command } as GroupCall<K>, signal)
  }

  async #call<K extends GroupCallKind>(
    partition: number,
    call: GroupCall<K>,
    signal: AbortSignal,
  ): Promise<GroupReply<K>> {
    const { clock, coordinators } = this.#deps
    const endMs = clock.monotonicMs() + this.#patienceMs
    for (;;) {
      try {
        return await coordinators.call(partition, call, signal)
      } catch (error) {
        const leftMs = endMs - clock.monotonicMs()
        if (signal.aborted || leftMs <= 0 || !mayTryAgain(error, call.kind)) throw error
        await imageChange(this.#deps, Math.min(leftMs, RETRY_MS), signal)
      }
    }
  }
}

/** Nothing was done and another coordinator may do it, or doing it twice is doing it once. */
function mayTryAgain(error: unknown, kind: GroupCallKind): boolean {
  if (!(error instanceof ServiceError)) return false
  const { code, committed } = error
  if (code === 'outcome-unknown') return isRepeatable(kind)
  if (committed !== 'no') return false
  return code === 'coordinator-loading' || code === 'partition-unavailable' || code === 'draining'
}
