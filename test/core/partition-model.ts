/**
 * One partition with its replicas' logs, as few steps as can go wrong: who appends, copies, commits,
 * dies, loses data and votes. The state is changed by the functions under test alone.
 */
import fc from 'fast-check'
import { expect } from 'vitest'
import type { LocalReplica } from '../../src/core/election.ts'
import {
  elect,
  electOther,
  electPreferred,
  rejoin,
  uncleanElect,
  withIsr,
} from '../../src/core/election.ts'
import type { PartitionState } from '../../src/core/partition-state.ts'

export type Step =
  | { readonly do: 'append' | 'elect' | 'prefer' | 'handOver' | 'clear' }
  | {
      readonly do: 'copy' | 'shrink' | 'expand' | 'die' | 'drain' | 'unclean'
      readonly node: number
    }
  | { readonly do: 'return'; readonly node: number; readonly local: LocalReplica }
  | { readonly do: 'minInsync'; readonly to: number }

export function steps(replicas: number): fc.Arbitrary<Step[]> {
  const node = fc.integer({ min: 0, max: replicas - 1 })
  const plain = fc.constantFrom(
    ...(['append', 'append', 'elect', 'prefer', 'handOver', 'clear'] as const),
  )
  const onNode = fc.constantFrom(
    ...(['copy', 'copy', 'copy', 'shrink', 'expand', 'die', 'drain', 'unclean'] as const),
  )
  const local = fc.constantFrom<LocalReplica>('kept', 'kept', 'loss-possible', 'lost')
  const step = fc.oneof(
    { weight: 10, arbitrary: fc.record({ do: plain }) },
    { weight: 11, arbitrary: fc.record({ do: onNode, node }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant('return' as const), node, local }) },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant('minInsync' as const),
        to: fc.integer({ min: 1, max: 3 }),
      }),
    },
  )
  return fc.array(step, { minLength: 1, maxLength: 80 })
}

export class PartitionModel {
  state: PartitionState
  minInsync: number
  readonly #logs: number[][]
  readonly #live: Set<number>
  readonly #draining = new Set<number>()
  #committed: readonly number[] = []
  #records = 0

  constructor(replicas: number, minInsync: number) {
    const nodes = Array.from({ length: replicas }, (_, node) => node)
    this.state = {
      replicas: nodes,
      leader: 0,
      leaderEpoch: 0,
      isr: nodes,
      elr: [],
      state: 'active',
    }
    this.minInsync = minInsync
    this.#logs = nodes.map(() => [])
    this.#live = new Set(nodes)
  }

  take(step: Step): void {
    const before = this.state
    this.#take(step)
    this.#commit()
    this.#check(before, step)
  }

