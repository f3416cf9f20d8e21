/** A scene with a name: a cluster that is brought, step by step, into a state that once lost records. */
import type { TopicSpec } from '../../../src/core/topic.ts'
import { ServiceError } from '../../../src/lib/service-error.ts'
import type { TopicImage } from '../../../src/metadata/metadata-image.ts'
import { partitionMetadataKey } from '../../../src/metadata/metadata-keys.ts'
import type { PartitionRecord } from '../../../src/metadata/metadata-records.ts'
import { encodePartition } from '../../../src/metadata/metadata-records.ts'
import type { Acks } from '../../../src/wire/internal.ts'
import type { Outcome } from '../../support/history-checker.ts'
import type { ClusterCode, ReplicaView } from '../cluster-code.ts'
import { FinalCheck } from '../final-check.ts'
import type { CommitWhen } from '../group-oracle.ts'
import { GroupWorkload } from '../group-workload.ts'
import { Nemesis } from '../nemesis.ts'
import { untilDone, watchedBy } from '../run-seed.ts'
import { SimCluster } from '../sim-cluster.ts'
import type { SimNode } from '../sim-node.ts'
import type { SimTrace } from '../sim-trace.ts'
import type { WorkloadOptions } from '../workload.ts'
import { Workload } from '../workload.ts'

export interface Scenario {
  readonly name: string
  readonly nodes?: number
  readonly fronts?: number
  /** Over how many racks the nodes are spread; each has its own if absent. */
  readonly racks?: number
  /** One topic `t`, three replicas, two of which must be in sync, unless said otherwise. */
  readonly topic?: TopicSpec
  readonly load?: Partial<WorkloadOptions>
  /** When the group that reads along commits; after it has read unless said otherwise. */
  readonly commits?: CommitWhen
  /** Recent batches that a node keeps in memory. */
  readonly memoryBytes?: number
  /** Where the front is. */
  readonly frontRack?: string
  /** What follows is always the same: all is repaired, comes to rest and is compared. */
  play(stage: Stage): Promise<void>
}

export interface ScenarioResult {
  readonly violations: readonly string[]
  readonly trace: SimTrace
  readonly hash: string
}

const NEVER = new AbortController().signal
const MEMBERS = 2
/** Longest pause of a member between two calls; a scene may go on for ten minutes. */
const MEMBER_PAUSE_MS = 2_000
const TOPIC = { partitions: 1, replicationFactor: 3, minInsyncReplicas: 2 } as const

export async function runScenario(
  scenario: Scenario,
  code: ClusterCode,
  seed = 1,
): Promise<ScenarioResult> {
  const { nodes = 3, fronts = 1, racks = nodes, frontRack = '', memoryBytes } = scenario
  const options = {
    nodes,
    fronts,
    racks,
    frontRack,
    ...(memoryBytes !== undefined && { memoryBytes }),
  }
  const cluster = new SimCluster(seed, code, options)
  const { world, invariants } = cluster
  const load = { producers: 0, readers: 1, deleters: 0, thinkMs: 100, ...scenario.load }
  const workload = new Workload(
    world,
    cluster.fronts,
    { ...load, topics: ['t'], compacted: scenario.topic?.cleanup === 'compact' ? ['t'] : [] },
    watchedBy(invariants),
  )
  const group = new GroupWorkload(cluster, workload, {
    seed,
    topics: ['t'],
    members: MEMBERS,
    commits: scenario.commits ?? 'after',
    pauseMs: MEMBER_PAUSE_MS,
  })
  const nemesis = new Nemesis(cluster, { faults: [], pauseMs: 0, members: 0 })
  await untilDone(cluster, async () => {
    await cluster.boot()
    const topic = await cluster.createTopic('t', { ...TOPIC, ...scenario.topic })
    workload.start()
    group.start()
    const stage = new Stage(cluster, workload, group, topic)
    await stage.until('all replicas are there', () => stage.isAtRest())
    world.trace.add('SCENE', scenario.name)
    await scenario.play(stage)
    nemesis.heal()
    await workload.stop()
    await group.finish()
    group.judge(await new FinalCheck(cluster, workload).run())
  })
  return { violations: invariants.violations, trace: world.trace, hash: world.trace.hash() }
}

/** What a scenario does to its cluster, and sees of it. Partition 0 is meant. */
export class Stage {
  readonly cluster: SimCluster
  readonly workload: Workload
  readonly group: GroupWorkload
  readonly #topic: TopicImage
  #count = 0

  constructor(cluster: SimCluster, workload: Workload, group: GroupWorkload, topic: TopicImage) {
    this.cluster = cluster
    this.workload = workload
    this.group = group
    this.#topic = topic
  }

  get world() {
    return this.cluster.world
  }

  get network() {
    return this.cluster.world.network
  }

