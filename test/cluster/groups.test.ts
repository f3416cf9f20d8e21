/**
 * Six members share twelve partitions through both fronts while members, fronts and storage nodes are
 * killed, by polls and by streams: every record is processed, and, where offsets are committed first, none
 * of them twice.
 */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { ClusterLoad } from '../support/cluster-load.ts'
import { CurlewCluster, clusterObstacle } from '../support/curlew-cluster.ts'
import { describeIfPossible } from '../support/describe-if-possible.ts'
import { eventually } from '../support/eventually.ts'
import { GroupLoad } from '../support/group-load.ts'
import { History } from '../support/history-checker.ts'
import { call } from '../support/http-client.ts'
import { readTopic } from '../support/load.ts'
import { seededRandom } from '../support/seeded-random.ts'

const TOPIC = 'shared'
const PARTITIONS = 12
const MEMBERS = 6
const SOME = 60

describeIfPossible('groups of a cluster', clusterObstacle(), () => {
  const random = seededRandom('groups of a cluster')
  let cluster: CurlewCluster
  let groups: readonly GroupLoad[] = []

  beforeAll(async () => {
    cluster = await CurlewCluster.start({ label: 'groups', random })
    await cluster.ensureTopic(TOPIC, { partitions: PARTITIONS })
  })
  afterAll(async () => {
    await Promise.all(groups.map((group) => group.stop()))
    await cluster.close()
  })

  const progress = async (when: string): Promise<void> => {
    await Promise.all(groups.map((group) => group.progress(SOME, when)))
  }
  const describe = async (group: string) =>
    (await call(cluster.url, 'GET', `/v1/groups/${group}`)).json<{
      coordinator: number
      members: { assigned: { partitions: number[] }[] }[]
    }>()

  const blows: Readonly<Record<string, () => Promise<void>>> = {
    'a member is killed': async () => {
      for (const group of groups) await group.kill()
      await progress('a member of each is dead')
      for (const group of groups) group.join()
    },
    'a front is killed': async () => {
      await cluster.killFront(0)
      await progress('a front is dead')
      await cluster.startFront(0)
    },
    'the coordinator is killed': async () => {
      const victim = cluster.node((await describe('after')).coordinator)
      await victim.killHard()
      await progress('a coordinator is dead')
      await victim.start()
    },
    'a leader is stopped': async () => {
      const victim = cluster.node(await cluster.leaderOf(TOPIC, random.between(0, PARTITIONS)))
      await victim.stop()
      await progress('a leader is stopped')
      await victim.start()
    },
    'the other front is stopped, and two members are killed': async () => {
      await cluster.fronts[1]?.stop()
      for (const group of groups) await Promise.all([group.kill(), group.kill()])
      await progress('a front is stopped')
      await cluster.startFront(1)
      for (const group of groups) group.join(2)
    },
  }

  it('process every record, and none twice where offsets are committed first', async () => {
    const options = { urls: () => cluster.urls, topic: TOPIC, random }
    const after = new GroupLoad({ ...options, group: 'after', commit: 'after' })
    const before = new GroupLoad({ ...options, group: 'before', commit: 'before' })
    const followers = new GroupLoad({ ...options, group: 'followers', commit: 'reconnect' })
    groups = [after, before, followers]
    for (const group of groups) group.join(MEMBERS)
    const load = new ClusterLoad({
      urls: () => cluster.urls,
      topic: TOPIC,
      partitions: PARTITIONS,
      history: new History(),
      random,
      writers: 3,
      readers: 0,
      streams: 0,
    })
    for (const [name, blow] of Object.entries(blows)) {
      await progress(`before ${name}`)
      await blow()
      await cluster.untilWhole([TOPIC])
    }
    expect(await load.anomalies(() => true)).toEqual([])
    const stored = await readTopic(cluster.url, TOPIC)
    expect(stored.length).toBeGreaterThan(SOME * 10)
    for (const group of [after, followers]) {
      await eventually(`everything is processed`, () =>
        group.missed(stored).length === 0 ? true : undefined,
      )
    }
    await eventually('everything is delivered', async () => {
      const lag = (await call(cluster.url, 'GET', '/v1/groups/before/lag')).json<{
        records: number
      }>()
      return lag.records === 0 ? true : undefined
    })
    const owned = (await describe('after')).members.flatMap(({ assigned }) =>
      assigned.flatMap(({ partitions }) => partitions),
    )
    expect(owned.toSorted((a, b) => a - b)).toEqual(Array.from({ length: PARTITIONS }, (_, i) => i))
    console.info(
      `${stored.length} records; processed again: ${after.repeated.length} by polls, ${followers.repeated.length} by streams; given up: ${before.missed(stored).length}`,
      Object.fromEntries(after.refusals),
      Object.fromEntries(before.refusals),
    )
    expect(before.repeated).toEqual([])
  }, 400_000)
})
