/**
 * A partition that this node hosts: its log, the leader epoch under which it appends, and the
 * watermarks on which acknowledgements and readers wait. With one replica, what is durable here is
 * committed.
 */
import {
  batchBaseOffset,
  batchBytes,
  batchLastOffset,
  batchRecordCount,
  checkBatch,
  stampBatch,
} from '../core/record-batch.ts'
import { assert } from '../lib/assert.ts'
import type { ServiceError } from '../lib/service-error.ts'
import { ThresholdWaiters } from '../lib/threshold-waiters.ts'
import type { LogAppender } from '../storage/log-appender.ts'
import type { PartitionLog } from '../storage/partition-log.ts'
import type { AppendRequest, Refusal } from '../wire/internal.ts'
import { refusalOf, refuse } from './append-call.ts'
import type { AppendResult } from './pending-acks.ts'
import { PendingAcks } from './pending-acks.ts'

const READERS_MAX = 100_000
const SLACK_BYTES = 4096

export interface ReplicaOptions {
  readonly leaderEpoch: number
  /** -1: the batch keeps its own times. */
  readonly appendTimeMs: () => number
}

export class Replica {
  readonly log: PartitionLog
  /** Committed up to here; readers wait on it. */
  readonly highWatermark: ThresholdWaiters
  readonly #appender: LogAppender
  readonly #durableAcks = new PendingAcks()
  readonly #committedAcks = new PendingAcks()
  #leaderEpoch: number
  #options: ReplicaOptions

  constructor(deps: { log: PartitionLog; appender: LogAppender }, options: ReplicaOptions) {
    this.log = deps.log
    this.#appender = deps.appender
    this.#options = options
    this.#leaderEpoch = -1
    this.log.commitTo(this.log.durableEnd)
    this.highWatermark = new ThresholdWaiters(this.log.highWatermark, READERS_MAX)
    this.log.onDurable = (durableEnd) => this.#durable(durableEnd)
    this.log.onRefused = (endOffset) => this.#refuseBeyond(endOffset)
    this.configure(options)
  }

  get leaderEpoch(): number {
    return this.#leaderEpoch
  }

  get acksWaiting(): number {
    return this.#durableAcks.waiting + this.#committedAcks.waiting
  }

  /** Takes over what the metadata say; a higher leader epoch begins at the end of the log. */
  configure(options: ReplicaOptions): void {
    this.#options = options
    // Where records may have been lost, readers must be able to tell old ones from those that
    // took their offsets.
    const least = this.log.epochs.latest + (this.log.lossPossible ? 1 : 0)
    const leaderEpoch = Math.max(options.leaderEpoch, least, 0)
    if (leaderEpoch <= this.#leaderEpoch || this.log.damage !== undefined) return
    this.#leaderEpoch = leaderEpoch
    this.log.lossPossible = false
    this.#appender.beginEpoch(this.log, leaderEpoch)
  }

  /** Appends and settles when the level asked for is reached; a refusal settles at once. */
  append(request: AppendRequest, settle: (result: AppendResult) => void): void {
    const { log } = this
    const { acks, batch, expectedOffset } = request
    const fault = this.#fault(batch)
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
    const appendTimeMs = this.#options.appendTimeMs()
    const stamp = { baseOffset: tail, leaderEpoch: this.#leaderEpoch }
    stampBatch(batch, appendTimeMs === -1 ? stamp : { ...stamp, appendTimeMs })
    try {
      this.#appender.append(log, ownBytes(batch))
    } catch (error) {
      settle(this.#refusal(error))
      return
    }
    const result: AppendResult = { ok: true, baseOffset: tail, appendTimeMs }
    if (acks === 0) settle(result)
    else waiting.push({ endOffset: log.endOffset, result, settle })
  }

  /** Calls `wake` once when records below `offset` are committed, unless cancelled before. */
  subscribe(offset: number, wake: () => void): () => void {
    return this.highWatermark.subscribe(offset, wake)
  }

  /** The node stops or has failed: nobody is left waiting. */
  close(reason: ServiceError): void {
    const refusal = refusalOf(reason)
    assert(refusal !== undefined, 'a service error is an answer')
    this.#durableAcks.refuseBeyond(-1, refusal)
    this.#committedAcks.refuseBeyond(-1, refusal)
  }

  #durable(durableEnd: number): void {
    this.#durableAcks.advance(durableEnd)
    this.log.commitTo(durableEnd)
    this.#committedAcks.advance(durableEnd)
    this.highWatermark.advance(durableEnd)
  }

  #refuseBeyond(endOffset: number): void {
    const refusal = refuse('disk-full', 'the disk is full')
    this.#durableAcks.refuseBeyond(endOffset, refusal)
    this.#committedAcks.refuseBeyond(endOffset, refusal)
  }

  /**
   * Every batch is checked, also those of a front in the same process: a checksum costs less than
   * a thousandth of the request, and what is not whole must never be acknowledged.
   */
  #fault(batch: Uint8Array): Refusal | undefined {
    if (this.log.damage !== undefined) return refuse('partition-damaged', this.log.damage)
    const limit = this.#appender.maxBatchBytes
    if (batch.length > limit) {
      return refuse('body-too-large', `the batch has ${batch.length} bytes`, { limit })
    }
    const isValid =
      checkBatch(batch, 0, batch.length) === 'valid' &&
      batchBytes(batch) === batch.length &&
      batchBaseOffset(batch) === 0 &&
      batchRecordCount(batch) === batchLastOffset(batch) + 1
    if (isValid) return undefined
    return {
      ...refuse('internal-error', 'a front sent a batch that is not valid'),
      committed: 'no',
    }
  }

  #refusal(error: unknown): Refusal {
    const refusal = refusalOf(error)
    if (refusal === undefined) throw error
    return refusal
  }
}

/** The batch stays in memory for long: it must not keep a larger buffer alive. */
function ownBytes(batch: Uint8Array): Uint8Array {
  return batch.buffer.byteLength > batch.length * 2 + SLACK_BYTES ? Uint8Array.from(batch) : batch
}
