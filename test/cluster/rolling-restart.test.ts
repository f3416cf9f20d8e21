/** Every node is told to stop and started again, one after the other, while clients are at work: a deploy. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { ClusterLoad } from '../support/cluster-load.ts'
import { CurlewCluster, clusterObstacle } from '../support/curlew-cluster.ts'
import { describeIfPossible } from '../support/describe-if-possible.ts'
import { History } from '../support/history-checker.ts'
import { seededRandom } from '../support/seeded-random.ts'

const TOPICS = ['while-nodes-restart', 'while-fronts-restart']
const PARTITIONS = 6

describeIfPossible('rolling restart', clusterObstacle(), () => {
  let cluster: CurlewCluster
  const random = seededRandom('rolling restart')

  beforeAll(async () => {
    cluster = await CurlewCluster.start({ label: 'rolling', random })
    for (const topic of TOPICS) await cluster.ensureTopic(topic, { partitions: PARTITIONS })
  })
  afterAll(() => cluster.close())

  const startLoad = (topic: string, history: History): ClusterLoad =>
    new ClusterLoad({
      urls: () => cluster.urls,
      topic,
      partitions: PARTITIONS,
      history,
      random,
      writers: 3,
      readers: 1,
      streams: 1,
    })

  const anomaliesOf = async (load: ClusterLoad): Promise<string[]> =>
    await load.anomalies(() => true).catch((error: unknown) => [`${error}\n${cluster.story()}`])

  it('of storage nodes: no write is lost, doubled, or of unknown outcome', async () => {
    const history = new History()
    const load = startLoad(TOPICS[0] ?? '', history)
    await load.progress(10, 'it begins')
    for (const node of cluster.nodes) {
      const startedMs = performance.now()
      expect(await node.stop()).toEqual({ code: 0, signal: null })
      const seconds = ((performance.now() - startedMs) / 1000).toFixed(1)
      console.info(`node ${node.nodeId} stopped in ${seconds} s`)
      await load.progress(10, `node ${node.nodeId} is stopped`)
      await node.start()
      await cluster.untilWhole(TOPICS)
    }
    await load.progress(10, 'all were restarted')
    expect(await anomaliesOf(load)).toEqual([])
    expect(load.doubts).toEqual(new Map())
    expect(load.refusals).toEqual(new Map())
    expect(history.count('unknown')).toBe(0)
    expect(history.count('written')).toBeGreaterThan(300)
  })

  it('of fronts: what they took they answer, and clients go on at the other one', async () => {
    const history = new History()
    const load = startLoad(TOPICS[1] ?? '', history)
    await load.progress(10, 'it begins')
    for (const index of cluster.fronts.keys()) {
      expect(await cluster.fronts[index]?.stop()).toEqual({ code: 0, signal: null })
      await load.progress(10, `front ${index} is stopped`)
      await cluster.startFront(index)
    }
    await load.progress(10, 'all were restarted')
    expect(await anomaliesOf(load)).toEqual([])
    expect(history.count('written')).toBeGreaterThan(200)
  })
})
