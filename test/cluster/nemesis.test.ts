/**
 * Clients at work on a cluster while its parts are killed, stopped and cut off, by a seed: nothing that
 * was acknowledged is lost, nothing doubled, every answer true. `CLUSTER_SOAK_SECONDS` goes on for longer.
 */
import process from 'node:process'
import { afterEach, describe, expect, it } from 'vitest'
import { ClusterLoad } from '../support/cluster-load.ts'
import { CurlewCluster, clusterObstacle } from '../support/curlew-cluster.ts'
import { History } from '../support/history-checker.ts'
import type { Battle } from '../support/nemesis.ts'
import { STRIKES } from '../support/nemesis.ts'
import type { SeededRandom } from '../support/seeded-random.ts'
import { seededRandom } from '../support/seeded-random.ts'

const SOAK_MS = Number(process.env['CLUSTER_SOAK_SECONDS'] ?? 0) * 1_000
/** Only these, by name; all by default. */
const ONLY = process.env['CLUSTER_STRIKES']?.split(',')
const TOPIC = 'contested'
const PARTITIONS = 6
const BETWEEN = 10

const obstacle = clusterObstacle()

function shuffled(names: readonly string[], random: SeededRandom): string[] {
  return names
    .map((name) => ({ name, rank: random.float() }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ name }) => name)
}

async function strike(name: string, battle: Battle): Promise<void> {
  const { cluster, load, topic } = battle
  const startedMs = performance.now()
  const before = load.acknowledged
  try {
    await STRIKES[name]?.(battle)
    await cluster.untilWhole([topic])
    await load.progress(BETWEEN, 'all is well again')
  } catch (error) {
    throw new Error(`${name}: ${String(error)}\n${cluster.story()}`, { cause: error })
  }
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1)
  console.info(`${name}: ${seconds} s, ${load.acknowledged - before} requests acknowledged`)
}

if (obstacle !== undefined) {
  console.warn(`clusters are not tested: ${obstacle}`)
  it('has said why clusters are not tested', () => {
    expect(obstacle).toMatch(/\S/)
  })
} else {
  describe('nemesis', () => {
    let cluster: CurlewCluster | undefined
    afterEach(() => cluster?.close())

    it(
      'costs no acknowledged record, doubles none, and no answer was untrue',
      async () => {
        const random = seededRandom('nemesis')
        cluster = await CurlewCluster.start({ label: 'nemesis', random })
        await cluster.ensureTopic(TOPIC, { partitions: PARTITIONS })
        const history = new History()
        const { urls } = cluster
        expect(urls).toHaveLength(2)
        const load = new ClusterLoad({
          urls: () => cluster?.urls ?? [],
          topic: TOPIC,
          partitions: PARTITIONS,
          history,
          random,
          writers: 3,
          readers: 1,
          streams: 1,
        })
        const epochs = await cluster.partitions(TOPIC)
        const endMs = performance.now() + SOAK_MS
        do {
          const names = ONLY ?? Object.keys(STRIKES)
          for (const name of shuffled(names, random)) {
            await strike(name, { cluster, load, topic: TOPIC, random })
          }
        } while (performance.now() < endMs)
        const after = await cluster.partitions(TOPIC)
        const failedOver = (partition: number) =>
          after[partition]?.leaderEpoch !== epochs[partition]?.leaderEpoch
        const anomalies = await load.anomalies(failedOver)
        console.info(
          `written ${history.count('written')}, refused ${history.count('refused')}, unknown ${history.count('unknown')}; ${JSON.stringify(Object.fromEntries(load.refusals))}`,
        )
        expect(anomalies.slice(0, 20)).toEqual([])
        expect(history.count('written')).toBeGreaterThan(1_000)
      },
      400_000 + SOAK_MS * 2,
    )
  })
}
