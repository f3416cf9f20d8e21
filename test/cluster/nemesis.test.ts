/**
 * Clients at work on a cluster while its parts are killed, stopped and cut off, by a seed: nothing that
 * was acknowledged is lost, nothing doubled, every answer true. `CLUSTER_SOAK_SECONDS` goes on for
 * longer; `CLUSTER_STRIKES` names the strikes to choose from.
 */
import process from 'node:process'
import { afterEach, expect, it } from 'vitest'
import { ClusterLoad } from '../support/cluster-load.ts'
import { CurlewCluster, clusterObstacle } from '../support/curlew-cluster.ts'
import { describeIfPossible } from '../support/describe-if-possible.ts'
import { History } from '../support/history-checker.ts'
import { STRIKES } from '../support/nemesis.ts'
import { seededRandom } from '../support/seeded-random.ts'
import { judge, shuffled, strikeOnce } from '../support/siege.ts'

const SOAK_MS = Number(process.env['CLUSTER_SOAK_SECONDS'] ?? 0) * 1_000
const ONLY = process.env['CLUSTER_STRIKES']?.split(',')
const TOPIC = 'contested'
const PARTITIONS = 6

describeIfPossible('nemesis', clusterObstacle(), () => {
  let cluster: CurlewCluster | undefined
  afterEach(() => cluster?.close())

  it(
    'costs no acknowledged record, doubles none, and no answer was untrue',
    async () => {
      const random = seededRandom('nemesis')
      const besieged = await CurlewCluster.start({ label: 'nemesis', random })
      cluster = besieged
      await besieged.ensureTopic(TOPIC, { partitions: PARTITIONS })
      const history = new History()
      const load = new ClusterLoad({
        urls: () => besieged.urls,
        topic: TOPIC,
        partitions: PARTITIONS,
        history,
        random,
        writers: 3,
        readers: 1,
        streams: 1,
      })
      const epochs = (await besieged.partitions(TOPIC)).map(({ leaderEpoch }) => leaderEpoch)
      const battle = { cluster: besieged, network: besieged.network, load, topic: TOPIC, random }
      const strikes = Object.entries(STRIKES).filter(([name]) => ONLY?.includes(name) ?? true)
      const endMs = performance.now() + SOAK_MS
      do {
        for (const [name, strike] of shuffled(strikes, random)) {
          await strikeOnce(name, strike, battle)
        }
      } while (performance.now() < endMs)
      expect(await judge(besieged, load, history, TOPIC, epochs)).toEqual([])
      expect(history.count('written')).toBeGreaterThan(strikes.length * 50)
    },
    400_000 + SOAK_MS * 2,
  )
})
