/** Breaks a simulated cluster in the ways that its plan allows, and repairs each break after a while. */
import { isReservedName } from '../../src/core/ids.ts'
import type { Random } from '../../src/env/random.ts'
import type { DecayKind } from './disk-decay.ts'
import { decay } from './disk-decay.ts'
import type { Invariants } from './invariants.ts'
import type { FaultName } from './seed-plan.ts'
import { WALL_ERROR_MS } from './seed-plan.ts'
import type { SimFront } from './sim-front.ts'
import type { SimNode } from './sim-node.ts'
import type { SimWorld } from './sim-world.ts'
import { UncleanElections } from './unclean-elections.ts'

export interface NemesisDeps {
  readonly world: SimWorld
  readonly nodes: readonly SimNode[]
  readonly fronts: readonly SimFront[]
  readonly invariants: Invariants
}

export interface NemesisOptions {
  readonly faults: readonly FaultName[]
  /** Longest time between two faults. */
  readonly pauseMs: number
  /** Of groups, which make a topic of their own when the first of them joins. */
  readonly members: number
}

/** Strikes, and gives back what repairs it, if anything has to. */
type Fault = () => (() => void) | undefined

/** A fault is over after up to so long; most are much shorter. */
const LONGEST_MS = 30_000

export class Nemesis {
  readonly #deps: NemesisDeps
  readonly #options: NemesisOptions
  readonly #random: Random
  readonly #repairs = new Set<() => void>()
  readonly #operator: UncleanElections
  #stopped: boolean = false

  constructor(deps: NemesisDeps, options: NemesisOptions) {
    this.#deps = deps
    this.#options = options
    this.#random = deps.world.fork()
    this.#operator = new UncleanElections(deps)
  }

