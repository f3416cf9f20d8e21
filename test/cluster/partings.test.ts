/** Packets between nodes, and between a node and etcd, are dropped by the kernel: nobody is told, in both directions or in one. */
import { afterEach, expect, it } from 'vitest'
import { ClusterLoad } from '../support/cluster-load.ts'
import { ClusterNamespaces, clusterNamespacesObstacle } from '../support/cluster-namespaces.ts'
import { CurlewCluster, clusterObstacle } from '../support/curlew-cluster.ts'
import { describeIfPossible } from '../support/describe-if-possible.ts'
import { History } from '../support/history-checker.ts'
import { PARTINGS } from '../support/nemesis.ts'
import { seededRandom } from '../support/seeded-random.ts'
import { judge, shuffled, strikeOnce } from '../support/siege.ts'

const TOPIC = 'parted'
const PARTITIONS = 6

describeIfPossible('dropped packets', clusterObstacle() ?? clusterNamespacesObstacle(), () => {
  let cluster: CurlewCluster | undefined
  let namespaces: ClusterNamespaces | undefined
  afterEach(async () => {
    await cluster?.close()
    namespaces?.remove()
  })

  it('cost no acknowledged record, double none, and no answer was untrue', async () => {
    const random = seededRandom('dropped packets')
    const network = new ClusterNamespaces([1, 2, 3])
    namespaces = network
    const parted = await CurlewCluster.start({ label: 'partings', random, namespaces })
    cluster = parted
    await parted.ensureTopic(TOPIC, { partitions: PARTITIONS })
    const history = new History()
    const load = new ClusterLoad({
      urls: () => parted.urls,
      topic: TOPIC,
      partitions: PARTITIONS,
      history,
      random,
      writers: 3,
      readers: 1,
      streams: 1,
    })
    const epochs = (await parted.partitions(TOPIC)).map(({ leaderEpoch }) => leaderEpoch)
    for (const [name, strike] of shuffled(Object.entries(PARTINGS), random)) {
      await strikeOnce(name, strike, { cluster: parted, network, load, topic: TOPIC, random })
    }
    expect(await judge(parted, load, history, TOPIC, epochs)).toEqual([])
    expect(history.count('written')).toBeGreaterThan(300)
  }, 300_000)
})
