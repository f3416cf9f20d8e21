/**
 * A partition as its leader for one leader epoch: takes appends, follows how far the followers are,
 * moves the high watermark, and settles what waits for it.
 */

import type { Assignment, FollowerFetch, Peers } from '../core/in-sync-replicas.ts'
import { InSyncReplicas } from '../core/in-sync-replicas.ts'
import {
  batchBaseOffset,
  batchBytes,
  batchLastOffset,
  batchRecordCount,
  checkBatch,
  stampBatch,
} from '../core/record-batch.ts'
import { RecordCursor } from '../core/record-cursor.ts'
import type { LogAppender } from '../storage/log-appender.ts'
import type { PartitionLog } from '../storage/partition-log.ts'
import type { AppendRequest, Refusal } from '../wire/internal.ts'
import { refusalOf, refuse } from './append-call.ts'
import { ownBytes } from './own-bytes.ts'
import type { AppendResult } from './pending-acks.ts'
import { PendingAcks } from './pending-acks.ts'

export interface LeaderTerm {
  /** As the metadata have it; fronts name it with what they append. */
  readonly leaderEpoch: number
  readonly assignment: Assignment
  /** -1: the batch keeps its own times. */
  readonly appendTimeMs: () => number
}

export interface LeaderTenureDeps {
  readonly log: PartitionLog
  readonly appender: LogAppender
  readonly nodeId: number
  readonly lagMaxMs: number
  readonly peers: Peers
  /** Whether it is certain that nobody else leads; needed where one copy is enough. */
  readonly isCertain: () => boolean
  /** The high watermark of the log has moved. */
  readonly onCommitted: () => void
  /** A replica that is not in sync has come further. */
  readonly onOutsider: () => void
}

export class LeaderTenure {
  readonly inSync: InSyncReplicas
  /** Where the log ended when the tenure began, or where it was cut since: what it had got may be refused yet. */
  #epochStart: number
  readonly #deps: LeaderTenureDeps
  readonly #appendEpoch: number
  #leaderEnd: number
  readonly #durableAcks = new PendingAcks()
  readonly #committedAcks = new PendingAcks()
  /** Told of each fetch of a follower. */
  readonly #watchers = new Set<() => void>()
  #term: LeaderTerm

