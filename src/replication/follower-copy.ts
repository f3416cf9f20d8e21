/** One partition of a follower: applies what its leader sends, and cuts what the leader does not have. */
import {
  batchBaseOffset,
  batchBytes,
  batchLastOffset,
  batchLeaderEpoch,
  batchMaxTimestamp,
  batchRecordCount,
  checkBatch,
} from '../core/record-batch.ts'
import type { Logger } from '../env/logger.ts'
import type { LogManager } from '../storage/log-manager.ts'
import { placeholders } from '../storage/placeholder-batch.ts'
import type {
  ReplicaFetchData,
  ReplicaFetchDiverging,
  ReplicaFetchPart,
  ReplicaFetchPosition,
} from '../wire/replica-fetch.ts'
import { refusalOf } from './append-call.ts'
import { ownBytes } from './own-bytes.ts'
import type { Replica } from './replica.ts'

/** `later`: the node cannot take the records now, or what came cannot be right. */
export type Applied = 'applied' | 'later'

export class FollowerCopy {
  readonly replica: Replica
  readonly #storage: LogManager
  readonly #logger: Logger
  /** What the leader was last told. */
  #told: ReplicaFetchPosition | undefined
  /** Where the leader's log starts, behind all that is here: what comes from there replaces it. */
  #anewFrom: number | undefined
  /** What the leader sent last, as long as it is not known to be safe here. */
  #unsettled: ReplicaFetchData | undefined

  constructor(deps: { storage: LogManager; logger: Logger }, replica: Replica) {
    this.replica = replica
    this.#storage = deps.storage
    this.#logger = deps.logger
  }

  /** Has the leader told again, also if nothing has changed: what it sent could not be taken. */
  ask(): void {
    this.#told = undefined
  }

