/** All replicas that have everything are gone: what the one that is left holds is shown before it is made the leader. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { CurlewCluster, clusterObstacle } from '../support/curlew-cluster.ts'
import { describeIfPossible } from '../support/describe-if-possible.ts'
import { eventually } from '../support/eventually.ts'
import { call, callJson } from '../support/http-client.ts'
import { readTopic } from '../support/load.ts'

const TOPIC = 'left-behind'

interface Offline {
  readonly count: number
  readonly partitions: readonly {
    readonly topic: string
    readonly leader: number
    readonly replicas: readonly { readonly node: number; readonly logEndOffset?: number }[]
  }[]
}

describeIfPossible('a partition that nobody can lead', clusterObstacle(), () => {
  let cluster: CurlewCluster

  beforeAll(async () => {
    cluster = await CurlewCluster.start({ label: 'offline', storageArgs: ['--lease-ttl-ms=3s'] })
    await cluster.ensureTopic(TOPIC, { partitions: 1 })
  })
  afterAll(() => cluster.close())

  const publish = async (value: string): Promise<void> => {
    const path = `/v1/topics/${TOPIC}/publish`
    await eventually(`${value} is written`, async () => {
      return (await callJson(cluster.url, 'POST', path, value)).status === 201 || undefined
    })
  }
  const offline = async (): Promise<Offline> =>
    (await call(cluster.url, 'GET', '/v1/offline-partitions')).json<Offline>()
  const untilInSync = async (count: number): Promise<void> => {
    await eventually(`${count} are in sync`, async () => {
      const [state] = await cluster.partitions(TOPIC)
      return state?.isr.length === count || undefined
    })
  }

  it('shows what each replica has, and the one that is chosen leads with it', async () => {
    await publish('before')
    expect(await offline()).toEqual({ count: 0, partitions: [] })
    const leader = await cluster.leaderOf(TOPIC)
    const [behind, other] = [1, 2, 3].filter((id) => id !== leader) as [number, number]
    await cluster.node(behind).killHard()
    await untilInSync(2)
    await publish('without one')
    await cluster.node(other).killHard()
    await untilInSync(1)
    await cluster.node(leader).killHard()
    await cluster.node(behind).start()
    const shown = await eventually('it is offline', async () => {
      const found = await offline()
      const [first] = found.partitions
      return (first?.leader === -1 && first.replicas[0]?.node === behind && found) || undefined
    })
    expect(shown).toMatchObject({
      count: 1,
      partitions: [{ topic: TOPIC, replicas: [{ state: 'up', logEndOffset: 1 }, {}, {}] }],
    })
    const [{ replicas }] = shown.partitions as [Offline['partitions'][0]]
    expect(replicas.slice(1).map(({ logEndOffset }) => logEndOffset)).toEqual([
      undefined,
      undefined,
    ])
    const path = `/v1/topics/${TOPIC}/partitions/0/election`
    const choice = { node: behind, acceptDataLoss: true }
    expect((await callJson(cluster.url, 'POST', path, choice)).status).toBe(200)
    await eventually('it leads', async () => (await offline()).count === 0 || undefined)
    for (const node of [leader, other]) await cluster.node(node).start()
    await cluster.untilWhole([TOPIC])
    expect((await readTopic(cluster.url, TOPIC)).map(({ value }) => value)).toEqual(['before'])
  })
})
