/**
 * Copies from one leader all partitions that this node follows it in: one request at a time, the next
 * when what came is durable here, so that it tells how far that is.
 */
import type { PartitionKey } from '../core/ids.ts'
import { partitionKey } from '../core/ids.ts'
import type { Clock, Timer } from '../env/clock.ts'
import type { Logger } from '../env/logger.ts'
import type { Random } from '../env/random.ts'
import { whyOf } from '../lib/why.ts'
import type { LogManager } from '../storage/log-manager.ts'
import type {
  ReplicaFetchPart,
  ReplicaFetchReply,
  ReplicaFetchRequest,
  ReplicaKey,
} from '../wire/replica-fetch.ts'
import type { DamagedLogs } from './damaged-logs.ts'
import type { Applied } from './follower-copy.ts'
import { FollowerCopy } from './follower-copy.ts'
import type { Replica } from './replica.ts'

/** The calls of a leader that followers use. */
export interface LeaderPeer {
  replicaFetch(request: ReplicaFetchRequest, signal: AbortSignal): Promise<ReplicaFetchReply>
}

export interface ReplicaFetcherDeps {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly storage: LogManager
  readonly damaged: DamagedLogs
  /** The leader as the metadata know it now; undefined while it is not up. */
  readonly leader: () => LeaderPeer | undefined
}

export interface ReplicaFetcherOptions {
  readonly nodeId: number
  readonly leaderId: number
  readonly incarnation: number
  readonly waitMs: number
  readonly maxBytes: number
}

/** Pauses between attempts: the first, doubled each time up to the last. */
const RETRY_MS = 50
const RETRY_MAX_MS = 1000
/** One that restarts, or that others replace, is missed no oftener. */
const FAILURES_TOLD = 3

export class ReplicaFetcher {
  readonly #deps: ReplicaFetcherDeps
  readonly #options: ReplicaFetcherOptions
  readonly #copies = new Map<PartitionKey, FollowerCopy>()
  readonly #left: ReplicaKey[] = []
  /** Those that may have something to tell: of thousands, only what is written to is looked at. */
  readonly #changed = new Set<FollowerCopy>()
  readonly #unobserve = new Map<FollowerCopy, () => void>()
  /** Copies that could not go on; they are tried again after a pause. */
  readonly #paused = new Map<FollowerCopy, Timer>()
  /** How often in a row they could not. */
  readonly #setbacks = new WeakMap<FollowerCopy, number>()
  readonly #stop = new AbortController()
  readonly #running: Promise<void>
  /** Ends the pause or the request of the moment, as there is something to tell. */
  #interrupt = new AbortController()
  #sessionId = 0
  #step = 0
  #failures = 0

  constructor(deps: ReplicaFetcherDeps, options: ReplicaFetcherOptions) {
    this.#deps = deps
    this.#options = options
    this.#running = this.#run()
  }

  get partitions(): number {
    return this.#copies.size
  }

  /** The partition is followed from now on, or in another epoch. */
  add(replica: Replica): void {
    const key = keyOf(replica)
    let copy = this.#copies.get(key)
    if (copy?.replica !== replica) {
      if (copy !== undefined) this.#drop(copy)
      copy = this.#enter(replica)
      this.#copies.set(key, copy)
    }
    this.#changed.add(copy)
    this.#interrupt.abort()
  }

  remove(replica: Replica): void {
    const copy = this.#copies.get(keyOf(replica))
    if (copy === undefined) return
    this.#copies.delete(keyOf(replica))
    this.#drop(copy)
    const { topicId, partition } = replica.log.identity
    this.#left.push({ topicId, partition })
  }

  /** The leader has come or gone. */
  wake(): void {
    this.#interrupt.abort()
  }

