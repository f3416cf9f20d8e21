/** Groups whose commits come late, and coordinators that do not know, or do not know yet, what is committed. */
import type { Cursor } from '../../../src/wire/cursor.ts'
import type { SimNode } from '../sim-node.ts'
import { Hand } from './hand.ts'
import type { Scenario, Stage } from './scenario.ts'

/** The only member of a group that reads so many records. */
async function joined(stage: Stage, records = 6): Promise<Hand> {
  for (let i = 0; i < records; i++) await stage.written()
  const hand = new Hand(stage)
  await hand.join()
  return hand
}

/** Where it has read to when it commits for the first time. */
async function firstCommit(stage: Stage, hand: Hand, front = 0): Promise<Cursor> {
  const early = await hand.read(front, 2)
  stage.check(await hand.commit(front, early), 'the first commit is done')
  return early
}

const othersThan = (stage: Stage, one: SimNode): SimNode[] =>
  stage.cluster.nodes.filter((node) => node !== one)

/** A commit whose caller has given up arrives behind one that was answered since. */
const lateCommit: Scenario = {
  name: 'commit-comes-behind-a-later-one',
  fronts: 2,
  async play(stage) {
    const hand = await joined(stage)
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
    const hand = await joined(stage)
    const early = await firstCommit(stage, hand)
    const a = hand.coordinator as SimNode
    const others = othersThan(stage, a)
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
    const hand = await joined(stage)
    const early = await firstCommit(stage, hand, 1)
    const a = hand.coordinator as SimNode
    const others = othersThan(stage, a).map(({ name }) => name)
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

/** A coordinator whose disk is full has handed over, hears late of it, and is asked by a front that does too. */
const fullCoordinator: Scenario = {
  name: 'coordinator-with-a-full-disk-was-replaced',
  fronts: 2,
  async play(stage) {
    const hand = await joined(stage)
    const early = await firstCommit(stage, hand, 1)
    const a = hand.coordinator as SimNode
    const others = othersThan(stage, a).map(({ name }) => name)
    if (a.store !== undefined) a.store.faults.watchDelayMs = 30_000
    stage.network.partition(['f1'], [...others, 'f2'])
    a.disk.quotaBytes = 0
    await hand.otherCoordinator(a)
    stage.check(await hand.commit(1, await hand.read(1, 2, early)), 'the second commit is done')
    for (let i = 0; i < 3; i++) {
      const told = await hand.committed(0)
      stage.check(told === -1, `${told} is said to be committed by who does not know`)
    }
    a.disk.quotaBytes = Number.POSITIVE_INFINITY
    stage.network.heal()
    await stage.sleep(30_000)
    await stage.until('all are in sync', () => stage.record.isr.length === 3, 120_000)
    const told = await hand.committed(0)
    stage.check(told === 4, `${told} is said to be committed in the end, 4 is`)
  },
}

/** Nobody can be certain of a lease: groups go on. */
const storeAway: Scenario = {
  name: 'store-away-from-a-group',
  async play(stage) {
    const hand = await joined(stage, 12)
    const early = await firstCommit(stage, hand)
    for (const { store } of stage.cluster.nodes) if (store !== undefined) store.faults.away = true
    await stage.sleep(30_000)
    const told = await hand.committed(0)
    stage.check(told === 2, `${told} is said to be committed, 2 is`)
    let cursor = early
    for (let i = 0; i < 4; i++) {
      await hand.beat()
      cursor = await hand.read(0, 2, cursor)
      await stage.sleep(10_000)
    }
    stage.check(await hand.commit(0, cursor), 'a commit is done')
    const now = await hand.committed(0)
    stage.check(now === 10, `${now} is said to be committed, 10 is`)
    for (const { store } of stage.cluster.nodes) store?.heal()
  },
}

/** A poll that commits first is made twice at once, as by a client that did not wait: one of them delivers. */
const twicePolled: Scenario = {
  name: 'two-polls-commit-before-they-deliver',
  fronts: 2,
  async play(stage) {
    const hand = await joined(stage, 20)
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
    const hand = await joined(stage)
    const early = await firstCommit(stage, hand)
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

/** A member commits from before it lost a partition, which it has again meanwhile. */
const earlierOwnership: Scenario = {
  name: 'member-commits-from-an-earlier-ownership',
  topic: { partitions: 2 },
  async play(stage) {
    for (let i = 0; i < 6; i++) await stage.written()
    const [one, other] = [new Hand(stage, 'one'), new Hand(stage, 'other')]
    const isShared = async (mine: number, its: number) => {
      for (let n = 0; n < 50; n++) {
        const has = [await one.beat(), its === 0 ? 0 : await other.beat()]
        if (has[0] === mine && has[1] === its) return
        await stage.sleep(200)
      }
      throw new Error(`scene: the members do not have ${mine} and ${its}`)
    }
    await one.join()
    await isShared(2, 0)
    const old = await one.read(0, 2)
    await other.join()
    await isShared(1, 1)
    await other.leave()
    await isShared(2, 0)
    stage.check((await one.commit(0, old)) === false, 'what it had before is not its own')
    stage.check(await one.commit(0, await one.read(0, 2)), 'what it has now is')
  },
}

export const GROUPS: readonly Scenario[] = [
  twicePolled,
  lateCommit,
  uncertainCommit,
  pendingCommit,
  replacedCoordinator,
  fullCoordinator,
  storeAway,
  oldCursor,
  earlierOwnership,
]