  constructor(deps: LeaderTenureDeps, term: LeaderTerm, nowMs: number) {
    const { log, appender, nodeId, lagMaxMs, peers } = deps
    this.#deps = deps
    this.#term = term
    this.inSync = new InSyncReplicas({ nodeId, lagMaxMs, peers }, term.assignment, nowMs)
    // Where a sole replica may have lost records, readers must be able to tell old ones from those
    // that took their offsets.
    const least = log.epochs.latest + (log.lossPossible ? 1 : 0)
    this.#appendEpoch = Math.max(term.leaderEpoch, least, 0)
    this.#epochStart = log.endOffset
    this.#leaderEnd = log.durableEnd
    log.lossPossible = false
    appender.beginEpoch(log, this.#appendEpoch)
    this.#advance()
  }

  get epochStart(): number {
    return this.#epochStart
  }

  get leaderEpoch(): number {
    return this.#term.leaderEpoch
  }

  /** Epoch that is written into records; above that of the metadata only where there is one replica. */
  get appendEpoch(): number {
    return this.#appendEpoch
  }

  get acksWaiting(): number {
    return this.#durableAcks.waiting + this.#committedAcks.waiting
  }

  /** The same epoch, as the metadata have it now. */
  renew(term: LeaderTerm): void {
    this.#term = term
    this.inSync.assign(term.assignment)
    this.#advance()
    for (const look of this.#watchers) look()
  }

  /** Appends and settles when the level asked for is reached; a refusal settles at once. */
  append(request: AppendRequest, settle: (result: AppendResult) => void): void {
    const { log, appender } = this.#deps
    const { acks, batch, expectedOffset } = request
    const fault = this.#fault(request)
    if (fault !== undefined) {
      settle(fault)
      return
    }
    const tail = log.endOffset
    const waiting = acks === 1 ? this.#durableAcks : this.#committedAcks
    if (expectedOffset !== undefined && expectedOffset !== tail) {
      // The answer names the end of the log, so it waits until that is certain.
      const result = refuse('precondition-failed', `the log ends at ${tail}`, { tail })
      waiting.push({ endOffset: tail, result, settle })
      waiting.advance(acks === 1 ? log.durableEnd : log.highWatermark)
      return
    }
    const appendTimeMs = this.#term.appendTimeMs()
    const stamp = { baseOffset: tail, leaderEpoch: this.#appendEpoch }
    stampBatch(batch, appendTimeMs === -1 ? stamp : { ...stamp, appendTimeMs })
    try {
      appender.append(log, ownBytes(batch))
    } catch (error) {
      const refusal = refusalOf(error)
      if (refusal === undefined) throw error
      settle(refusal)
      return
    }
    const result: AppendResult = { ok: true, baseOffset: tail, appendTimeMs }
    if (acks === 0) settle(result)
    else waiting.push({ endOffset: log.endOffset, result, settle })
  }

  /** A follower asked for records behind `fetchOffset`. */
  fetched(nodeId: number, fetch: FollowerFetch, nowMs: number): void {
    this.inSync.fetched(nodeId, fetch, this.#deps.log.durableEnd, nowMs)
    this.#advance()
    if (!this.inSync.assignment.isr.includes(nodeId)) this.#deps.onOutsider()
    for (const look of this.#watchers) look()
  }

  /** Resolves when nobody can lead next who still has what is below `offset`; rejects with the signal's reason. */
  removedEverywhere(offset: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const look = () => {
      if (this.inSync.haveRemoved(offset)) resolve()
    }
    const abort = () => reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    if (signal.aborted) abort()
    this.#watchers.add(look)
    look()
    return promise.finally(() => {
      this.#watchers.delete(look)
      signal.removeEventListener('abort', abort)
    })
  }

  /** The log is durable further than it was. */
  durable(durableEnd: number): void {
    this.inSync.endMoves(this.#leaderEnd)
    this.#leaderEnd = durableEnd
    this.#durableAcks.advance(durableEnd)
    this.#advance()
  }

  /** Records from `endOffset` on were taken back by the storage. */
  refused(endOffset: number, refusal: Refusal): void {
    this.#epochStart = Math.min(this.#epochStart, endOffset)
    this.inSync.endFell(endOffset)
    this.#refuseBeyond(endOffset, refusal)
  }

  /** Nobody is left waiting. */
  end(refusal: Refusal): void {
    this.#refuseBeyond(-1, refusal)
  }

  #refuseBeyond(endOffset: number, refusal: Refusal): void {
    this.#durableAcks.refuseBeyond(endOffset, refusal)
    this.#committedAcks.refuseBeyond(endOffset, refusal)
  }

  #advance(): void {
    const { log } = this.#deps
    const committed = this.inSync.highWatermark(log.highWatermark, log.durableEnd)
    if (committed === log.highWatermark) return
    log.commitTo(committed)
    this.#committedAcks.advance(committed)
    this.#deps.onCommitted()
  }

  #fault({ acks, batch, leaderEpoch }: AppendRequest): Refusal | undefined {
    if (leaderEpoch !== undefined && leaderEpoch !== this.#term.leaderEpoch) {
      return refuse('partition-unavailable', `the leader epoch is ${this.#term.leaderEpoch}`)
    }
    if (acks === -1 && !this.inSync.hasEnough) {
      const { isr, minInsync } = this.inSync.assignment
      const detail = `${isr.length} replicas are in sync, ${minInsync} are needed`
      return refuse('not-enough-replicas', detail)
    }
    // With acks=all a leader that was voted out cannot promise anything; with one copy it could.
    if (acks !== -1 && !this.#deps.isCertain()) {
      return refuse('partition-unavailable', 'the leader cannot be certain that it still leads')
    }
    return this.#batchFault(batch)
  }

  /**
   * Every batch is checked, also those of a front in the same process: a checksum costs less than
   * a thousandth of the request, and what is not whole must never be acknowledged.
   */
  #batchFault(batch: Uint8Array): Refusal | undefined {
    const limit = this.#deps.appender.maxBatchBytes
    if (batch.length > limit) {
      return refuse('body-too-large', `the batch has ${batch.length} bytes`, { limit })
    }
    const isValid =
      checkBatch(batch, 0, batch.length) === 'valid' &&
      batchBytes(batch) === batch.length &&
      batchBaseOffset(batch) === 0 &&
      batchRecordCount(batch) === batchLastOffset(batch) + 1
    if (isValid) return this.#keyFault(batch)
    return {
      ...refuse('internal-error', 'a front sent a batch that is not valid'),
      committed: 'no',
    }
  }

  /** A front that does not know yet that the topic is compacted lets records without a key pass. */
  #keyFault(batch: Uint8Array): Refusal | undefined {
    if (this.#deps.log.settings.compaction === undefined) return undefined
    const cursor = new RecordCursor()
    cursor.reset(batch)
    while (cursor.next()) {
      if (cursor.keyStart === -1) return refuse('key-required', 'a record has no key')
    }
    return undefined
  }
}