  async run(durationMs: number): Promise<void> {
    const { world } = this.#deps
    const { faults, pauseMs } = this.#options
    const endMs = world.clock.monotonicMs() + durationMs
    while (!this.#stopped) {
      const leftMs = endMs - world.clock.monotonicMs()
      await world.sleep(Math.min(leftMs, this.#random.float() * pauseMs))
      if (leftMs <= 0 || world.clock.monotonicMs() >= endMs) return
      if (faults.length > 0) this.strike(this.#pick(faults))
      this.#deps.invariants.look()
    }
  }

  /** All is repaired at once, and stays so. */
  heal(): void {
    const { world, nodes, fronts, invariants } = this.#deps
    this.#stopped = true
    world.trace.add('NEMESIS', 'all heals')
    for (const repair of [...this.#repairs]) repair()
    world.network.heal()
    world.store.thaw()
    for (const node of nodes) {
      node.resume()
      node.store?.heal()
      node.disk.quotaBytes = Number.POSITIVE_INFINITY
      node.disk.latencyMs = undefined
      node.disk.fault = () => undefined
      node.supervised = true
      if (invariants.decayed.delete(node.id)) this.#replaceDisk(node)
      node.start()
    }
    for (const front of fronts) front.start()
  }

  /** Bits turn over on the disk of the node, which may notice it at once, when it starts, or never. */
  decay(node: SimNode, kind?: DecayKind): boolean {
    const { invariants, world } = this.#deps
    if (!this.#mayLose(node, () => true)) return false
    const what = decay(node.disk, this.#random, kind)
    if (what === undefined) return false
    invariants.decayed.add(node.id)
    world.trace.add(node.name, `a bit turns over in ${what}`)
    if (this.#random.float() < 0.5) node.kill()
    return true
  }

  strike(name: FaultName): void {
    this.#deps.world.trace.add('NEMESIS', name)
    const repair = this.#faults[name]()
    if (repair === undefined) return
    let done = false
    const once = () => {
      if (done) return
      done = true
      this.#repairs.delete(once)
      this.#deps.world.trace.add('NEMESIS', `${name} is over`)
      repair()
    }
    this.#repairs.add(once)
    this.#deps.world.clock.timer(this.#lastsMs(), once)
  }

  /** Short ones are the rule; some outlive leases and timeouts. */
  #lastsMs(): number {
    return this.#random.float() ** 3 * LONGEST_MS
  }

  #pick<T>(of: readonly T[]): T {
    return of[this.#random.uint32() % of.length] as T
  }

  #node(): SimNode {
    return this.#pick(this.#deps.nodes)
  }

  readonly #faults: Record<FaultName, Fault> = {
    kill: () => this.#down((node) => this.#end(node, () => node.kill())),
    power: () => this.#down((node) => this.#end(node, () => node.losePower())),
    pause: () => {
      const node = this.#node()
      node.pause()
      return () => node.resume()
    },
    orderly: () => {
      void this.#node().restartInOrder()
      return undefined
    },
    isolate: () => {
      const { name } = this.#node()
      return this.#part([name], this.#others(name))
    },
    pair: () => {
      const [a, b] = [
        this.#node().name,
        this.#pick([...this.#deps.nodes, ...this.#deps.fronts]).name,
      ]
      return this.#part([a], [b])
    },
    'one-way': () => {
      const { network } = this.#deps.world
      const { name } = this.#node()
      const others = this.#others(name)
      const isDeaf = this.#random.float() < 0.5
      for (const other of others) {
        if (isDeaf) network.block(other, name)
        else network.block(name, other)
      }
      return () => network.open([name], others)
    },
    cut: () => this.#tune('cutShare', this.#pick([0.01, 0.1, 0.4])),
    'slow-network': () => {
      const { faults } = this.#deps.world.network
      const before = { ...faults }
      faults.latencyMs = this.#pick([5, 50, 300])
      faults.slowShare = this.#pick([0, 0.01, 0.1])
      return () => Object.assign(faults, before)
    },
    'store-away': () => this.#store({ away: true }),
    'store-slow': () => this.#store({ latencyMs: this.#pick([100, 1_000, 5_000]) }),
    'store-answers': () => this.#store({ answerLoss: this.#pick([0.2, 1]) }),
    'watch-late': () => this.#store({ watchDelayMs: this.#pick([50, 1_000, 15_000]) }),
    'store-frozen': () => {
      const { store } = this.#deps.world
      store.freeze()
      const handles = this.#deps.nodes.map((node) => node.store)
      for (const handle of handles) if (handle !== undefined) handle.faults.away = true
      return () => {
        store.thaw()
        for (const handle of handles) if (handle !== undefined) handle.faults.away = false
      }
    },
    'store-compact': () => {
      this.#deps.world.store.compact()
      return undefined
    },
    'wall-jump': () => {
      const wrongMs = Math.floor((this.#random.float() * 2 - 1) * WALL_ERROR_MS)
      this.#node().clock?.setWallError(wrongMs)
      return undefined
    },
    'disk-slow': () => {
      const node = this.#node()
      node.disk.latencyMs = this.#pick([50, 500, 3_000])
      return () => {
        node.disk.latencyMs = undefined
      }
    },
    'disk-error': () => {
      const node = this.#node()
      let left = 1
      node.disk.fault = ({ kind }) => {
        const strikes =
          left > 0 && (kind === 'durable-write' || kind === 'sync' || kind === 'write')
        if (strikes) left--
        return strikes ? 'EIO' : undefined
      }
      return undefined
    },
    'disk-full': () => {
      const node = this.#node()
      node.disk.quotaBytes = node.disk.usedBytes
      return () => {
        node.disk.quotaBytes = Number.POSITIVE_INFINITY
      }
    },
    'empty-disk': () => this.#emptyDisk(),
    decay: () => {
      const decayed = this.#deps.nodes.find(({ id }) => this.#deps.invariants.decayed.has(id))
      this.decay(decayed ?? this.#node())
      return undefined
    },
    unclean: () => {
      void this.#operator.strike(this.#random, () => this.#stopped)
      return undefined
    },
    'front-kill': () => {
      this.#pick(this.#deps.fronts).kill()
      return undefined
    },
  }

  #down(end: (node: SimNode) => void): () => void {
    const node = this.#node()
    if (this.#random.float() < 0.5) {
      // The supervisor starts it again by itself.
      end(node)
      return () => undefined
    }
    node.supervised = false
    end(node)
    return () => {
      node.supervised = true
      node.start()
    }
  }

  #part(a: readonly string[], b: readonly string[]): () => void {
    const { network } = this.#deps.world
    network.partition(a, b)
    return () => network.open(a, b)
  }

  #others(name: string): string[] {
    return [...this.#deps.nodes, ...this.#deps.fronts]
      .map((other) => other.name)
      .filter((other) => other !== name)
  }

  #tune(what: 'cutShare', value: number): () => void {
    const { faults } = this.#deps.world.network
    faults[what] = value
    return () => {
      faults[what] = 0
    }
  }

  #store(faults: Partial<NonNullable<SimNode['store']>['faults']>): (() => void) | undefined {
    const handle = this.#node().store
    if (handle === undefined) return undefined
    Object.assign(handle.faults, faults)
    return () => handle.heal()
  }

  #replaceDisk(node: SimNode): void {
    this.#deps.invariants.lossy.add(node.id)
    node.kill()
    node.emptyDisk()
  }

  #emptyDisk(): undefined {
    const node = this.#node()
    if (!this.#mayLose(node, () => true)) return
    this.#replaceDisk(node)
  }

  /** A node that ends otherwise than in good order may have lost records that were promised as written. */
  #end(node: SimNode, end: () => void): void {
    const { invariants } = this.#deps
    const isWritten = (flush: 'commit' | 'os') => flush === 'os'
    if (!this.#mayLose(node, isWritten)) return
    const loses = [...invariants.partitions()].some(({ topic, record }) => {
      return isWritten(topic.config.flush) && record.replicas.includes(node.id)
    })
    if (loses) invariants.lossy.add(node.id)
    end()
  }

  /**
   * Only while somebody else has a vote, and fewer nodes lose something at once than replicas must be
   * in sync: more a partition is not made to survive.
   */
  #mayLose(node: SimNode, concerns: (flush: 'commit' | 'os') => boolean): boolean {
    const { invariants } = this.#deps
    if (this.#operator.isBusy) return false
    const lossy = new Set([...invariants.lossy, ...invariants.decayed, node.id])
    // All of them may be given the same partition before they are back.
    if (lossy.size > 1 && this.#isTopicToCome()) return false
    for (const { topic, record } of invariants.partitions()) {
      const { flush, minInsyncReplicas } = topic.config
      if (!record.replicas.includes(node.id) || !concerns(flush)) continue
      const lost = record.replicas.filter((id) => lossy.has(id)).length
      const others = [...record.isr, ...record.elr].filter((id) => !lossy.has(id))
      if (others.length === 0 || lost >= minInsyncReplicas) return false
    }
    return true
  }

  #isTopicToCome(): boolean {
    const { invariants } = this.#deps
    const hasOffsets = [...invariants.partitions()].some(({ topic }) => isReservedName(topic.name))
    return this.#options.members > 0 && !hasOffsets
  }
}
