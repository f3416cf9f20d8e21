/**
 * Nodes that register, elect and hand over on one simulated metadata store, without any data. What
 * is written to the store is checked as it is written, whoever writes it.
 */
import { expect } from 'vitest'
import type { LocalReplica } from '../../src/core/election.ts'
import type { TopicId } from '../../src/core/ids.ts'
import { topicIdFromBytes } from '../../src/core/ids.ts'
import type { PartitionState } from '../../src/core/partition-state.ts'
import type { Logger } from '../../src/env/logger.ts'
import { nullLogger } from '../../src/env/logger.ts'
import { PromMetrics } from '../../src/env/prom-metrics.ts'
import { SeededRandom } from '../../src/env/seeded-random.ts'
import { MetadataFollower } from '../../src/metadata/metadata-follower.ts'
import {
  CONTROLLER_KEY,
  nodeKey,
  parseMetadataKey,
  partitionMetadataKey,
} from '../../src/metadata/metadata-keys.ts'
import {
  decodeController,
  decodePartition,
  encodePartition,
} from '../../src/metadata/metadata-records.ts'
import { untilStoreAnswers } from '../../src/metadata/until-store-answers.ts'
import type { ControllerOptions } from '../../src/replication/controller.ts'
import { Controller } from '../../src/replication/controller.ts'
import type { NodeSession } from '../../src/replication/node-session.ts'
import type { RegistrationOptions } from '../../src/replication/registration.ts'
import { NodeRegistration } from '../../src/replication/registration.ts'
import { topicPut } from '../metadata/topic-fixtures.ts'
import { SimClock } from '../sim/sim-clock.ts'
import { SimNodeClock } from '../sim/sim-node-clock.ts'
import type { Commit } from '../sim/sim-store.ts'
import { SimStore } from '../sim/sim-store.ts'
import { SimStoreHandle } from '../sim/sim-store-handle.ts'

export const TTL_MS = 10_000
export const NEVER = new AbortController().signal

export class ControlWorld {
  readonly clock = new SimClock()
  readonly store = new SimStore(this.clock)
  readonly random: SeededRandom
  readonly members = new Map<number, Member>()
  /** What was wrong with what was written; empty unless the code under test is. */
  readonly violations: unknown[] = []
  readonly #leaderOf = new Map<string, number>()

  constructor(seed = 1) {
    this.random = new SeededRandom(seed)
    this.store.onCommit = (commit) => {
      try {
        this.#check(commit)
      } catch (error) {
        // The writer would take it for a store that failed.
        this.violations.push(error)
      }
    }
  }

  member(id: number): Member {
    const member = this.members.get(id)
    if (member === undefined) throw new Error(`no member ${id}`)
    return member
  }

  /** Starts the node; not yet registered. */
  boot(id: number, options: MemberOptions = {}): Member {
    const member = new Member(this, id, options)
    this.members.set(id, member)
    return member
  }

  async join(id: number, options: MemberOptions = {}): Promise<Member> {
    const member = this.boot(id, options)
    await this.clock.run(member.start())
    return member
  }

  /** With the replicas of each partition, all in sync and the first its leader. */
  addTopic(name: string, replicas: readonly (readonly number[])[], minInsyncReplicas = 1): TopicId {
    const id = topicIdFromBytes(Buffer.alloc(16, name))
    const config = { minInsyncReplicas, replicationFactor: replicas[0]?.length ?? 1 }
    const puts = replicas.map((nodes, partition) => ({
      key: partitionMetadataKey(id, partition),
      value: encodePartition(ledByFirst(nodes)),
    }))
    for (let at = 0; at < puts.length; at += 100) {
      this.store.transact({ compare: [], put: puts.slice(at, at + 100) }, 'test')
    }
    this.store.transact({ compare: [], put: [topicPut(name, id, replicas.length, config)] }, 'test')
    return id
  }

  state(topicId: TopicId, partition: number): PartitionState {
    const entry = this.store.get(partitionMetadataKey(topicId, partition))
    if (entry === undefined) throw new Error(`no partition ${partition}`)
    return decodePartition(entry.value)
  }

  leaders(topicId: TopicId): number[] {
    const { entries } = this.store.list(`/partitions/${topicId}/`)
    return entries.map(({ value }) => decodePartition(value).leader)
  }

  get controller(): number {
    const entry = this.store.get(CONTROLLER_KEY)
    return entry === undefined ? -1 : decodeController(entry.value).nodeId
  }

