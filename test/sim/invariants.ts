/** What must hold of a cluster at every moment, looked at while it runs. */
import type { TopicId, TopicName } from '../../src/core/ids.ts'
import { isCompacted } from '../../src/core/topic.ts'
import { CONTROLLER_KEY, NODES_PREFIX, parseMetadataKey } from '../../src/metadata/metadata-keys.ts'
import type { PartitionRecord, TopicRecord } from '../../src/metadata/metadata-records.ts'
import { decodeNode, decodePartition, decodeTopic } from '../../src/metadata/metadata-records.ts'
import type { ReplicaView } from './cluster-code.ts'
import type { LastSeen } from './partition-oracle.ts'
import { PartitionOracle } from './partition-oracle.ts'
import type { SimNode } from './sim-node.ts'
import type { Commit } from './sim-store.ts'
import type { SimWorld } from './sim-world.ts'
import { brokenRules } from './store-rules.ts'

interface KnownTopic extends TopicRecord {
  readonly name: TopicName
}

interface KnownPartition {
  record: PartitionRecord | undefined
  oracle: PartitionOracle | undefined
  failovers: number
}

/** A replica, as it is at this moment. */
interface Sight {
  readonly node: SimNode
  readonly view: ReplicaView
  readonly oracle: PartitionOracle
  readonly record: PartitionRecord | undefined
}

const NOTHING: LastSeen = { endOffset: 0, durableEnd: 0, epochs: [] }

export class Invariants {
  readonly violations: string[] = []
  /** Nodes whose disk lost something that the cluster may still count on. */
  readonly lossy = new Set<number>()
  /** Nodes on whose disks bits turned over. */
  readonly decayed = new Set<number>()
  /** How far two wall clocks may be apart. */
  clocksApartMs = 0
  readonly #world: SimWorld
  readonly #nodes: readonly SimNode[]
  readonly #topics = new Map<TopicId, KnownTopic>()
  readonly #partitions = new Map<TopicId, KnownPartition[]>()

  constructor(world: SimWorld, nodes: readonly SimNode[]) {
    this.#world = world
    this.#nodes = nodes
    world.store.onCommit = (commit) => this.#committed(commit)
    for (const node of nodes) {
      // What it promised in its last moments counts.
      node.onEnding = () => this.look()
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
    return this.#known(topicId, partition).failovers
  }

  record(topicId: TopicId, partition: number): PartitionRecord | undefined {
    return this.#known(topicId, partition).record
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
    const known = this.#known(topicId, partition)
    if (known.oracle === undefined) {
      const name = `${this.#topics.get(topicId)?.name ?? topicId}/${partition}`
      known.oracle = new PartitionOracle(name, (text) => this.violation(text))
    }
    return known.oracle
  }

  /** A record was acknowledged as durable on all in-sync replicas. */
  acknowledged(topicId: TopicId, partition: number, offset: number, sentMs: number): void {
    const oracle = this.oracle(topicId, partition)
    // The answer may have been on its way while its record was given up.
    const { atMs = 0 } = oracle.uncleanElections.at(-1) ?? {}
    if (sentMs >= atMs) oracle.commitTo(offset + 1)
    this.look()
  }

  /** A client was told that all below is committed. */
  shown(topicId: TopicId, partition: number, endOffset: number): void {
    this.look()
    const { shownEnd, name } = this.oracle(topicId, partition)
    if (endOffset > shownEnd) {
      this.violation(`${name}: a reader was told of ${endOffset}, committed is ${shownEnd}`)
    }
  }

  /** Somebody asks for the records below to be deleted. */
  deleting(topicId: TopicId, partition: number, before: number): void {
    const oracle = this.oracle(topicId, partition)
    oracle.mayStartAt = Math.max(oracle.mayStartAt, before)
  }

  /** It was promised that the records below are gone. */
  deleted(topicId: TopicId, partition: number, before: number): void {
    const oracle = this.oracle(topicId, partition)
    oracle.deletedTo = Math.max(oracle.deletedTo, before)
    this.look()
  }

  /** Below it records may be gone. */
  mayStartAt(topicId: TopicId, partition: number): number {
    this.look()
    return this.oracle(topicId, partition).mayStartAt
  }

  /** Where readers may be told that a log starts. */
  latestStart(topicId: TopicId, partition: number): number {
    this.look()
    return this.oracle(topicId, partition).latestStart
  }

  /** Looks at all replicas. */
  look(): void {
    // A clock that is ahead removes records early.
    const nowMs = this.#world.clock.nowMs() + this.clocksApartMs
    const seen: Sight[] = []
    for (const node of this.#nodes) {
      const life = `${node.name}#${node.lives}`
      for (const view of node.replicas()) {
        const { topicId, partition, endOffset, durableEnd, epochs } = view
        const oracle = this.oracle(topicId, partition)
        const record = this.record(topicId, partition)
        if (view.leads) oracle.ledBy.add(node.id)
        if (oracle.ledBy.has(node.id)) oracle.ledStart = Math.max(oracle.ledStart, view.startOffset)
        oracle.lastSeen.set(node.id, { endOffset, durableEnd, epochs })
        oracle.look(life, view, record?.isr.includes(node.id) === true, nowMs)
        seen.push({ node, view, oracle, record })
      }
    }
    for (const sight of seen) {
      this.#checkStart(sight)
      this.#checkHolds(sight)
    }
  }

  #known(topicId: TopicId, partition: number): KnownPartition {
    let partitions = this.#partitions.get(topicId)
    if (partitions === undefined) {
      partitions = []
      this.#partitions.set(topicId, partitions)
    }
    partitions[partition] ??= { record: undefined, oracle: undefined, failovers: 0 }
    return partitions[partition]
  }

