/** An operator gives records up: the loss is what the chosen leader lacked, and nothing else. */
import type { SimNode } from '../sim-node.ts'
import type { Scenario } from './scenario.ts'

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

/** A fork that is shorter than what the leader has of an earlier epoch: only the own epochs say where it begins. */
const shortFork: Scenario = {
  name: 'fork-shorter-than-an-earlier-epoch',
  topic: { replicationFactor: 2, minInsyncReplicas: 1 },
  async play(stage) {
    await stage.written()
    await stage.until('both are in sync', () => stage.isAtRest())
    const [a, b] = [stage.leader, stage.followers[0] as SimNode]
    const alone = async (node: SimNode, other: SimNode, records: number) => {
      stage.down(other)
      await stage.upAndRunning(node)
      await stage.until('nobody leads, or it does', () =>
        [-1, node.id].includes(stage.record.leader),
      )
      if (stage.record.leader === -1) await stage.chooseLeader(node)
      await stage.until('it leads', () => stage.view(node)?.leads === true)
      for (let i = 0; i < records; i++) await stage.written()
    }
    await alone(b, a, 7)
    await alone(a, b, 1)
    await alone(b, a, 1)
    await stage.upAndRunning(a)
    await stage.until('both are in sync', () => stage.isAtRest())
  },
}

export const UNCLEAN: readonly Scenario[] = [chosenByOperator, committedBefore, shortFork]
