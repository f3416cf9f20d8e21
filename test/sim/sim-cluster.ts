/** A whole cluster on a simulated world: storage nodes, fronts, metadata store, and who watches them. */
import type { TopicName } from '../../src/core/ids.ts'
import type { TopicSpec } from '../../src/core/topic.ts'
import type { TopicImage } from '../../src/metadata/metadata-image.ts'
import type { ClusterCode, FrontUnderTest } from './cluster-code.ts'
import { Invariants } from './invariants.ts'
import { SimFront } from './sim-front.ts'
import { SimNode } from './sim-node.ts'
import type { SimWorldOptions } from './sim-world.ts'
import { SimWorld } from './sim-world.ts'

export interface SimClusterOptions extends Partial<SimWorldOptions> {
  readonly nodes: number
  readonly fronts: number
  /** Over how many racks the nodes are spread; each has its own if absent. */
  readonly racks?: number
  /** Recent batches that a node keeps in memory. */
  readonly memoryBytes?: number
  /** Where the fronts are; all but the first beside the node of their number if absent. */
  readonly frontRack?: string
}

const LOOK_MS = 100
const MEMORY_BYTES = 1024 * 1024
const STEP_MS = 50
export const rackOf = (nodeId: number, racks = Number.POSITIVE_INFINITY): string =>
  `rack-${((nodeId - 1) % racks) + 1}`

const NEVER = new AbortController().signal

export class SimCluster {
  readonly world: SimWorld
  readonly nodes: readonly SimNode[]
  readonly fronts: readonly SimFront[]
  readonly invariants: Invariants

  constructor(seed: number, code: ClusterCode, options: SimClusterOptions) {
    const world = new SimWorld(seed, options)
    const { memoryBytes = MEMORY_BYTES } = options
    this.world = world
    this.nodes = Array.from(
      { length: options.nodes },
      (_, i) =>
        new SimNode(world, code, i + 1, { rack: rackOf(i + 1, options.racks), memoryBytes }),
    )
    const seeds = this.nodes.map(({ name }) => world.network.urlOf(name))
    this.fronts = Array.from({ length: options.fronts }, (_, i) => {
      const rack = options.frontRack ?? (i === 0 ? '' : rackOf(i + 1, options.racks))
      return new SimFront(world, code, { name: `f${i + 1}`, rack }, seeds)
    })
    this.invariants = new Invariants(world, this.nodes)
  }

  node(id: number): SimNode {
    const node = this.nodes.find((one) => one.id === id)
    if (node === undefined) throw new Error(`no node ${id}`)
    return node
  }

  /** A front that is up. */
  get front(): FrontUnderTest {
    const running = this.fronts.find((front) => front.running !== undefined)?.running
    if (running === undefined) throw new Error('no front is up')
    return running
  }

  /** Starts all, and waits until they are up. */
  async boot(): Promise<void> {
    this.#lookAgain()
    for (const node of this.nodes) node.start()
    for (const front of this.fronts) front.start()
    await this.until('all are up', 60_000, () =>
      [...this.nodes, ...this.fronts].every((one) => one.running !== undefined),
    )
  }

  /** Makes a topic, and waits until its partitions have leaders. */
  async createTopic(name: string, spec: TopicSpec): Promise<TopicImage> {
    const { topics } = this.front
    const { topic } = await topics.ensure(name as TopicName, spec, NEVER)
    await this.until(`${name} has leaders`, 60_000, () =>
      topic.partitions.every((_, p) => (this.invariants.record(topic.id, p)?.leader ?? -1) !== -1),
    )
    return topic
  }

  /** Waits until it holds; fails when it does not within the time. */
  async until(what: string, withinMs: number, holds: () => boolean): Promise<void> {
    const { world } = this
    const endMs = world.clock.monotonicMs() + withinMs
    while (!holds()) {
      if (world.clock.monotonicMs() > endMs) {
        throw new Error(`liveness: not within ${withinMs} ms: ${what}`)
      }
      await world.sleep(STEP_MS)
    }
  }

  #lookAgain(): void {
    this.world.clock.timer(LOOK_MS, () => {
      this.invariants.look()
      this.#lookAgain()
    })
  }
}
