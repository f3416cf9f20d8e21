/** After all faults are over: the cluster comes to rest, takes writes again, and holds what it promised. */
import type { TopicId } from '../../src/core/ids.ts'
import { isReservedName } from '../../src/core/ids.ts'
import { batchBaseOffset, batchLastOffset, batchLeaderEpoch } from '../../src/core/record-batch.ts'
import type { PartitionRecord } from '../../src/metadata/metadata-records.ts'
import { recordsOf } from '../replication/replica-harness.ts'
import type { StoredRecord } from '../support/history-checker.ts'
import type { ReplicaView } from './cluster-code.ts'
import type { PartitionOracle } from './partition-oracle.ts'
import type { SimCluster } from './sim-cluster.ts'
import type { SimNode } from './sim-node.ts'
import { latestValues, simRecords } from './sim-records.ts'
import type { Workload } from './workload.ts'

/** All of these are in virtual time, and far above what it should take. */
const REST_MS = 120_000
const WRITE_MS = 60_000
const READ_MS = 60_000
const NEVER = new AbortController().signal

export class FinalCheck {
  readonly #cluster: SimCluster
  readonly #workload: Workload

  constructor(cluster: SimCluster, workload: Workload) {
    this.#cluster = cluster
    this.#workload = workload
  }

  /** What the logs hold in the end, by topic. */
  async run(): Promise<ReadonlyMap<string, readonly StoredRecord[]>> {
    const { invariants } = this.#cluster
    await this.#cluster.until('all are up', REST_MS, () =>
      [...this.#cluster.nodes, ...this.#cluster.fronts].every(({ running }) => running),
    )
    await this.#cluster.until('nobody stops', REST_MS, () =>
      this.#cluster.nodes.every(({ isStopping, running }) => running !== undefined && !isStopping),
    )
    await this.#rest()
    await this.#write()
    await this.#rest()
    invariants.look()
    await this.#compareReplicas()
    return await this.#judge()
  }

  /** Every partition has a leader, every replica is in sync, and all that is in a log is committed. */
  async #rest(): Promise<void> {
    const { invariants } = this.#cluster
    let why = ''
    const holds = () => {
      for (const { record, oracle } of invariants.partitions()) {
        const fault = this.#unrest(oracle.name, record)
        if (fault !== undefined) {
          why = fault
          return false
        }
      }
      return true
    }
    try {
      await this.#cluster.until('all is in sync', REST_MS, holds)
    } catch (error) {
      throw new Error(`${(error as Error).message}: ${why}`, { cause: error })
    }
  }

  #unrest(name: string, record: PartitionRecord): string | undefined {
    const text = JSON.stringify(record)
    if (record.leader === -1) return `${name} has no leader: ${text}`
    if (record.isr.length < record.replicas.length) return `${name} is not in sync: ${text}`
    const views = this.#views(name)
    const leader = views.find(({ node }) => node.id === record.leader)?.view
    if (leader === undefined || !leader.leads) return `${name}: n${record.leader} does not lead`
    if (leader.leaderEpoch !== record.leaderEpoch) return `${name} is led under another epoch`
    for (const { node, view } of views) {
      if (view.highWatermark !== leader.endOffset || view.endOffset !== leader.endOffset) {
        const where = `high watermark ${view.highWatermark}, end ${view.endOffset}`
        return `${name}: ${node.name} is at ${where}, the leader ends at ${leader.endOffset}`
      }
    }
    return views.length === record.replicas.length ? undefined : `${name} lacks replicas`
  }

  #views(name: string): { node: SimNode; view: ReplicaView }[] {
    const { invariants, nodes } = this.#cluster
    const views: { node: SimNode; view: ReplicaView }[] = []
    for (const node of nodes) {
      for (const view of node.replicas()) {
        if (invariants.oracle(view.topicId, view.partition).name === name)
          views.push({ node, view })
      }
    }
    return views
  }

  /** Every front can write to every partition again. */
  async #write(): Promise<void> {
    const { fronts, invariants } = this.#cluster
    for (const front of fronts) {
      const { running } = front
      if (running === undefined) throw new Error(`liveness: ${front.name} is not up`)
      for (const { topic, partition } of invariants.partitions()) {
        if (isReservedName(topic.name)) continue
        const image = running.metadata.image.topics.get(topic.name)
        if (image === undefined) throw new Error(`liveness: ${front.name} knows no ${topic.name}`)
        const writer = `last.${front.name}`
        const endMs = this.#cluster.world.clock.monotonicMs() + WRITE_MS
        for (let n = 0; ; n++) {
          const value = `${writer}.${topic.name}.${partition}.${n}`
          const kind = await this.#workload.send(running, image, writer, [value], -1, partition)
          if (kind === 'written') break
          if (this.#cluster.world.clock.monotonicMs() > endMs) {
            throw new Error(`liveness: ${front.name} cannot write to ${topic.name}/${partition}`)
          }
          await this.#cluster.world.sleep(200)
        }
      }
    }
  }

  /** Reads every replica from its disk and compares it with all that was seen. */
  async #compareReplicas(): Promise<void> {
    const { invariants, nodes } = this.#cluster
    const kept = new Map<PartitionOracle, Map<string, string>>()
    // Members of a group go on, and commit more while this is read.
    const all = nodes.flatMap((node) =>
      [...node.replicas()].map((view) => ({ name: node.name, view, to: view.highWatermark })),
    )
    for (const { name, view, to } of all) {
      const oracle = invariants.oracle(view.topicId, view.partition)
      const { batches, from } = await readFromStart(view, to)
      oracle.compare(`${name} at the end`, batches, to)
      let end = from
      for (const batch of batches) {
        if (batchBaseOffset(batch) > end) break
        end = batchLastOffset(batch) + 1
      }
      const records = recordsOf(batches, from).length
      const isWhole = end === to && (oracle.isCompacted || records === to - from)
      if (!isWhole) invariants.violation(`${oracle.name}: the log of ${name} has holes`)
      if (!oracle.isCompacted) continue
      // Where a deletion was cut short, not all of them have done it.
      const own = latestValues(batches, Math.max(from, oracle.mayStartAt))
      const others = kept.get(oracle) ?? own
      kept.set(oracle, others)
      for (const key of new Set([...own.keys(), ...others.keys()])) {
        if (own.get(key) === others.get(key)) continue
        invariants.violation(`${oracle.name}: ${name} has another last value of ${key}`)
      }
    }
  }

  async #judge(): Promise<ReadonlyMap<string, readonly StoredRecord[]>> {
    const { invariants } = this.#cluster
    const final = new Map<string, StoredRecord[]>()
    const ids = new Map<string, TopicId>()
    for (const { topic, partition } of invariants.partitions()) {
      ids.set(topic.name, topic.topicId)
      const records = final.get(topic.name) ?? []
      final.set(topic.name, records)
      records.push(...(await this.#readAll(topic.name, topic.topicId, partition)))
    }
    for (const [name, history] of this.#workload.histories) {
      const anomalies = history.anomalies(final.get(name) ?? [], {
        failedOver: (partition) => invariants.failovers(ids.get(name) as TopicId, partition) > 0,
        givenUp: ({ partition, offset }, atMs) =>
          invariants
            .oracle(ids.get(name) as TopicId, partition)
            .uncleanElections.some((one) => atMs < one.atMs && offset >= one.startOffset),
        deletedTo: (partition) => invariants.mayStartAt(ids.get(name) as TopicId, partition),
      })
      for (const anomaly of anomalies) invariants.violation(`${name}: ${anomaly}`)
    }
    return final
  }

  /** The loss by an election is what lies behind the start of its epoch, which is where the log of that leader ended. */
  #audit(oracle: PartitionOracle, batches: readonly Uint8Array[]): void {
    for (const batch of batches) {
      const offset = batchBaseOffset(batch)
      for (const election of oracle.uncleanElections) {
        if (batchLeaderEpoch(batch) < election.leaderEpoch) {
          // Who was chosen later may have had it still.
          const isLast = election === oracle.uncleanElections.at(-1)
          if (offset < election.endOffset || !isLast) continue
          const what = `${offset} is of an earlier epoch than ${election.leaderEpoch}`
          this.#cluster.invariants.violation(`${oracle.name}: ${what}, and was given up`)
        } else if (offset < election.durableEnd && !oracle.isGivenUpSince(election, offset)) {
          const what = `${offset} replaced what the leader of ${election.leaderEpoch} had`
          this.#cluster.invariants.violation(`${oracle.name}: ${what}`)
        } else election.startOffset = Math.min(election.startOffset, offset)
      }
    }
  }

  async #readAll(name: string, topicId: TopicId, partition: number): Promise<StoredRecord[]> {
    const { world, front, invariants } = this.#cluster
    const endMs = world.clock.monotonicMs() + READ_MS
    const { committedEnd } = invariants.oracle(topicId, partition)
    const records: StoredRecord[] = []
    const deleted = this.#workload.deletions.get(`${name}/${partition}`) ?? 0
    let offset = 0
    let lastEpoch = -1
    while (offset < committedEnd) {
      const [result] = await front.front.storage.fetch(
        {
          positions: [{ topicId, partition, offset, lastEpoch }],
          maxBytes: 1024 * 1024,
          waitMs: 1_000,
          isolation: 'committed',
        },
        NEVER,
      )
      if (result?.ok === true) {
        for (const record of simRecords(result.batches, offset))
          records.push({ partition, ...record })
        this.#audit(invariants.oracle(topicId, partition), result.batches)
        offset = result.nextOffset
        const last = result.batches.at(-1)
        if (last !== undefined) lastEpoch = batchLeaderEpoch(last)
      } else if (result?.code === 'cursor-expired') {
        // Retention goes on: what was read is gone by now.
        records.length = 0
        offset = Number(result.members?.['earliest'])
        if (!(offset <= invariants.mayStartAt(topicId, partition))) {
          invariants.violation(`${name}/${partition}: starts at ${offset} for no reason`)
        }
      } else if (world.clock.monotonicMs() > endMs) {
        const why = result === undefined ? 'nothing comes' : result.detail
        throw new Error(`liveness: ${offset} of ${committedEnd} cannot be read: ${why}`)
      } else await world.sleep(100)
    }
    const [first] = records
    if (first !== undefined && first.offset < deleted) {
      const where = `${name}/${partition}`
      invariants.violation(`${where}: ${first.offset} was deleted, up to ${deleted}, and is back`)
    }
    return records
  }
}

/** All that the replica has up to an offset; old records may go while it is read. */
async function readFromStart(
  view: ReplicaView,
  to: number,
): Promise<{ batches: readonly Uint8Array[]; from: number }> {
  for (;;) {
    const from = Math.min(view.startOffset, to)
    const batches = await view.read(from, to)
    if (Math.min(view.startOffset, to) === from) return { batches, from }
  }
}
