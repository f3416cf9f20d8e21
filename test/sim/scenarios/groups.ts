/** Groups whose commits come late, and coordinators that do not know, or do not know yet, what is committed. */
import type { GroupId, MemberId } from '../../../src/core/group-settings.ts'
import type { TopicName } from '../../../src/core/ids.ts'
import { OFFSETS_TOPIC, partitionOfGroup } from '../../../src/core/internal-topics.ts'
import type { PollAnswer } from '../../../src/front/groups/group-poll.ts'
import type { Groups } from '../../../src/front/groups/groups.ts'
import type { Cursor } from '../../../src/wire/cursor.ts'
import type { ReplicaView } from '../cluster-code.ts'
import type { SimNode } from '../sim-node.ts'
import type { Scenario, Stage } from './scenario.ts'

const groupId = 'scene' as GroupId
const PATIENCE_MS = 5_000
const NEVER = new AbortController().signal

/** One member of a group of its own, that a scene moves by hand. */
class Hand {
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

/** A commit whose caller has given up arrives behind one that was answered since. */
const lateCommit: Scenario = {
  name: 'commit-comes-behind-a-later-one',
  fronts: 2,
  async play(stage) {
    for (let i = 0; i < 6; i++) await stage.written()
    const hand = new Hand(stage)
    await hand.join()
    const early = await hand.read(0, 2)
    const { name } = hand.coordinator as SimNode
    stage.network.block('f1', name)
    const gone = new AbortController()
    const lost = hand.commit(0, early, gone.signal).catch(() => false)
    await stage.sleep(500)
    gone.abort(new Error('the client is gone'))
    stage.check((await lost) === false, 'nobody hears of the first commit')
    const later = await hand.read(1, 2, early)
    stage.check(await hand.commit(1, later), 'the later one is done')
    const committed = await hand.committed(1)
    stage.network.open(['f1'], [name])
    await stage.sleep(2_000)
    stage.check(committed === 4, `${committed} is committed`)
    const now = await hand.committed(1)
    stage.check(now === committed, `committed went back from ${committed} to ${now}`)
  },
}

/** A new coordinator has a commit that it does not know to be one, and cannot find out. */
const uncertainCommit: Scenario = {
  name: 'coordinator-begins-with-what-may-not-be-committed',
  async play(stage) {
    for (let i = 0; i < 6; i++) await stage.written()
    const hand = new Hand(stage)
    await hand.join()
    const early = await hand.read(0, 2)
    stage.check(await hand.commit(0, early), 'the first commit is done')
    const a = hand.coordinator as SimNode
    const others = stage.cluster.nodes.filter((node) => node !== a)
    const knows = (node: SimNode) => hand.view(node)?.highWatermark === hand.view(a)?.endOffset
    await stage.until('all know of it', () => others.every(knows))
    const before = hand.view(a)?.endOffset ?? 0
    const later = await hand.read(0, 2, early)
    const committing = hand.commit(0, later)
    const has = (node: SimNode) => (hand.view(node)?.durableEnd ?? 0) > before
    while (!others.every(has)) await stage.sleep(0.05)
    // They have it, say so, and do not hear that it is committed.
    for (const { name } of others) stage.network.block(a.name, name)
    stage.check(await committing, 'the second commit is done')
    const isUnaware = (node: SimNode) => (hand.view(node)?.highWatermark ?? 0) <= before
    stage.check(others.every(isUnaware), 'the others do not know that')
    const [b, c] = others as [SimNode, SimNode]
    stage.network.partition([b.name], [c.name])
    stage.down(a)
    await hand.otherCoordinator(a)
    for (let i = 0; i < 3; i++) {
      const told = await hand.committed(0)
      stage.check(told === -1 || told === 4, `${told} is said to be committed, 4 is`)
    }
    stage.network.heal()
    await stage.upAndRunning(a)
    await stage.until('all are in sync', () => stage.isAtRest())
    const told = await hand.committed(0)
    stage.check(told === 4, `${told} is said to be committed in the end, 4 is`)
  },
}

/** A coordinator that was replaced, and does not know, is asked by a front that knows no other. */
const replacedCoordinator: Scenario = {
  name: 'coordinator-that-was-replaced-is-asked',
  fronts: 2,
  async play(stage) {
    for (let i = 0; i < 6; i++) await stage.written()
    const hand = new Hand(stage)
    await hand.join()
    const early = await hand.read(1, 2)
    stage.check(await hand.commit(1, early), 'the first commit is done')
    const a = hand.coordinator as SimNode
    const others = stage.cluster.nodes.filter((node) => node !== a).map(({ name }) => name)
    stage.network.partition([a.name, 'f1'], [...others, 'f2'])
    if (a.store !== undefined) a.store.faults.away = true
    await hand.otherCoordinator(a)
    stage.check(await hand.commit(1, await hand.read(1, 2, early)), 'the second commit is done')
    for (let i = 0; i < 3; i++) {
      const told = await hand.committed(0)
      stage.check(told === -1, `${told} is said to be committed by who does not know`)
    }
    a.store?.heal()
    stage.network.heal()
    await stage.until('all are in sync', () => stage.record.isr.length === 3, 120_000)
    const told = await hand.committed(0)
    stage.check(told === 4, `${told} is said to be committed in the end, 4 is`)
  },
}

/** A poll that commits first is made twice at once, as by a client that did not wait: one of them delivers. */
const twicePolled: Scenario = {
  name: 'two-polls-commit-before-they-deliver',
  fronts: 2,
  async play(stage) {
    for (let i = 0; i < 20; i++) await stage.written()
    const hand = new Hand(stage)
    await hand.join()
    await hand.read(0, 1)
    let cursor: Cursor | undefined
    let delivered = 0
    for (let round = 0; round < 5; round++) {
      const answers = await Promise.all([0, 1].map((front) => hand.pollBefore(front, cursor)))
      const [first] = answers.filter(({ selection }) => selection.records > 0)
      for (const { selection } of answers) delivered += selection.records
      cursor = first?.selection.after.cursorOf() ?? cursor
    }
    const committed = await hand.committed(0)
    stage.check(committed > 0, 'something was delivered')
    stage.check(delivered === committed, `${delivered} were delivered, ${committed} committed`)
  },
}

/** A coordinator that cannot commit any more is asked for what it has on its way. */
const pendingCommit: Scenario = {
  name: 'coordinator-is-asked-for-what-is-not-committed',
  async play(stage) {
    for (let i = 0; i < 6; i++) await stage.written()
    const hand = new Hand(stage)
    await hand.join()
    const early = await hand.read(0, 2)
    stage.check(await hand.commit(0, early), 'the first commit is done')
    const later = await hand.read(0, 2, early)
    const a = hand.coordinator as SimNode
    for (const node of stage.cluster.nodes) stage.network.block(a.name, node.name)
    const end = hand.view(a)?.endOffset ?? 0
    const lost = hand.commit(0, later).catch(() => false)
    await stage.until('it is on its way', () => (hand.view(a)?.endOffset ?? 0) > end, 1_000)
    const told = await hand.committed(0)
    stage.check(told === -1, `${told} is said to be committed while it is on its way`)
    stage.down(a)
    stage.network.heal()
    await hand.otherCoordinator(a)
    await stage.upAndRunning(a)
    await lost
  },
}

/** A member was out of the group while another one had its partition, and goes on with its old cursor. */
const oldCursor: Scenario = {
  name: 'member-comes-back-with-a-cursor-of-before',
  async play(stage) {
    for (let i = 0; i < 9; i++) await stage.written()
    const [one, other] = [new Hand(stage, 'one'), new Hand(stage, 'other')]
    await one.join()
    const old = await one.read(0, 2)
    await one.leave()
    await other.join()
    stage.check(await other.commit(0, await other.read(0, 5)), 'the other one reads on')
    await other.leave()
    await one.join()
    const [topic] = (await one.read(0, 1, old)).topics
    const offset = topic?.positions[0]?.offset
    stage.check(offset === 6, `it goes on to ${offset}, from where the other one was`)
  },
}

export const GROUPS: readonly Scenario[] = [
  twicePolled,
  lateCommit,
  uncertainCommit,
  pendingCommit,
  replacedCoordinator,
  oldCursor,
]