  /** Where the follower stands; to be sent. */
  tell(leaderEpoch: number): ReplicaFetchPosition {
    const { log } = this.replica
    const { topicId, partition } = log.identity
    this.#told = {
      topicId,
      partition,
      leaderEpoch,
      fetchOffset: this.#fetchOffset,
      durableOffset: log.durableEnd,
      lastFetchedEpoch: this.#anewFrom === undefined ? log.lastEpoch : -1,
      logStartOffset: log.durableStart,
    }
    return this.#told
  }

  /** Whether the leader was told something else than what holds now. */
  get hasNews(): boolean {
    const { log, following } = this.replica
    const told = this.#told
    return (
      told === undefined ||
      told.fetchOffset !== this.#fetchOffset ||
      told.durableOffset !== log.durableEnd ||
      told.logStartOffset !== log.durableStart ||
      told.leaderEpoch !== following?.leaderEpoch
    )
  }

  /** At once, unless there is something to wait for. */
  apply(part: ReplicaFetchPart): Applied | Promise<Applied> {
    const told = this.#told
    const { log, following } = this.replica
    // The role or the log has changed since it was asked for.
    if (told === undefined || following?.leaderEpoch !== told.leaderEpoch) return 'applied'
    if (this.#fetchOffset !== told.fetchOffset || log.damage !== undefined) return 'applied'
    switch (part.kind) {
      case 'data':
        if (part.leaderEpoch !== told.leaderEpoch) return 'applied'
        return this.#append(part, told.leaderEpoch)
      case 'diverging':
        return this.#truncate(part).then(() => 'applied')
      case 'refused':
        if (part.code !== 'offset-out-of-range' || part.logStartOffset < this.#fetchOffset) {
          return 'later'
        }
        this.#anewFrom = part.logStartOffset
        this.ask()
        return 'applied'
    }
  }

  /** Gives up all that is here, of which nobody expects anything any more, for what the leader has. */
  async refill(): Promise<void> {
    const { log } = this.replica
    const why = log.damage
    let keptIn = ''
    this.#anewFrom = undefined
    await this.replica.replaceEnd(async () => {
      keptIn = await this.#storage.putAside(log)
    })
    this.#warn({ why, keptIn }, 'a damaged log begins anew')
    this.ask()
  }

  get #fetchOffset(): number {
    return this.#anewFrom ?? this.replica.log.endOffset
  }

  #append(part: ReplicaFetchData, leaderEpoch: number): Applied | Promise<Applied> {
    let bytes = 0
    for (const batch of part.batches) bytes += batch.length
    if (bytes === 0) return this.#admit(part, bytes, leaderEpoch)
    return this.#enter(bytes, () => this.#admit(part, bytes, leaderEpoch))
  }

  #admit(part: ReplicaFetchData, bytes: number, leaderEpoch: number): Applied | Promise<Applied> {
    if (this.replica.following?.leaderEpoch !== leaderEpoch) return 'applied'
    if (this.#missesDeletions(part)) {
      this.#log({ purgedEnd: part.purgedEnd }, 'deletions of keys were missed: the log begins anew')
      this.#anewFrom = part.logStartOffset
      this.ask()
      return 'applied'
    }
    if (this.#isCutShort(part)) {
      this.#anewFrom = this.replica.log.endOffset
      this.ask()
      return 'applied'
    }
    if (this.#anewFrom === undefined) return this.#takeIn(part, bytes, leaderEpoch)
    return this.#beginAnew(part, leaderEpoch).then((isBegun) =>
      isBegun ? this.#takeIn(part, bytes, leaderEpoch) : 'later',
    )
  }

  #takeIn(part: ReplicaFetchData, bytes: number, leaderEpoch: number): Applied {
    const { log } = this.replica
    if (this.replica.following?.leaderEpoch !== leaderEpoch) return 'applied'
    this.#notePurged(part)
    for (const sent of part.batches) {
      const batch = this.#fromEnd(sent)
      if (!this.#continues(batch, leaderEpoch)) {
        this.#warn({}, 'the leader sent records that do not continue the log')
        return 'later'
      }
      try {
        this.#storage.appender.append(log, ownBytes(batch, bytes))
      } catch (error) {
        if (refusalOf(error) === undefined) throw error
        return 'later'
      }
    }
    this.#unsettled = part
    // The leader waits to be told, also if the disk takes it all back.
    if (bytes > 0) this.ask()
    return 'applied'
  }

  /** What was applied is safe by now, or was refused: the bounds that came with it hold as far as it is. */
  settle(): Promise<void> | undefined {
    const part = this.#unsettled
    this.#unsettled = undefined
    const { log, following } = this.replica
    if (part === undefined || following?.leaderEpoch !== part.leaderEpoch) return undefined
    this.replica.committedTo(part.highWatermark)
    const start = Math.min(part.logStartOffset, log.highWatermark)
    return start > log.startOffset ? this.#storage.raiseStart(log, start) : undefined
  }

  /** KIP-279: again and again, until both have the same last epoch. */
  async #truncate({ divergingEpoch, endOffset }: ReplicaFetchDiverging): Promise<void> {
    const { log } = this.replica
    this.#anewFrom = undefined
    // Without an epoch that both could have, all that is the same is below the leader's start.
    const ownEnd =
      divergingEpoch === -1 ? endOffset : log.epochs.endOffsetOf(divergingEpoch, log.endOffset)
    const end = Math.min(endOffset, ownEnd)
    // Compaction has removed records for later ones that would go now.
    const isThinned =
      log.settings.compaction !== undefined &&
      end < Math.max(log.highWatermark, log.compacted.endOffset)
    // Below the start there is nothing that the two could have in common: all is to come anew.
    const cutTo = end < log.startOffset || isThinned ? 0 : end
    const fields = { from: log.endOffset, to: cutTo, divergingEpoch }
    if (cutTo < log.highWatermark) {
      this.#warn(
        fields,
        'cutting records that were committed: their leader was elected without them',
      )
    } else this.#log(fields, 'cutting records that the leader does not have')
    await this.replica.replaceEnd(() => this.#storage.truncate(log, cutTo))
  }

  /** A log starts wherever records were deleted, also amid a batch, which still comes whole. */
  async #beginAnew(part: ReplicaFetchData, leaderEpoch: number): Promise<boolean> {
    const { log } = this.replica
    const from = this.#anewFrom ?? log.endOffset
    const [first] = part.batches
    const isRight = first === undefined || (isWhole(first) && batchLastOffset(first) >= from)
    const offset = first === undefined ? from : batchBaseOffset(first)
    if (!isRight || offset > from) {
      this.#warn({ from }, 'the leader sent records from elsewhere than it was asked for')
      return false
    }
    this.#log(
      { from: log.endOffset, to: offset, leaderEpoch },
      'the leader has removed what this log needs next',
    )
    await this.replica.replaceEnd(() => this.#storage.restart(log, offset))
    this.#anewFrom = undefined
    return true
  }

  /** Whether there are records here whose deletion came after them, and is gone at the leader. */
  #missesDeletions({ purgedEnd }: ReplicaFetchData): boolean {
    const { log } = this.replica
    const isEmpty = log.startOffset === log.endOffset
    if (this.#anewFrom !== undefined || isEmpty) return false
    return purgedEnd > log.compacted.purgedEnd && purgedEnd > log.endOffset
  }

  /**
   * Whether this log ends where the leader's starts, amid a batch: what is here is not the first part
   * of that batch, and the leader has nothing of it any more.
   */
  #isCutShort({ batches: [first], logStartOffset }: ReplicaFetchData): boolean {
    const { endOffset } = this.replica.log
    if (this.#anewFrom !== undefined || endOffset !== logStartOffset) return false
    if (first === undefined || !isWhole(first)) return false
    return batchBaseOffset(first) < endOffset && endOffset <= batchLastOffset(first)
  }

  /** What is here now lacks no more than what the leader has, and no less. */
  #notePurged({ purgedEnd }: ReplicaFetchData): void {
    const { log } = this.replica
    if (purgedEnd <= log.compacted.purgedEnd) return
    log.compactTo({ ...log.compacted, purgedEnd })
    this.#storage.checkpoints.note(log)
  }

  /** Compaction joins batches whose records are all gone: one may begin below what is needed next. */
  #fromEnd(batch: Uint8Array): Uint8Array {
    const { endOffset } = this.replica.log
    if (!isWhole(batch) || batchRecordCount(batch) > 0) return batch
    const toOffset = batchLastOffset(batch) + 1
    if (batchBaseOffset(batch) >= endOffset || toOffset <= endOffset) return batch
    const timestampMs = batchMaxTimestamp(batch)
    const [rest] = placeholders(endOffset, toOffset, batchLeaderEpoch(batch), timestampMs)
    return rest ?? batch
  }

  #continues(batch: Uint8Array, leaderEpoch: number): boolean {
    const { log } = this.replica
    if (!isWhole(batch)) return false
    const epoch = batchLeaderEpoch(batch)
    return (
      batchBaseOffset(batch) === log.endOffset &&
      batchLastOffset(batch) >= log.endOffset &&
      epoch >= log.lastEpoch &&
      epoch <= leaderEpoch
    )
  }

  /** As soon as there is room; `take` takes it at once, before others are let in. */
  #enter(bytes: number, take: () => Applied | Promise<Applied>): Applied | Promise<Applied> {
    let taken: Applied | Promise<Applied> | undefined
    let settle = (now: Applied | Promise<Applied>) => {
      taken = now
    }
    this.#storage.gate.enter(bytes, (outcome) => {
      settle(outcome === 'entered' ? attempt(take) : 'later')
    })
    if (taken !== undefined) return taken
    return new Promise((resolve) => {
      settle = resolve
    })
  }

  #log(fields: object, message: string): void {
    this.#logger.info({ ...this.#name(), ...fields }, message)
  }

  #warn(fields: object, message: string): void {
    this.#logger.warn({ ...this.#name(), ...fields }, message)
  }

  #name(): { topic: string; partition: number } {
    const { topicName, partition } = this.replica.log.identity
    return { topic: topicName, partition }
  }
}

/** Whoever lets in what waits is not to be met by what goes wrong with it. */
function attempt<T>(job: () => T | Promise<T>): T | Promise<T> {
  try {
    return job()
  } catch (error) {
    return Promise.reject(error)
  }
}

function isWhole(batch: Uint8Array): boolean {
  return checkBatch(batch, 0, batch.length) === 'valid' && batchBytes(batch) === batch.length
}
