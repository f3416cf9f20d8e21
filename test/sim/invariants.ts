/** What must hold of a cluster at every moment, looked at while it runs. */
import type { TopicId, TopicName } from '../../src/core/ids.ts'
import { parseMetadataKey } from '../../src/metadata/metadata-keys.ts'
import type { PartitionRecord, TopicRecord } from '../../src/metadata/metadata-records.ts'
import { decodePartition, decodeTopic } from '../../src/metadata/metadata-records.ts'
import type { ReplicaView } from './cluster-code.ts'
import { PartitionOracle } from './partition-oracle.ts'
import type { SimNode } from './sim-node.ts'
import type { Commit } from './sim-store.ts'
import type { SimWorld } from './sim-world.ts'
import { brokenRules } from './store-rules.ts'

interface KnownTopic extends TopicRecord {
  readonly name: TopicName
}

export class Invariants {
  readonly violations: string[] = []
  /** Nodes whose disk lost something that the cluster may still count on. */
  readonly lossy = new Set<number>()
  readonly #world: SimWorld
  readonly #nodes: readonly SimNode[]
  readonly #oracles = new Map<string, PartitionOracle>()
  readonly #records = new Map<string, PartitionRecord>()
  readonly #topics = new Map<TopicId, KnownTopic>()
  readonly #failovers = new Map<string, number>()

  constructor(world: SimWorld, nodes: readonly SimNode[]) {
    this.#world = world
    this.#nodes = nodes
    world.store.onCommit = (commit) => this.#committed(commit)
    for (const node of nodes) {
      // Once it is registered, the cluster knows what it has.
      node.onUp = () => this.lossy.delete(node.id)
    }
  }

  violation(text: string): void {
    if (this.violations.includes(text)) return
    this.violations.push(text)
    this.#world.trace.add('CHECK', `VIOLATION ${text}`)
  }

  /** How often another node, or the same anew, was made leader. */
  failovers(topicId: TopicId, partition: number): number {
    return this.#failovers.get(`${topicId}/${partition}`) ?? 0
  }

  record(topicId: TopicId, partition: number): PartitionRecord | undefined {
    return this.#records.get(`${topicId}/${partition}`)
  }

  /** Of all partitions of topics. */
  *partitions(): Iterable<{
    topic: KnownTopic
    partition: number
    record: PartitionRecord
    oracle: PartitionOracle
  }> {
    for (const [topicId, topic] of this.#topics) {
      for (let partition = 0; partition < topic.partitions; partition++) {
        const record = this.record(topicId, partition)
        if (record === undefined) continue
        yield { topic, partition, record, oracle: this.oracle(topicId, partition) }
      }
    }
  }

  oracle(topicId: TopicId, partition: number): PartitionOracle {
    const key = `${topicId}/${partition}`
    let oracle = this.#oracles.get(key)
    if (oracle === undefined) {
      const name = `${this.#topics.get(topicId)?.name ?? topicId}/${partition}`
      oracle = new PartitionOracle(name, (text) => this.violation(text))
      this.#oracles.set(key, oracle)
    }
    return oracle
  }

  /** A record was acknowledged as durable on all in-sync replicas. */
  acknowledged(topicId: TopicId, partition: number, offset: number): void {
    const oracle = this.oracle(topicId, partition)
    oracle.committedEnd = Math.max(oracle.committedEnd, offset + 1)
    this.look()
  }

  /** Looks at all replicas. */
  look(): void {
    for (const node of this.#nodes) {
      const life = `${node.name}#${node.lives}`
      for (const view of node.replicas()) {
        this.oracle(view.topicId, view.partition).look(life, view)
      }
    }
    for (const node of this.#nodes) {
      for (const view of node.replicas()) this.#checkHolds(node, view)
    }
  }

  /** Everything that may lead holds all that is committed. */
  #checkHolds(node: SimNode, view: ReplicaView): void {
    const record = this.record(view.topicId, view.partition)
    if (record === undefined || view.damaged) return
    if (!record.isr.includes(node.id) && !record.elr.includes(node.id)) return
    const { committedEnd, name } = this.oracle(view.topicId, view.partition)
    if (view.durableEnd < committedEnd) {
      this.violation(
        `${name}: ${node.name} may lead, but is durable to ${view.durableEnd} of ${committedEnd} committed`,
      )
    }
  }

  #committed({ change, before, author }: Commit): void {
    for (const { key, entry } of change.events) {
      const parsed = parseMetadataKey(key)
      if (parsed?.kind === 'topic') {
        if (entry !== undefined) {
          const topic = decodeTopic(entry.value)
          this.#topics.set(topic.topicId, { ...topic, name: parsed.name })
        }
      } else if (parsed?.kind === 'partition' && entry !== undefined) {
        const id = `${parsed.topicId}/${parsed.partition}`
        const after = decodePartition(entry.value)
        const old = before.get(key)
        this.#records.set(id, after)
        if (old !== undefined) {
          this.#changed(parsed.topicId, parsed.partition, decodePartition(old.value), after, author)
        }
      }
    }
    this.look()
  }

  #changed(
    topicId: TopicId,
    partition: number,
    before: PartitionRecord,
    after: PartitionRecord,
    author: string,
  ): void {
    const id = `${topicId}/${partition}`
    if (after.leaderEpoch !== before.leaderEpoch || after.leader !== before.leader) {
      this.#failovers.set(id, (this.#failovers.get(id) ?? 0) + 1)
    }
    const minInsyncReplicas = this.#topics.get(topicId)?.config.minInsyncReplicas ?? 1
    const { lossy } = this
    for (const rule of brokenRules({ before, after, minInsyncReplicas, author, lossy })) {
      const { name } = this.oracle(topicId, partition)
      const what = `${JSON.stringify(before)} -> ${JSON.stringify(after)} by ${author}`
      this.violation(`${name}: ${rule}: ${what}`)
    }
  }
}