  #check({ change, before, author }: Commit): void {
    for (const { key, entry } of change.events) {
      const parsed = parseMetadataKey(key)
      const isNew = entry?.createRevision === change.revision
      if (parsed?.kind === 'node' && isNew) this.#checkRegistration(parsed.nodeId)
      if (parsed?.kind !== 'partition' || entry === undefined) continue
      const old = before.get(key)
      const was = old === undefined ? undefined : decodePartition(old.value)
      this.#checkState(key, was, decodePartition(entry.value), author)
    }
  }

  /** Before it is registered a node leads nothing, and votes for nothing that it lost. */
  #checkRegistration(id: number): void {
    for (const { key, value } of this.store.list('/partitions/').entries) {
      const { replicas, leader, isr, elr } = decodePartition(value)
      const parsed = parseMetadataKey(key)
      if (parsed?.kind !== 'partition' || !replicas.includes(id)) continue
      expect(leader, `${key} is led by a node of the past`).not.toBe(id)
      const local = this.member(id).local(parsed.topicId, parsed.partition)
      if (local !== 'kept' && replicas.length > 1) expect([...isr, ...elr]).not.toContain(id)
    }
  }

  #checkState(
    key: string,
    was: PartitionState | undefined,
    now: PartitionState,
    author: string,
  ): void {
    const { leader, leaderEpoch, isr, elr } = now
    if (leader !== -1) {
      const before = this.#leaderOf.get(`${key} ${leaderEpoch}`)
      expect(before ?? leader, `two leaders of ${key} in epoch ${leaderEpoch}`).toBe(leader)
      this.#leaderOf.set(`${key} ${leaderEpoch}`, leader)
      expect(isr).toContain(leader)
    }
    expect(isr.filter((node) => elr.includes(node))).toEqual([])
    if (was === undefined) return
    const grown = leaderEpoch - was.leaderEpoch
    expect(grown).toBe(leader === was.leader ? 0 : 1)
    // Only the leader itself, who knows what a replica holds, gives anybody a vote.
    if (author !== `${was.leader}` || leader !== was.leader) {
      expect([...was.isr, ...was.elr], `a vote by ${author}`).toEqual(
        expect.arrayContaining([...isr, ...elr]),
      )
    }
    if (leader === was.leader || leader === -1) return
    expect(this.store.get(nodeKey(leader)), `elected a node that is gone`).toBeDefined()
    // Only the controller elects, or the leader that gives up.
    expect([`${this.controller}`, `${was.leader}`]).toContain(author)
  }
}

export type MemberOptions = Partial<RegistrationOptions> &
  Partial<ControllerOptions> & { readonly rate?: number }

/** One process of a node. */
export class Member {
  readonly id: number
  readonly clock: SimNodeClock
  readonly handle: SimStoreHandle
  readonly metadata: MetadataFollower
  readonly registration: NodeRegistration
  readonly controller: Controller
  readonly metrics = new PromMetrics()
  readonly sessions: NodeSession[] = []
  readonly log: { readonly message: string; readonly fields: object }[] = []
  readonly fatal: unknown[] = []
  readonly #random: SeededRandom
  local: (topicId: TopicId, partition: number) => LocalReplica = () => 'kept'

  constructor(world: ControlWorld, id: number, options: MemberOptions) {
    this.id = id
    this.clock = new SimNodeClock(world.clock, { rate: options.rate ?? 1 })
    const random = new SeededRandom(world.random.uint32())
    this.#random = random
    const { clock } = this
    const wires = { store: world.store, clock, outside: world.clock, random, name: `${id}` }
    this.handle = new SimStoreHandle(wires)
    const tell = (fields: object, message: string) => void this.log.push({ message, fields })
    const logger: Logger = { ...nullLogger, info: tell, warn: tell, error: tell }
    const store = this.handle
    this.metadata = new MetadataFollower({ store, clock, random, logger })
    const deps = { store, clock, random, logger, metadata: this.metadata, metrics: this.metrics }
    this.controller = new Controller(deps, { ...options, nodeId: id })
    this.registration = new NodeRegistration(
      {
        ...deps,
        localReplica: (topicId, partition) => this.local(topicId, partition),
        onRegistered: (session) => {
          this.sessions.push(session)
          this.controller.start(session)
        },
        onLost: () => this.controller.stop(),
        onFatal: (error) => void this.fatal.push(error),
      },
      {
        url: `http://node-${id}`,
        rack: '',
        version: '1',
        directoryId: `directory-${id}`,
        ttlMs: TTL_MS,
        ...options,
        nodeId: id,
      },
    )
  }

  async start(): Promise<NodeSession> {
    const patience = { clock: this.clock, random: this.#random, logger: nullLogger }
    await untilStoreAnswers(() => this.metadata.start(), patience, NEVER)
    return await this.registration.start(NEVER)
  }

  /** As kill -9 does. */
  kill(): void {
    this.clock.end()
    this.handle.faults.away = true
  }

  async stop(): Promise<void> {
    await this.controller.stop()
    await this.registration.close()
    await this.metadata.close()
    await this.handle.close()
  }

  said(message: string): readonly object[] {
    return this.log.filter((line) => line.message === message).map(({ fields }) => fields)
  }
}

export function ledByFirst(replicas: readonly number[]): PartitionState {
  const leader = replicas[0] ?? -1
  return { replicas, leader, leaderEpoch: 0, isr: replicas, elr: [], state: 'active' }
}