  #take(step: Step): void {
    const rules = {
      isLive: (node: number) => this.#live.has(node),
      minInsync: this.minInsync,
      avoid: this.#draining,
    }
    switch (step.do) {
      case 'append':
        this.#leaderLog()?.push(this.#records++)
        break
      case 'copy':
        this.#copy(step.node)
        break
      case 'elect':
        this.state = elect(this.state, rules) ?? this.state
        break
      case 'prefer':
        this.state = electPreferred(this.state, rules) ?? this.state
        break
      case 'handOver':
        if (this.#leaderLog() !== undefined)
          this.state = electOther(this.state, rules) ?? this.state
        break
      case 'clear':
        this.#setIsr((node) => this.state.isr.includes(node))
        break
      case 'shrink':
        if (step.node !== this.state.leader)
          this.#setIsr((node) => node !== step.node && this.state.isr.includes(node))
        break
      case 'expand':
        if (this.#live.has(step.node) && this.#isCaughtUp(step.node))
          this.#setIsr((node) => node === step.node || this.state.isr.includes(node))
        break
      case 'die':
        this.#live.delete(step.node)
        this.#draining.delete(step.node)
        break
      case 'drain':
        if (this.#live.has(step.node)) this.#draining.add(step.node)
        break
      case 'return':
        this.#return(step.node, step.local)
        break
      case 'unclean':
        this.#unclean(step.node)
        break
      case 'minInsync':
        this.minInsync = step.to
    }
  }

  #leaderLog(): number[] | undefined {
    const { leader } = this.state
    return this.#live.has(leader) ? this.#logs[leader] : undefined
  }

  #copy(node: number): void {
    const log = this.#leaderLog()
    if (log !== undefined && this.#live.has(node)) this.#logs[node] = [...log]
  }

  #isCaughtUp(node: number): boolean {
    const log = this.#leaderLog()
    return log !== undefined && isPrefix(log, this.#logs[node]!)
  }

  /** As a leader does. */
  #setIsr(isIn: (node: number) => boolean): void {
    if (this.#leaderLog() === undefined) return
    this.state = withIsr(this.state, this.state.replicas.filter(isIn), this.minInsync)
  }

  #commit(): void {
    const log = this.#leaderLog()
    const { replicas, isr, elr } = this.state
    const isEnough = isr.length >= Math.min(this.minInsync, replicas.length)
    // Also not as long as somebody is eligible who may lack it.
    if (log === undefined || !isEnough || elr.length > 0) return
    const everywhere = this.state.isr.map((node) => commonPrefix(log, this.#logs[node]!))
    const length = Math.min(...everywhere)
    if (length > this.#committed.length) this.#committed = log.slice(0, length)
  }

  #return(node: number, local: LocalReplica): void {
    if (this.#live.has(node)) return
    // The only replica may lose what it alone had: nobody can do better.
    const isOnly = this.state.replicas.length === 1
    if (local !== 'kept') this.#logs[node] = this.#logs[node]!.slice(0, local === 'lost' ? 0 : -1)
    if (local !== 'kept' && isOnly) this.#committed = [...this.#logs[node]!]
    this.state = rejoin(this.state, node, local) ?? this.state
    expect(this.state.leader).not.toBe(node)
    if (local === 'lost') expect([...this.state.isr, ...this.state.elr]).not.toContain(node)
    if (local === 'loss-possible' && !isOnly)
      expect([...this.state.isr, ...this.state.elr]).not.toContain(node)
    this.#live.add(node)
  }

  #unclean(node: number): void {
    if (!this.#live.has(node)) return
    this.state = uncleanElect(this.state, node, 99)
    expect(this.state.unclean).toEqual({ atMs: 99, leaderEpoch: this.state.leaderEpoch })
    this.#committed = [...this.#logs[node]!]
  }

  #check(before: PartitionState, step: Step): void {
    const { replicas, leader, leaderEpoch, isr, elr } = this.state
    const grown = leaderEpoch - before.leaderEpoch
    if (leader !== before.leader || step.do === 'unclean') expect(grown).toBeLessThanOrEqual(1)
    if (leader !== before.leader) expect(grown).toBe(1)
    else if (step.do !== 'unclean') expect(grown).toBe(0)
    if (leader !== -1) expect(isr).toContain(leader)
    for (const members of [isr, elr]) {
      expect(new Set(members).size).toBe(members.length)
      expect(replicas).toEqual(expect.arrayContaining([...members]))
    }
    expect(isr.filter((node) => elr.includes(node))).toEqual([])
    // Votes end by a loss or an unclean election only, so there is always somebody left to lead.
    const voters = (state: PartitionState) => state.isr.length + state.elr.length
    if (step.do !== 'return' && voters(before) > 0) expect(voters(this.state)).toBeGreaterThan(0)
    for (const node of [...isr, ...elr]) {
      expect(this.#logs[node]!.slice(0, this.#committed.length)).toEqual(this.#committed)
    }
  }
}

function commonPrefix(a: readonly number[], b: readonly number[]): number {
  let at = 0
  while (at < a.length && a[at] === b[at]) at++
  return at
}

function isPrefix(prefix: readonly number[], log: readonly number[]): boolean {
  return commonPrefix(prefix, log) === prefix.length
}
