/**
 * What a follower asks of a leader: the records after its own, for all partitions that the two
 * share, while it tells how far it has come.
 */
import type { TopicId } from '../core/ids.ts'

export interface ReplicaFetchPosition {
  readonly topicId: TopicId
  readonly partition: number
  readonly leaderEpoch: number
  /** The follower's log end. */
  readonly fetchOffset: number
  /** Below it all is durable at the follower. */
  readonly durableOffset: number
  /** Leader epoch of the follower's last record, -1 if it has none. */
  readonly lastFetchedEpoch: number
  readonly logStartOffset: number
}

export interface ReplicaKey {
  readonly topicId: TopicId
  readonly partition: number
}

export interface ReplicaFetchRequest {
  readonly followerId: number
  readonly incarnation: number
  /** 0 opens a new session with all positions; else only what changed since the step before is named. */
  readonly sessionId: number
  readonly sessionStep: number
  readonly positions: readonly ReplicaFetchPosition[]
  /** Partitions that leave the session. */
  readonly forget: readonly ReplicaKey[]
  /** Over all partitions; the first batch comes whole even if it is larger. */
  readonly maxBytes: number
  readonly waitMs: number
}

export const REPLICA_REFUSALS = [
  'fenced',
  'unknown-epoch',
  'not-leader',
  'not-replica',
  'offset-out-of-range',
  'damaged',
] as const
export type ReplicaRefusalCode = (typeof REPLICA_REFUSALS)[number]

export interface ReplicaFetchData extends ReplicaKey {
  readonly kind: 'data'
  readonly leaderEpoch: number
  readonly highWatermark: number
  readonly logStartOffset: number
  /** Tombstones below it may be gone: who has records from before, and not all up to there, must begin anew. */
  readonly purgedEnd: number
  /** Whole batches in offset order, none if only the watermarks moved. Shared memory: never written to. */
  readonly batches: readonly Uint8Array[]
}

export interface ReplicaFetchDiverging extends ReplicaKey {
  readonly kind: 'diverging'
  readonly leaderEpoch: number
  /** The leader's latest epoch that is not above the follower's last, and where it ends. */
  readonly divergingEpoch: number
  readonly endOffset: number
}

export interface ReplicaFetchRefused extends ReplicaKey {
  readonly kind: 'refused'
  readonly code: ReplicaRefusalCode
  readonly logStartOffset: number
  readonly logEndOffset: number
}

export type ReplicaFetchPart = ReplicaFetchData | ReplicaFetchDiverging | ReplicaFetchRefused

export interface ReplicaFetchAnswer {
  readonly sessionId: number
  readonly sessionStep: number
  readonly parts: readonly ReplicaFetchPart[]
}

/** `session-unknown`: the leader has forgotten the session, or missed a step of it; open a new one. */
export type ReplicaFetchReply = ReplicaFetchAnswer | 'session-unknown'
