/** Members of groups whose calls come late, or whose coordinator is not the one they think. */
import type { GroupId, MemberId } from '../../../src/core/group-settings.ts'
import type { TopicName } from '../../../src/core/ids.ts'
import { OFFSETS_TOPIC, partitionOfGroup } from '../../../src/core/internal-topics.ts'
import type { Groups } from '../../../src/front/groups/groups.ts'
import type { Cursor } from '../../../src/wire/cursor.ts'
import type { SimNode } from '../sim-node.ts'
import type { Scenario, Stage } from './scenario.ts'

const groupId = 'scene' as GroupId
const memberId = 'member' as MemberId
const NEVER = new AbortController().signal

/** One member of a group of its own, that a scene moves by hand. */
class Hand {
  readonly #stage: Stage
  #memberEpoch = 0

  constructor(stage: Stage) {
    this.#stage = stage
  }

  groups(front: number): Groups {
    const { running } = this.#stage.cluster.fronts[front] ?? {}
    if (running === undefined) throw new Error('scene: the front is down')
    return running.groups
  }

  /** The node that looks after the group. */
  get coordinator(): SimNode {
    const { cluster } = this.#stage
    const topic = cluster.front.metadata.image.topics.get(OFFSETS_TOPIC)
    if (topic === undefined) throw new Error('scene: there are no groups')
    const partition = partitionOfGroup(groupId, topic.partitions.length)
    return cluster.node(cluster.invariants.record(topic.id, partition)?.leader ?? -1)
  }

  async join(): Promise<void> {
    const joined = await this.groups(0).members.join(
      {
        groupId,
        memberId,
        subscription: { topics: ['t' as TopicName] },
        from: 'earliest',
        sessionTimeoutMs: 60_000,
        rebalanceTimeoutMs: 60_000,
      },
      NEVER,
    )
    this.#memberEpoch = joined.memberEpoch
  }

  /** Reads so many records from the cursor on. */
  async read(front: number, limit: number, cursor?: Cursor): Promise<Cursor> {
    const { memberEpoch } = this.#at
    const request = { groupId, memberId, memberEpoch, cursor, limit, maxBytes: 1_000, waitMs: 0 }
    const { view, after } = await this.groups(front).reader.read(request, NEVER)
    this.#memberEpoch = view.memberEpoch
    return after.cursorOf()
  }

  /** Whether nothing was refused. */
  async commit(front: number, cursor: Cursor, signal = NEVER): Promise<boolean> {
    const outcomes = await this.groups(front).offsets.commitCursor(this.#at, cursor, signal)
    return outcomes.every(({ error }) => error === undefined)
  }

  async committed(front: number): Promise<number> {
    const offsets = await this.groups(front).service.offsets(groupId, NEVER)
    return offsets[0]?.offset ?? -1
  }

  get #at() {
    return { groupId, memberId, memberEpoch: this.#memberEpoch }
  }
}

const lateCommit: Scenario = {
  name: 'commit-comes-behind-a-later-one',
  fronts: 2,
  async play(stage) {
    for (let i = 0; i < 6; i++) await stage.written()
    const hand = new Hand(stage)
    await hand.join()
    const early = await hand.read(0, 2)
    const { name } = hand.coordinator
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

export const GROUPS: readonly Scenario[] = [lateCommit]
