/** Settings of a topic: their defaults, their bounds, and how a profile fills them. */
export interface TopicConfig {
  readonly replicationFactor: number
  readonly minInsyncReplicas: number
  /** Age at which records are removed; -1 keeps them. */
  readonly retentionMs: number
  /** Bytes of a partition above which its oldest segments are removed; -1 is no limit. */
  readonly retentionBytes: number
  readonly segmentBytes: number
  /** Age at which a segment is closed, so that retention can remove it. */
  readonly segmentMs: number
  readonly maxRecordBytes: number
  /** Who stamps the record: `create` the client or front, `append` the leader. */
  readonly timestamps: 'create' | 'append'
  /** `commit`: acknowledged when synced. `os`: when written to the operating system. */
  readonly flush: 'commit' | 'os'
  /** How long a front waits for company before it sends a batch. */
  readonly lingerMs: number
  /** A batch that has grown to this is sent without waiting further. */
  readonly batchBytes: number
}

/** Shorthands over lingerMs and batchBytes: what one wants of a topic. Neither weakens durability. */
export const PROFILES = {
  latency: { lingerMs: 0, batchBytes: 256 * 1024 },
  throughput: { lingerMs: 5, batchBytes: 1024 * 1024 },
} as const satisfies Record<string, Partial<TopicConfig>>

export type Profile = keyof typeof PROFILES

/** What a topic has when its creator says nothing; `nodes` is the number of storage nodes. */
export function defaultTopicConfig(nodes: number): TopicConfig {
  const replicationFactor = Math.min(3, nodes)
  return {
    replicationFactor,
    minInsyncReplicas: replicationFactor >= 3 ? 2 : 1,
    retentionMs: 7 * 24 * 3_600_000,
    retentionBytes: -1,
    segmentBytes: 256 * 1024 * 1024,
    segmentMs: 7 * 24 * 3_600_000,
    maxRecordBytes: 1024 * 1024,
    timestamps: 'create',
    flush: 'commit',
    ...PROFILES.latency,
  }
}

export const DEFAULT_PARTITIONS = 6
export const DEFAULT_PARTITIONS_AUTO_CREATED = 1