  get record(): PartitionRecord {
    const record = this.cluster.invariants.record(this.#topic.id, 0)
    if (record === undefined) throw new Error('no such partition')
    return record
  }

  get leader(): SimNode {
    return this.cluster.node(this.record.leader)
  }

  /** The other replicas, in order. */
  get followers(): SimNode[] {
    const { leader, replicas } = this.record
    return replicas.filter((id) => id !== leader).map((id) => this.cluster.node(id))
  }

  /** The node that holds the controller's key. */
  get controller(): SimNode {
    const entry = this.world.store.get('/controller')
    const { nodeId } = JSON.parse(entry?.value ?? '{}') as { nodeId?: number }
    return this.cluster.node(nodeId ?? -1)
  }

  view(node: SimNode): ReplicaView | undefined {
    for (const view of node.replicas()) {
      if (view.topicId === this.#topic.id && view.partition === 0) return view
    }
    return undefined
  }

  /** Every replica has all that the leader has, and knows that it is committed. */
  isAtRest(): boolean {
    const { leader, isr, replicas } = this.record
    if (leader === -1 || isr.length < replicas.length) return false
    const end = this.view(this.leader)?.endOffset
    return replicas.every((id) => {
      const view = this.view(this.cluster.node(id))
      return view !== undefined && view.highWatermark === end && view.endOffset === end
    })
  }

  /** Sends one record of its own and gives what its producer was told. */
  produce(acks: Acks = -1): Promise<Outcome['kind']> {
    const front = this.cluster.front
    const topic = front.metadata.image.topics.get(this.#topic.name) ?? this.#topic
    const value = `scene.${this.#count++}`
    return this.workload.send(front, topic, value, [value], acks, 0)
  }

  /** As produce, again and again until a record is acknowledged. */
  async written(acks: Acks = -1): Promise<void> {
    for (let tries = 0; tries < 100; tries++) {
      if ((await this.produce(acks)) === 'written') return
      await this.world.sleep(200)
    }
    throw new Error('scene: nothing can be written')
  }

  /** As produce, with some records in one batch. */
  produceTogether(count: number, acks: Acks = -1): Promise<Outcome['kind']> {
    const front = this.cluster.front
    const topic = front.metadata.image.topics.get(this.#topic.name) ?? this.#topic
    const values = Array.from({ length: count }, (_, i) => `scene.${this.#count}.${i}`)
    this.#count++
    return this.workload.send(front, topic, values[0] as string, values, acks, 0)
  }

  /** As produceTogether, until they are acknowledged. */
  async writtenTogether(count: number): Promise<void> {
    while ((await this.produceTogether(count)) !== 'written');
  }

  /** As an operator: the node shall lead whatever it lacks. Gives `done`, or the code of the refusal. */
  async chooseLeader(node: SimNode): Promise<string> {
    const { elections, metadata } = this.cluster.front
    const topic = metadata.image.topics.get(this.#topic.name) ?? this.#topic
    const place = { topic, partition: 0, requestId: 'operator' }
    return await elections.electUnclean(place, node.id, NEVER).then(
      () => 'done',
      (error: unknown) => (error instanceof ServiceError ? error.code : String(error)),
    )
  }

  /** As a controller would: the node leads from now on, with these in sync. */
  elect(node: SimNode, members: readonly SimNode[] = this.cluster.nodes): void {
    const key = partitionMetadataKey(this.#topic.id, 0)
    const { record } = this
    const isr = record.replicas.filter((id) => members.some((member) => member.id === id))
    const next = { ...record, leader: node.id, leaderEpoch: record.leaderEpoch + 1, isr }
    this.world.store.transact(
      { compare: [], put: [{ key, value: encodePartition(next) }] },
      'scene',
    )
  }

  /** Reads from the start to where the log ends; gives that, or the code of what is in the way. */
  async readAll(): Promise<number | string> {
    const { storage } = this.cluster.front.front
    let offset = 0
    for (let tries = 0; tries < 100; tries++) {
      const position = { topicId: this.#topic.id, partition: 0, offset, lastEpoch: -1 }
      const request = { positions: [position], maxBytes: 64 * 1024, waitMs: 0 }
      const [result] = await storage.fetch({ ...request, isolation: 'committed' }, NEVER)
      if (result?.ok === true) {
        offset = result.nextOffset
        if (offset === result.highWatermark) return offset
      } else if (result !== undefined && result.code !== 'partition-unavailable') return result.code
      else await this.world.sleep(200)
    }
    return offset
  }

  /** Has the node lead, with nothing in memory of what it wrote before. */
  async restartAsLeader(node: SimNode): Promise<void> {
    for (const other of this.cluster.nodes) if (other !== node) this.down(other)
    this.down(node)
    await this.upAndRunning(node)
    await this.until(`${node.name} leads`, () => this.view(node)?.leads === true)
    for (const other of this.cluster.nodes) if (other !== node) await this.upAndRunning(other)
    await this.until('all are in sync', () => this.isAtRest())
  }

  async deleteBelow(before: number): Promise<void> {
    const { storage } = this.cluster.front.front
    await this.workload.deleteBelow(storage, this.#topic, 0, before)
  }

  sleep(ms: number): Promise<void> {
    return this.world.sleep(ms)
  }

  until(what: string, holds: () => boolean, withinMs = 60_000): Promise<void> {
    return this.cluster.until(what, withinMs, holds)
  }

  /** A scene that is not what it should be proves nothing. */
  check(holds: boolean, what: string): void {
    if (!holds) this.cluster.invariants.violation(`scene: ${what}`)
  }

  /** Ends the process and leaves it so. */
  down(node: SimNode, how: 'kill' | 'power' = 'kill'): void {
    node.supervised = false
    if (how === 'kill') node.kill()
    else node.losePower()
  }

  up(node: SimNode): void {
    node.supervised = true
    node.start()
  }

  async upAndRunning(node: SimNode): Promise<void> {
    this.up(node)
    await this.until(`${node.name} is up`, () => node.running !== undefined)
  }

  /** The node that leads now is another one than before. */
  async otherLeader(before: SimNode): Promise<SimNode> {
    await this.until('another node leads', () => {
      const { leader } = this.record
      if (leader === -1 || leader === before.id) return false
      return this.view(this.leader)?.leads === true
    })
    return this.leader
  }
}
