/**
 * What a front asks of the storage node that leads a partition. In one process the calls are
 * direct; between machines the same messages travel over internal HTTP. Record batches pass as
 * opaque bytes (Kafka's RecordBatch v2).
 */
import type { TopicId } from '../core/ids.ts'
import type { Committed, ErrorCode } from '../lib/service-error.ts'

/** 0: nothing promised. 1: durable on the leader. -1: durable on every in-sync replica. */
export type Acks = 0 | 1 | -1
/** `committed`: up to the last stable offset. `uncommitted`: up to the high watermark. */
export type Isolation = 'committed' | 'uncommitted'

export interface Refusal {
  readonly ok: false
  readonly code: ErrorCode
  readonly detail: string
  readonly committed: Committed
  readonly members?: Readonly<Record<string, string | number>>
}

export interface AppendRequest {
  readonly topicId: TopicId
  readonly partition: number
  /** The epoch in which the sender takes the receiver for the leader; any if absent. */
  readonly leaderEpoch?: number
  readonly acks: Acks
  /** Append only if the log ends here; otherwise `precondition-failed` with member `tail` (offset). */
  readonly expectedOffset?: number
  /** A whole batch with base offset 0. The leader owns it from now on and stamps it in place. */
  readonly batch: Uint8Array
}

export interface Appended {
  readonly ok: true
  readonly baseOffset: number
  /** The leader's stamp where the topic has `timestamps: append`, else -1: the batch's own hold. */
  readonly appendTimeMs: number
}

export interface FetchPosition {
  readonly topicId: TopicId
  readonly partition: number
  /** First offset wanted. A batch that holds it may start below it. */
  readonly offset: number
  /** Leader epoch of the last record read, -1 if none: lets the leader see that the reader followed a log that was cut. */
  readonly lastEpoch: number
}

export interface FetchRequest {
  readonly positions: readonly FetchPosition[]
  /** Over all partitions; the first batch comes whole even if it is larger. */
  readonly maxBytes: number
  /** How long to wait for the first data, 0 for not at all. */
  readonly waitMs: number
  readonly isolation: Isolation
  /**
   * In-sync followers may answer: with records below their own high watermark, with nothing where they
   * have none yet, and with `partition-unavailable` for what only a leader can tell.
   */
  readonly fromFollower?: boolean
}

export interface Fetched {
  readonly ok: true
  readonly topicId: TopicId
  readonly partition: number
  /** Whole batches in offset order, below the bound of the isolation level. Shared memory: never written to before `release`. */
  readonly batches: readonly Uint8Array[]
  /** Where the next fetch goes on; beyond the last batch, also when nothing of it is for readers. */
  readonly nextOffset: number
  readonly highWatermark: number
  readonly logStartOffset: number
  /** Says that nobody looks at the batches any more, so that their memory may be used again; it need not be called. */
  readonly release?: (() => void) | undefined
}

/**
 * `cursor-expired` has member `earliest` (offset), `offset-out-of-range` has `tail` (offset; also
 * when lastEpoch shows that the log was cut below `offset`) and the `leaderEpoch` of who says so.
 */
export type FetchResult = Fetched | (Refusal & Pick<Fetched, 'topicId' | 'partition'>)

/** A place in a log, as `from=` names it. `last` counts offsets back from the high watermark. */
export type OffsetQuery =
  | 'earliest'
  | 'latest'
  | { readonly timeMs: number }
  | { readonly last: number }

export interface PartitionPlace {
  readonly topicId: TopicId
  readonly partition: number
}

/** What a node holds of a partition, whatever it is to it. */
export interface ReplicaLog {
  /** Whether the node answers for the partition as its leader. */
  readonly leads: boolean
  /** Leader epoch of the last record, -1 if there is none. */
  readonly lastEpoch: number
  readonly logStartOffset: number
  readonly logEndOffset: number
  readonly damaged: boolean
}

export interface PartitionOffsets {
  readonly logStartOffset: number
  readonly highWatermark: number
  readonly logEndOffset: number
  readonly sizeBytes: number
  readonly leaderEpoch: number
}

/** The calls of a storage node that fronts use. Each rejects with ServiceError; signals stop the waiting, never an admitted append. */
export interface StorageService {
  /**
   * One promise per request, in order; they settle independently and never reject. `admitted` is
   * called once, when each has its offset or is refused: what is appended later comes behind.
   */
  append(
    requests: readonly AppendRequest[],
    signal: AbortSignal,
    admitted?: () => void,
  ): Promise<Appended | Refusal>[]
  /**
   * Answers as soon as one position has data, an error, or waitMs has passed. Positions without
   * data are left out of the answer. Sync when it need not wait or read a disk is not promised.
   */
  fetch(request: FetchRequest, signal: AbortSignal): Promise<FetchResult[]>
  /** The offset of the first record at or after the place. */
  resolveOffset(
    topicId: TopicId,
    partition: number,
    at: OffsetQuery,
  ): Promise<{ offset: number; lastEpoch: number }>
  offsets(topicId: TopicId, partition: number): PartitionOffsets | Promise<PartitionOffsets>
  /** Of many partitions at once, in order; undefined for those whose leader cannot be asked. Never rejects. */
  offsetsOf(partitions: readonly PartitionPlace[]): Promise<(PartitionOffsets | undefined)[]>
  /** Where that can be told at once, without asking another process; undefined elsewhere. */
  offsetsNow(topicId: TopicId, partition: number): PartitionOffsets | undefined
  /** Removes records below `before` (at most the high watermark) for good; durable when it resolves. */
  deleteRecords(
    topicId: TopicId,
    partition: number,
    before: number,
  ): Promise<{ logStartOffset: number }>
}
