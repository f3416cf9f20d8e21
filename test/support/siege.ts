/** A cluster under load and strikes, from the first record to the judgement. */
import type { ClusterLoad } from './cluster-load.ts'
import type { CurlewCluster } from './curlew-cluster.ts'
import type { History } from './history-checker.ts'
import type { Battle, Strike } from './nemesis.ts'
import type { SeededRandom } from './seeded-random.ts'

/** Records in each partition between two strikes. */
const BETWEEN = 10

export function shuffled<T>(items: readonly T[], random: SeededRandom): T[] {
  return items
    .map((item) => ({ item, rank: random.float() }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ item }) => item)
}

/** Strikes, and waits until all is as before. Rejects, with the story, when that takes too long. */
export async function strikeOnce(name: string, strike: Strike, battle: Battle): Promise<void> {
  const { cluster, load, topic } = battle
  const startedMs = performance.now()
  const before = load.acknowledged
  try {
    await strike(battle)
    await cluster.untilWhole([topic])
    await load.progress(BETWEEN, 'all is well again')
  } catch (error) {
    throw new Error(`${name}: ${String(error)}\n${cluster.story()}`, { cause: error })
  }
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1)
  console.info(`${name}: ${seconds} s, ${load.acknowledged - before} requests acknowledged`)
}

/** What clients were told that was not so. */
export async function judge(
  cluster: CurlewCluster,
  load: ClusterLoad,
  history: History,
  topic: string,
  epochsBefore: readonly number[],
): Promise<readonly string[]> {
  const after = await cluster.partitions(topic)
  const anomalies = await load.anomalies((p) => after[p]?.leaderEpoch !== epochsBefore[p])
  const refusals = JSON.stringify(Object.fromEntries(load.refusals))
  const counts = (['written', 'refused', 'unknown'] as const).map(
    (kind) => `${kind} ${history.count(kind)}`,
  )
  console.info(`${counts.join(', ')}; ${refusals}`)
  return anomalies.slice(0, 20)
}
