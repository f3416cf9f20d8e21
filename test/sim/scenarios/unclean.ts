/** An operator gives records up: the loss is what the chosen leader lacked, and nothing else. */
import type { SimNode } from '../sim-node.ts'
import { Hand } from './hand.ts'
import type { Scenario, Stage } from './scenario.ts'

const chosenByOperator: Scenario = {
  name: 'operator-chooses-a-replica-that-lacks-records',
  load: { readers: 2 },
  async play(stage) {
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 4; i++) await stage.written()
      await stage.until('all are in sync', () => stage.isAtRest())
      const [b, c] = stage.followers as [SimNode, SimNode]
      const a = stage.leader
      stage.down(c)
      await stage.until('one is out', () => !stage.record.isr.includes(c.id))
      const kept = stage.view(a)?.highWatermark ?? 0
      for (let i = 0; i < 5; i++) await stage.written()
      await stage.until('the group has read them', () => stage.group.hasReadAll)
      stage.check((await stage.chooseLeader(c)).startsWith('election-refused'), 'others are whole')
      stage.down(b)
      stage.down(a)
      await stage.upAndRunning(c)
      await stage.until('nobody leads', () => stage.record.leader === -1)
      stage.check((await stage.chooseLeader(c)) === 'done', 'the operator may choose')
      await stage.until('it leads', () => stage.view(c)?.leads === true)
      stage.check(stage.view(c)?.endOffset === kept, 'with what it has')
      stage.check(stage.record.unclean?.leaderEpoch === stage.record.leaderEpoch, 'it is noted')
      await stage.upAndRunning(a)
      for (let i = 0; i < 3 - round; i++) await stage.written()
      await stage.upAndRunning(b)
    }
  },
}

/** Where the group stood is given up: it goes on with what took the place of that, and is given nothing twice. */
const committedBefore: Scenario = {
  ...chosenByOperator,
  name: 'group-has-committed-what-is-given-up',
  commits: 'before',
}

const TWO = { replicationFactor: 2, minInsyncReplicas: 1 } as const

/** The node leads without the other one, and has written so many records since. */
async function alone(stage: Stage, node: SimNode, other: SimNode, records: number): Promise<void> {
  stage.down(other)
  await stage.upAndRunning(node)
  await stage.until('nobody leads, or it does', () => [-1, node.id].includes(stage.record.leader))
  if (stage.record.leader === -1) await stage.chooseLeader(node)
  await stage.until('it leads', () => stage.view(node)?.leads === true)
  for (let i = 0; i < records; i++) await stage.written()
}

/** The second node has led alone, and written more than the first one has since, which leads now. */
async function forked(stage: Stage): Promise<readonly [SimNode, SimNode]> {
  await stage.written()
  await stage.until('both are in sync', () => stage.isAtRest())
  const [a, b] = [stage.leader, stage.followers[0] as SimNode]
  await alone(stage, b, a, 7)
  await alone(stage, a, b, 1)
  return [a, b]
}

/** A fork that is shorter than what the leader has of an earlier epoch: only the own epochs say where it begins. */
const shortFork: Scenario = {
  name: 'fork-shorter-than-an-earlier-epoch',
  topic: TWO,
  async play(stage) {
    const [a, b] = await forked(stage)
    await alone(stage, b, a, 1)
    await stage.upAndRunning(a)
    await stage.until('both are in sync', () => stage.isAtRest())
  },
}

/** What is committed is of a later epoch than the records that come next, once an older history holds again. */
const olderHistory: Scenario = {
  name: 'group-goes-on-in-an-older-history',
  topic: TWO,
  async play(stage) {
    const [a, b] = await forked(stage)
    const hand = new Hand(stage)
    await hand.join()
    let { after } = (await hand.pollBefore(0)).selection
    stage.check((await hand.committed(0)) === 2, 'the group has the two records there are')
    await alone(stage, b, a, 0)
    for (let offset = 4; offset <= 8; offset += 2) {
      ;({ after } = (await hand.pollBefore(0, after.cursorOf())).selection)
      const committed = await hand.committed(0)
      stage.check(committed === offset, `${committed} is committed, not ${offset}`)
    }
    await stage.upAndRunning(a)
    await stage.until('both are in sync', () => stage.isAtRest())
  },
}

export const UNCLEAN: readonly Scenario[] = [
  chosenByOperator,
  committedBefore,
  shortFork,
  olderHistory,
]