  async close(): Promise<void> {
    this.#stop.abort()
    this.#interrupt.abort()
    for (const timer of this.#paused.values()) timer.cancel()
    this.#paused.clear()
    for (const unobserve of this.#unobserve.values()) unobserve()
    this.#unobserve.clear()
    await this.#running
  }

  #enter(replica: Replica): FollowerCopy {
    const copy = new FollowerCopy(this.#deps, replica)
    this.#unobserve.set(
      copy,
      replica.observe(() => this.#changed.add(copy)),
    )
    return copy
  }

  #drop(copy: FollowerCopy): void {
    this.#unobserve.get(copy)?.()
    this.#unobserve.delete(copy)
    this.#changed.delete(copy)
    this.#paused.get(copy)?.cancel()
    this.#paused.delete(copy)
  }

  async #run(): Promise<void> {
    // What is added in the same turn belongs to the first request.
    await Promise.resolve()
    while (!this.#stop.signal.aborted) {
      if (this.#interrupt.signal.aborted) this.#interrupt = new AbortController()
      try {
        const isReached = await this.#round(this.#interrupt.signal)
        if (isReached) this.#tellReached()
        this.#failures = 0
        if (!isReached) await this.#pause(RETRY_MAX_MS)
      } catch (error) {
        this.#sessionId = 0
        if (this.#stop.signal.aborted) return
        if (!this.#interrupt.signal.aborted) await this.#failed(error)
      }
    }
  }

  /** One request and what it brings; false if there is nothing to ask for, or nobody to ask. */
  async #round(signal: AbortSignal): Promise<boolean> {
    const leader = this.#deps.leader()
    if (leader === undefined) {
      this.#sessionId = 0
      return false
    }
    await this.#refill()
    const request = this.#request()
    if (this.#copies.size === 0) return false
    const reply = await leader.replicaFetch(request, signal)
    if (reply === 'session-unknown') {
      if (request.sessionId === 0) throw new Error('the leader opens no session')
      this.#sessionId = 0
      return true
    }
    this.#sessionId = reply.sessionId
    this.#step = reply.sessionStep
    await this.#apply(reply.parts)
    return true
  }

  /** What is damaged begins anew. */
  async #refill(): Promise<void> {
    for (const copy of [...this.#changed]) {
      const { following, log } = copy.replica
      if (following === undefined || !this.#deps.damaged.mayRefill(log)) continue
      if (!this.#paused.has(copy)) await this.#guard(copy, () => this.#begin(copy))
    }
  }

  async #begin(copy: FollowerCopy): Promise<void> {
    await copy.refill()
    this.#deps.damaged.refilled()
  }

  #request(): ReplicaFetchRequest {
    const { nodeId, incarnation, waitMs, maxBytes } = this.#options
    const isNew = this.#sessionId === 0
    if (isNew) this.#step = 0
    const positions = []
    for (const copy of isNew ? this.#copies.values() : this.#changed) {
      const { following, log } = copy.replica
      if (following === undefined || log.damage !== undefined || this.#paused.has(copy)) continue
      if (isNew || copy.hasNews) positions.push(copy.tell(following.leaderEpoch))
    }
    this.#changed.clear()
    const left = this.#left.splice(0)
    return {
      followerId: nodeId,
      incarnation,
      sessionId: this.#sessionId,
      sessionStep: this.#step + 1,
      positions,
      forget: isNew ? [] : left.filter((key) => !this.#copies.has(keyOfParts(key))),
      maxBytes,
      waitMs,
    }
  }

  async #apply(parts: Extract<ReplicaFetchReply, object>['parts']): Promise<void> {
    const { storage } = this.#deps
    const touched: FollowerCopy[] = []
    const waiting: Promise<void>[] = []
    for (const part of parts) {
      const copy = this.#copies.get(keyOfParts(part))
      if (copy === undefined) continue
      touched.push(copy)
      this.#changed.add(copy)
      const applied = this.#guard(copy, () => this.#take(copy, part))
      if (applied !== undefined) waiting.push(applied)
    }
    if (waiting.length > 0) await Promise.all(waiting)
    await storage.appender.journaled()
    for (const copy of touched) {
      const settled = this.#guard(copy, () => this.#settle(copy))
      if (settled !== undefined) await settled
    }
  }

  #take(copy: FollowerCopy, part: ReplicaFetchPart): Promise<void> | undefined {
    const applied = copy.apply(part)
    if (typeof applied !== 'string') return applied.then((later) => this.#taken(copy, later))
    this.#taken(copy, applied)
    return undefined
  }

  #taken(copy: FollowerCopy, applied: Applied): void {
    if (applied === 'later') this.#hold(copy)
    else this.#setbacks.delete(copy)
  }

  #settle(copy: FollowerCopy): Promise<void> | undefined {
    const { log } = copy.replica
    if (log.flush !== 'os') return copy.settle()
    return this.#deps.storage.write(log).then(() => copy.settle())
  }

  /** What is wrong with one log must not hold up the others. A promise only if there is something to wait for. */
  #guard(copy: FollowerCopy, job: () => Promise<void> | undefined): Promise<void> | undefined {
    try {
      return job()?.catch((error: unknown) => this.#broken(copy, error))
    } catch (error) {
      this.#broken(copy, error)
      return undefined
    }
  }

  #broken(copy: FollowerCopy, error: unknown): void {
    if (this.#stop.signal.aborted || this.#deps.damaged.found(copy.replica, error)) return
    const { topicName: topic, partition } = copy.replica.log.identity
    this.#deps.logger.error({ err: error, topic, partition }, 'a partition cannot be copied')
    this.#hold(copy)
  }

  /** Full, or not to be understood: asks for the partition again after a while. */
  #hold(copy: FollowerCopy): void {
    if (this.#stop.signal.aborted) return
    const setbacks = (this.#setbacks.get(copy) ?? 0) + 1
    this.#setbacks.set(copy, setbacks)
    const timer = this.#deps.clock.timer(retryMs(setbacks), () => {
      this.#paused.delete(copy)
      this.#changed.add(copy)
      copy.ask()
      this.#interrupt.abort()
    })
    this.#paused.get(copy)?.cancel()
    this.#paused.set(copy, timer)
  }

  #tellReached(): void {
    if (this.#failures < FAILURES_TOLD) return
    const { leaderId } = this.#options
    this.#deps.logger.info({ node: leaderId }, 'the leader can be reached again')
  }

  async #failed(error: unknown): Promise<void> {
    this.#failures++
    if (this.#failures === FAILURES_TOLD) {
      const fields = { node: this.#options.leaderId, why: whyOf(error) }
      this.#deps.logger.warn(fields, 'a leader cannot be reached for its records')
    }
    await this.#pause(retryMs(this.#failures))
  }

  /** Half to one and a half of the time, unless there is something to do before. */
  async #pause(pauseMs: number): Promise<void> {
    const { clock, random } = this.#deps
    await clock
      .sleep(pauseMs * (0.5 + random.float()), this.#interrupt.signal)
      .catch(() => undefined)
  }
}

function retryMs(failures: number): number {
  return Math.min(RETRY_MS * 2 ** Math.min(failures, 10), RETRY_MAX_MS)
}

function keyOf(replica: Replica): PartitionKey {
  return keyOfParts(replica.log.identity)
}

function keyOfParts({ topicId, partition }: ReplicaKey): PartitionKey {
  return partitionKey(topicId, partition)
}