  /** Nobody removes what no leader has removed. */
  #checkStart({ node, view, oracle: { name, latestStart } }: Sight): void {
    if (view.damaged || view.startOffset <= latestStart) return
    const what = `the log of ${node.name} starts at ${view.startOffset}`
    this.violation(`${name}: ${what}, no leader's behind ${latestStart}`)
  }

  /** Everything that may lead holds all that is committed, and nothing that was deleted. */
  #checkHolds({ node, view, oracle: { committedEnd, deletedTo, name }, record }: Sight): void {
    if (record === undefined || view.damaged) return
    if (!record.isr.includes(node.id) && !record.elr.includes(node.id)) return
    if (view.startOffset < deletedTo) {
      this.violation(`${name}: ${node.name} may lead, but has what was deleted up to ${deletedTo}`)
    }
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
          for (let p = 0; p < topic.partitions; p++) {
            const oracle = this.oracle(topic.topicId, p)
            oracle.retention = topic.config
            oracle.isCompacted = isCompacted(topic.config)
            oracle.deleteRetentionMs = topic.config.deleteRetentionMs
          }
        }
      } else if (parsed?.kind === 'partition' && entry !== undefined) {
        const { topicId, partition } = parsed
        const after = decodePartition(entry.value)
        const old = before.get(key)
        this.#known(topicId, partition).record = after
        if (old === undefined) this.#checkRacks(`${topicId}/${partition}`, after)
        else this.#changed(topicId, partition, decodePartition(old.value), after, author)
      }
    }
    this.look()
  }

  /** Replicas are on as many racks as there are. */
  #checkRacks(name: string, { replicas }: PartitionRecord): void {
    const racks = this.#racks()
    const reached = new Set(replicas.map((id) => racks.get(id))).size
    const most = Math.min(replicas.length, new Set(racks.values()).size)
    if (reached < most) {
      this.violation(`${name}: replicas ${replicas} are on ${reached} racks of ${racks.size} nodes`)
    }
  }

  /** Of the nodes that are registered. */
  #racks(): Map<number, string> {
    const racks = new Map<number, string>()
    for (const { key, value } of this.#world.store.list(NODES_PREFIX).entries) {
      const parsed = parseMetadataKey(key)
      if (parsed?.kind === 'node') racks.set(parsed.nodeId, decodeNode(value).rack)
    }
    return racks
  }

  #electedUncleanly(topicId: TopicId, partition: number, after: PartitionRecord): void {
    // The process may have ended, with its registration still there.
    const oracle = this.oracle(topicId, partition)
    const seen = oracle.lastSeen.get(after.leader) ?? NOTHING
    oracle.electedUncleanly(after.leaderEpoch, this.#world.clock.monotonicMs(), seen)
  }

  #changed(
    topicId: TopicId,
    partition: number,
    before: PartitionRecord,
    after: PartitionRecord,
    author: string,
  ): void {
    if (after.leaderEpoch !== before.leaderEpoch || after.leader !== before.leader) {
      this.#known(topicId, partition).failovers++
    }
    const minInsyncReplicas = this.#topics.get(topicId)?.config.minInsyncReplicas ?? 1
    if (after.unclean?.leaderEpoch !== before.unclean?.leaderEpoch) {
      this.#electedUncleanly(topicId, partition, after)
    }
    const { lossy } = this
    const live = new Set(this.#racks().keys())
    const { nodeId } = JSON.parse(this.#world.store.get(CONTROLLER_KEY)?.value ?? '{}')
    const controller = `n${nodeId}`
    const change = { before, after, minInsyncReplicas, author, controller, lossy, live }
    for (const rule of brokenRules(change)) {
      const { name } = this.oracle(topicId, partition)
      const what = `${JSON.stringify(before)} -> ${JSON.stringify(after)} by ${author}`
      this.violation(`${name}: ${rule}: ${what}`)
    }
  }
}
