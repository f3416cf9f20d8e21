/**
 * A partition that this node hosts: its log, what the node is to it - leader, follower, or neither -
 * and the high watermark on which readers wait. The role changes only between operations on the log.
 */
import type { Peers } from '../core/in-sync-replicas.ts'
import type { Clock } from '../env/clock.ts'
import type { ServiceError } from '../lib/service-error.ts'
import { ThresholdWaiters } from '../lib/threshold-waiters.ts'
import { unlessAborted } from '../lib/unless-aborted.ts'
import type { LogAppender } from '../storage/log-appender.ts'
import type { PartitionLog } from '../storage/partition-log.ts'
import type { AppendRequest, Refusal } from '../wire/internal.ts'
import { refusalOf, refuse } from './append-call.ts'
import type { LeaderTerm } from './leader-tenure.ts'
import { LeaderTenure } from './leader-tenure.ts'
import type { AppendResult } from './pending-acks.ts'

const READERS_MAX = 100_000

export interface ReplicaDeps {
  readonly log: PartitionLog
  readonly appender: LogAppender
  readonly clock: Clock
  readonly nodeId: number
  readonly lagMaxMs: number
  readonly peers: Peers
  /** Whether the registration of the node is sure to hold, so that nobody is elected in its place. */
  readonly isFresh: () => boolean
  /** A follower of this partition that is not in sync has come further. */
  readonly onOutsider: (replica: Replica) => void
  /** The role of the replica may have changed. */
  readonly onRole: (replica: Replica) => void
}

/** Whom a follower copies, under which epoch. */
export interface Following {
  readonly leader: number
  readonly leaderEpoch: number
}

/** `idle`: the metadata know no leader, or this node may not take part yet. */
export type Role =
  | { readonly kind: 'leader'; readonly term: LeaderTerm }
  | { readonly kind: 'follower'; readonly following: Following }
  | { readonly kind: 'idle' }

/** Of a leadership to another node, written by the one that leads. */
export interface LeaderMove {
  /** Of the partition's state that it replaces. */
  readonly fromRevision: number
  /**
   * Resolves when the store has answered: false if the state is as it was, and stays so. Rejects, when
   * the node takes part no longer, with nobody knowing.
   */
  readonly write: () => Promise<boolean>
}

const IDLE: Role = { kind: 'idle' }
const HANDING_OVER = refuse('partition-unavailable', 'another node is about to lead the partition')

export class Replica {
  readonly log: PartitionLog
  readonly #deps: ReplicaDeps
  readonly #observers = new Set<() => void>()
  #highWatermark: ThresholdWaiters
  #role: Role = IDLE
  #tenure: LeaderTenure | undefined
  /** While the end of the log is being replaced the role stands still; this is the one that comes then. */
  #isReplacing: boolean = false
  #nextRole: Role | undefined
  /** The leadership is about to go to another node. */
  #isHandingOver: boolean = false
  /** Revision of the state that a move to another leader would replace, which may have come about. */
  #leftFrom: number | undefined

  constructor(deps: ReplicaDeps) {
    const { log } = deps
    this.log = log
    this.#deps = deps
    this.#highWatermark = new ThresholdWaiters(log.highWatermark, READERS_MAX)
    log.onDurable = (durableEnd) => {
      this.#tenure?.durable(durableEnd)
      this.#notify()
    }
    log.onPlaced = () => this.#notify()
    log.onStartRaised = () => this.#notify()
    log.onRefused = (endOffset) => {
      this.#tenure?.refused(endOffset, refuse('disk-full', 'the disk is full'))
      this.#notify()
    }
  }

  /** Defined while this node leads the partition. */
  get tenure(): LeaderTenure | undefined {
    return this.#tenure
  }

  /** Defined while this node follows another one; not while the end of the log is being replaced. */
  get following(): Following | undefined {
    return this.#role.kind === 'follower' && !this.#isReplacing ? this.#role.following : undefined
  }

  /** The epoch of the role, -1 without one. */
  get leaderEpoch(): number {
    return this.#tenure?.appendEpoch ?? this.following?.leaderEpoch ?? -1
  }

