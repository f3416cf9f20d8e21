/** Members of one group come and go on a simulated cluster; when all is well again, they read everything. */
import { isReservedName } from '../../src/core/ids.ts'
import { SeededRandom } from '../../src/env/seeded-random.ts'
import type { StoredRecord } from '../support/history-checker.ts'
import type { GroupMemberDeps } from './group-member.ts'
import { GroupMember } from './group-member.ts'
import type { CommitWhen, GroupPlace } from './group-oracle.ts'
import { GroupOracle } from './group-oracle.ts'
import type { SimCluster } from './sim-cluster.ts'
import type { Workload } from './workload.ts'

export interface GroupOptions {
  readonly seed: number
  readonly topics: readonly string[]
  readonly members: number
  readonly commits: CommitWhen
  /** Longest pause of a member between two calls. */
  readonly pauseMs: number
}

/** In virtual time, and far above what it should take. */
const CATCH_UP_MS = 180_000
const SHORTEST_LIFE_MS = 5_000
const LIFE_MS = 30_000
const AWAY_MS = 2_000

export class GroupWorkload {
  readonly #cluster: SimCluster
  readonly #options: GroupOptions
  readonly #random: SeededRandom
  readonly #oracle: GroupOracle
  readonly #deps: GroupMemberDeps
  readonly #running: Promise<void>[] = []
  #isCalm: boolean = false
  #stopped: boolean = false

  constructor(cluster: SimCluster, workload: Workload, options: GroupOptions) {
    const { invariants, world } = cluster
    const violation = (text: string) => invariants.violation(`group: ${text}`)
    this.#cluster = cluster
    this.#options = options
    this.#random = new SeededRandom(options.seed + 0x6000_0000)
    this.#oracle = new GroupOracle(options.commits, {
      violation,
      boundsOf: (place) => this.#boundsOf(place),
      isForgotten: () => this.#isForgotten(),
    })
    this.#deps = {
      cluster,
      violation,
      random: this.#random,
      oracle: this.#oracle,
      topics: options.topics,
      onRecord: (topic, partition, offset, value) => {
        const record = { partition, offset, value }
        workload.histories.get(topic)?.read(record, world.clock.monotonicMs())
      },
    }
  }

  start(): void {
    for (let i = 0; i < this.#options.members; i++) this.#running.push(this.#live(`m${i}`))
  }

  get hasReadAll(): boolean {
    return this.#behind() === ''
  }

  /** Nothing fails any more: resolves when the group has read all that there is. */
  async finish(): Promise<void> {
    if (this.#options.members === 0) return
    this.#isCalm = true
    this.#oracle.looksAgain()
    try {
      await this.#cluster.until('the group has read all', CATCH_UP_MS, () => this.hasReadAll)
    } catch (error) {
      throw new Error(`${(error as Error).message}: ${this.#behind()}`, { cause: error })
    }
    this.#stopped = true
    await Promise.all(this.#running)
  }

  /** Holds what the members were given against the logs as they are in the end. */
  judge(final: ReadonlyMap<string, readonly StoredRecord[]>): void {
    this.#oracle.judge(final)
  }

  /** A partition that the group has not read to its end. */
  #behind(): string {
    for (const { topic, partition, record } of this.#cluster.invariants.partitions()) {
      if (isReservedName(topic.name)) continue
      const { topicId } = topic
      const leader = this.#cluster.nodes.find(({ id }) => id === record.leader)
      for (const view of leader?.running?.replicas() ?? []) {
        if (view.topicId !== topicId || view.partition !== partition || !view.leads) continue
        const { highWatermark, startOffset } = view
        // What was too old is not there to be read.
        const place = { topicId, topic: topic.name, partition }
        const read = Math.max(this.#oracle.doneTo(place), startOffset)
        if (read < highWatermark) return `${topic.name}/${partition} at ${read} of ${highWatermark}`
      }
    }
    return ''
  }

  async #live(name: string): Promise<void> {
    const { world } = this.#cluster
    const { pauseMs } = this.#options
    for (let life = 0; !this.#stopped; life++) {
      const member = new GroupMember(this.#deps, `${name}-${life}`)
      const until = this.#nowMs + SHORTEST_LIFE_MS + this.#random.float() * LIFE_MS
      while (!this.#stopped && (this.#isCalm || this.#nowMs < until)) {
        if (!(await member.step(this.#isCalm))) break
        await world.sleep(this.#random.float() * pauseMs)
      }
      await member.leave()
      await world.sleep(this.#random.float() * AWAY_MS)
    }
  }

  #boundsOf({ topicId, partition }: GroupPlace) {
    const { invariants } = this.#cluster
    const mayStartAt = invariants.mayStartAt(topicId, partition)
    const oracle = invariants.oracle(topicId, partition)
    const { shownEnd, isCompacted, deleteRetentionMs, uncleanElections } = oracle
    const forgetsDeletions = isCompacted && this.#nowMs > deleteRetentionMs
    const isReset = oracle.uncleanEpoch !== -1
    const isReturned = (at: number) =>
      uncleanElections.some(({ startOffset, endOffset }) => at >= startOffset && at < endOffset)
    return { mayStartAt, shownEnd, isCompacted, forgetsDeletions, isReset, isReturned }
  }

  #isForgotten(): boolean {
    for (const { topic, oracle } of this.#cluster.invariants.partitions()) {
      if (isReservedName(topic.name) && oracle.uncleanEpoch !== -1) return true
    }
    return false
  }

  get #nowMs(): number {
    return this.#cluster.world.clock.monotonicMs()
  }
}
