/** A member of a group that scenes move by hand. */
import type { GroupId, MemberId } from '../../../src/core/group-settings.ts'
import type { TopicName } from '../../../src/core/ids.ts'
import { OFFSETS_TOPIC, partitionOfGroup } from '../../../src/core/internal-topics.ts'
import type { PollAnswer } from '../../../src/front/groups/group-poll.ts'
import type { Groups } from '../../../src/front/groups/groups.ts'
import type { Cursor } from '../../../src/wire/cursor.ts'
import type { ReplicaView } from '../cluster-code.ts'
import type { SimNode } from '../sim-node.ts'
import type { Stage } from './scenario.ts'

const groupId = 'scene' as GroupId
const PATIENCE_MS = 5_000
const NEVER = new AbortController().signal

export class Hand {
  readonly #stage: Stage
  readonly #memberId: MemberId
  #memberEpoch = 0

  constructor(stage: Stage, name = 'member') {
    this.#stage = stage
    this.#memberId = name as MemberId
  }

  groups(front: number): Groups {
    const { running } = this.#stage.cluster.fronts[front] ?? {}
    if (running === undefined) throw new Error('scene: the front is down')
    return running.groups
  }

  /** The node that looks after the group, while there is one. */
  get coordinator(): SimNode | undefined {
    const { cluster } = this.#stage
    const { topicId, partition } = this.#place
    const leader = cluster.invariants.record(topicId, partition)?.leader
    return cluster.nodes.find(({ id }) => id === leader)
  }

  /** A replica of what the group is kept in. */
  view(node: SimNode): ReplicaView | undefined {
    const { topicId, partition } = this.#place
    for (const view of node.replicas()) {
      if (view.topicId === topicId && view.partition === partition) return view
    }
    return undefined
  }

  /** Another node than this one looks after the group, and leads. */
  async otherCoordinator(before: SimNode): Promise<SimNode> {
    const isOther = () => {
      const { coordinator } = this
      return coordinator !== before && coordinator !== undefined && this.view(coordinator)?.leads
    }
    await this.#stage.until('another node looks after the group', () => isOther() === true)
    return this.coordinator as SimNode
  }

  async join(): Promise<void> {
    const joined = await this.groups(0).members.join(
      {
        groupId,
        memberId: this.#memberId,
        subscription: { topics: ['t' as TopicName] },
        from: 'earliest',
        sessionTimeoutMs: 60_000,
        rebalanceTimeoutMs: 60_000,
      },
      NEVER,
    )
    this.#memberEpoch = joined.memberEpoch
  }

  /** Says that it is alive and has stopped what it is to give up; gives how many partitions it has. */
  async beat(): Promise<number> {
    const { members } = this.groups(0)
    const told = await members.heartbeat(this.#at, NEVER)
    const view = told.revoking.length > 0 ? await members.giveUp(groupId, told, NEVER) : told
    this.#memberEpoch = view.memberEpoch
    return view.assigned.length
  }

  async leave(): Promise<void> {
    await this.groups(0).members.leave({ groupId, memberId: this.#memberId }, NEVER)
  }

  /** Reads so many records from the cursor on. */
  async read(front: number, limit: number, cursor?: Cursor): Promise<Cursor> {
    const request = { ...this.#at, cursor, limit, maxBytes: 1_000, waitMs: 0 }
    const { view, after } = await this.groups(front).reader.read(request, NEVER)
    this.#memberEpoch = view.memberEpoch
    return after.cursorOf()
  }

  /** Whether nothing was refused. */
  async commit(front: number, cursor: Cursor, signal = NEVER): Promise<boolean> {
    const outcomes = await this.groups(front).offsets.commitCursor(this.#at, cursor, signal)
    return outcomes.every(({ error }) => error === undefined)
  }

  /** Polls from the cursor, committing first. */
  async pollBefore(front: number, cursor?: Cursor): Promise<PollAnswer> {
    const reads = { ...this.#at, cursor, limit: 2, maxBytes: 1_000, waitMs: 0 }
    const request = { ...reads, commit: 'before', owned: undefined } as const
    return await this.groups(front).poll.run(request, NEVER)
  }

  /** What the front is told within some seconds; -1 if nobody says. */
  async committed(front: number): Promise<number> {
    const { world } = this.#stage
    const late = new AbortController()
    const timer = world.clock.timer(PATIENCE_MS, () => late.abort(new Error('nobody answers')))
    const asking = this.groups(front).service.offsets(groupId, late.signal)
    const offset = await asking.then(
      (offsets) => offsets[0]?.offset ?? 0,
      () => -1,
    )
    timer.cancel()
    return offset
  }

  get #place() {
    const topic = this.#stage.cluster.front.metadata.image.topics.get(OFFSETS_TOPIC)
    if (topic === undefined) throw new Error('scene: there are no groups')
    return { topicId: topic.id, partition: partitionOfGroup(groupId, topic.partitions.length) }
  }

  get #at() {
    return { groupId, memberId: this.#memberId, memberEpoch: this.#memberEpoch }
  }
}