  /** Whether others may have led the partition, and may lead it by now. */
  get isOneOfSeveral(): boolean {
    return (this.#tenure?.inSync.assignment.replicas.length ?? 0) > 1
  }

  /**
   * Whether this node leads the partition and nobody else can by now: its registration is sure to
   * hold, and no move of its own may have come about.
   */
  get isCertain(): boolean {
    const revision = this.#tenure?.inSync.assignment.revision
    return revision !== undefined && revision !== this.#leftFrom && this.#deps.isFresh()
  }

  get acksWaiting(): number {
    return this.#tenure?.acksWaiting ?? 0
  }

  get readersWaiting(): number {
    return this.#highWatermark.waiting
  }

  /** Takes on the role that the metadata give; what waited for the earlier one ends as unknown. */
  become(role: Role): void {
    if (this.#isReplacing) {
      this.#nextRole = role
      // Nothing may be promised any more, whatever comes after.
      return
    }
    const wasLeading = this.#tenure !== undefined
    const isSame = role.kind === 'leader' && this.#tenure?.leaderEpoch === role.term.leaderEpoch
    if (isSame) this.#tenure?.renew(role.term)
    else {
      this.#tenure?.end(refuse('outcome-unknown', 'the node does not lead the partition any more'))
      this.#tenure = undefined
      if (role.kind === 'leader') this.#tenure = this.#begin(role.term)
    }
    this.#role = role
    if (wasLeading && !isSame) this.#wakeReaders()
    this.#notify()
    this.#deps.onRole(this)
  }

  append(request: AppendRequest, settle: (result: AppendResult) => void): void {
    const refusal = this.refusal() ?? (this.#isHandingOver ? HANDING_OVER : undefined)
    if (refusal !== undefined) settle(refusal)
    else this.#tenure?.append(request, settle)
  }

  /**
   * Takes no more records, runs the move when all that were taken are committed, and resolves with
   * whether the role here has ended. When the signal aborts the leader takes records again; but
   * while the move may come about yet it is not certain that it leads.
   */
  async handOver({ fromRevision, write }: LeaderMove, signal: AbortSignal): Promise<boolean> {
    const { log } = this
    const tenure = this.#tenure
    if (this.#isHandingOver || !this.isCertain) return false
    this.#isHandingOver = true
    try {
      const hasEnded = () => this.#tenure !== tenure
      await this.#comesTo(() => hasEnded() || log.highWatermark === log.endOffset, signal)
      if (hasEnded()) return false
      this.#leftFrom = fromRevision
      const writing = write().then((isWritten) => {
        if (!isWritten) this.#leftFrom = undefined
      })
      await unlessAborted(writing, signal)
      await this.#comesTo(() => hasEnded() || this.isCertain, signal)
      return hasEnded()
    } finally {
      this.#isHandingOver = false
    }
  }

  /** Why this node cannot answer for the partition as its leader. */
  refusal(): Refusal | undefined {
    const { damage, identity } = this.log
    // Of a damaged log that others lead they have what can be had.
    if (damage !== undefined && this.#role.kind === 'leader')
      return refuse('partition-damaged', damage)
    if (this.#tenure !== undefined) return undefined
    return refuse(
      'partition-unavailable',
      `partition ${identity.topicName}/${identity.partition} is not led by this node`,
    )
  }

  /** Follower: the leader says how far records are committed. */
  committedTo(offset: number): void {
    const { log } = this
    // What is not kept may be refused yet.
    const committed = Math.min(offset, log.keptEnd)
    if (committed <= log.highWatermark) return
    log.commitTo(committed)
    this.#committed()
  }

  /** Runs `replace`, which cuts or empties the log, with the role standing still. */
  async replaceEnd(replace: () => Promise<void>): Promise<void> {
    const { log } = this
    this.#isReplacing = true
    try {
      await replace()
    } finally {
      this.#isReplacing = false
      if (log.highWatermark < this.#highWatermark.value) this.#wakeReaders()
      else this.#committed()
      const next = this.#nextRole
      this.#nextRole = undefined
      if (next !== undefined) this.become(next)
    }
  }

  /** Calls `wake` once when records below `offset` are committed, unless cancelled before. */
  subscribe(offset: number, wake: () => void): () => void {
    return this.#highWatermark.subscribe(offset, wake)
  }

  /** Resolves when records below `offset` are committed; rejects with the signal's reason on abort. */
  committed(offset: number, signal: AbortSignal): Promise<void> {
    return this.#highWatermark.reached(offset, signal)
  }

  /** Calls `look` after each change of placed or durable end, high watermark or role, until cancelled. */
  observe(look: () => void): () => void {
    this.#observers.add(look)
    return () => this.#observers.delete(look)
  }

  /** The node stops or has failed, or the partition is gone: nobody is left waiting. */
  close(reason: ServiceError): void {
    const refusal = refusalOf(reason)
    if (refusal !== undefined) this.#tenure?.end(refusal)
    this.#tenure = undefined
    this.#role = IDLE
    this.#nextRole = undefined
    this.#notify()
    this.#deps.onRole(this)
  }

  #begin(term: LeaderTerm): LeaderTenure | undefined {
    const { log, clock } = this.#deps
    if (log.damage !== undefined) return undefined
    const onCommitted = () => this.#committed()
    const onOutsider = () => this.#deps.onOutsider(this)
    const isCertain = () => this.isCertain
    const deps = { ...this.#deps, isCertain, onCommitted, onOutsider }
    return new LeaderTenure(deps, term, clock.monotonicMs())
  }

  #committed(): void {
    this.#highWatermark.advance(this.log.highWatermark)
    this.#notify()
  }

  /** Whoever waits for records looks again: the node may not be the one to ask any more, or they are gone. */
  #wakeReaders(): void {
    const before = this.#highWatermark
    this.#highWatermark = new ThresholdWaiters(this.log.highWatermark, READERS_MAX)
    before.advance(Number.MAX_SAFE_INTEGER)
    this.#notify()
  }

  /** Resolves as soon as it holds; rejects with the signal's reason on abort. */
  async #comesTo(holds: () => boolean, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const look = () => {
      if (holds()) resolve()
    }
    const unobserve = this.observe(look)
    look()
    await unlessAborted(promise, signal).finally(unobserve)
  }

  #notify(): void {
    for (const look of this.#observers) look()
  }
}
