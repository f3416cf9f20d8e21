/** Settings of a topic: their defaults, their bounds, and how what is asked for becomes a config. */
import type { FaultDetail } from '../lib/service-error.ts'
import { LIMITS } from './limits.ts'

/**
 * What becomes of old records: `delete` removes them by age and size, `compact` keeps the last one of
 * each key, `both` does the two.
 */
export type Cleanup = 'delete' | 'compact' | 'both'

export interface TopicConfig {
  readonly replicationFactor: number
  readonly minInsyncReplicas: number
  readonly cleanup: Cleanup
  /** Age at which records are removed; -1 keeps them. */
  readonly retentionMs: number
  /** Bytes of a partition above which its oldest segments are removed; -1 is no limit. */
  readonly retentionBytes: number
  readonly segmentBytes: number
  /** Age at which a segment is closed, so that retention can remove it. */
  readonly segmentMs: number
  /** Share of a partition's closed segments that must be new for it to be compacted. */
  readonly minCleanableDirtyRatio: number
  /** For so long after it was written, no record gives way to a later one of its key. */
  readonly minCompactionLagMs: number
  /** After so long a record is compacted, however few there are; -1 is no limit. */
  readonly maxCompactionLagMs: number
  /** For so long after the first compaction that sees it, the deletion of a key can still be read. */
  readonly deleteRetentionMs: number
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

/** How a topic is compacted whose creator says nothing of it. */
export const COMPACTION_DEFAULTS = {
  minCleanableDirtyRatio: 0.5,
  minCompactionLagMs: 0,
  maxCompactionLagMs: -1,
  deleteRetentionMs: 24 * 3_600_000,
} as const satisfies Partial<TopicConfig>

export type Profile = keyof typeof PROFILES

/** What a request says about a topic; what it leaves out is not asked for. */
export interface TopicSpec extends Partial<TopicConfig> {
  readonly partitions?: number
  /** Fills lingerMs and batchBytes where they are not given themselves. */
  readonly profile?: Profile
}

/** What a topic has when its creator says nothing; `nodes` is the number of storage nodes. */
export function defaultTopicConfig(nodes: number): TopicConfig {
  const replicationFactor = Math.min(3, nodes)
  return {
    replicationFactor,
    minInsyncReplicas: defaultMinInsyncReplicas(replicationFactor),
    cleanup: 'delete',
    retentionMs: 7 * 24 * 3_600_000,
    retentionBytes: -1,
    segmentBytes: 256 * 1024 * 1024,
    segmentMs: 7 * 24 * 3_600_000,
    ...COMPACTION_DEFAULTS,
    maxRecordBytes: 1024 * 1024,
    timestamps: 'create',
    flush: 'commit',
    ...PROFILES.latency,
  }
}

export const DEFAULT_PARTITIONS = 6
export const DEFAULT_PARTITIONS_AUTO_CREATED = 1

interface Bounds {
  readonly min: number
  readonly max: number
  /** Whether -1, for no limit, is allowed beside the bounds. */
  readonly unlimited?: true
  /** Whether it may lie between integers. */
  readonly fraction?: true
}

const KIB = 1024
const MIB = 1024 * KIB

/** Bounds of the numeric settings, both ends included. */
export const TOPIC_BOUNDS = {
  partitions: { min: 1, max: LIMITS.partitionsPerTopic },
  replicationFactor: { min: 1, max: 15 },
  minInsyncReplicas: { min: 1, max: 15 },
  retentionMs: { min: 1, max: Number.MAX_SAFE_INTEGER, unlimited: true },
  retentionBytes: { min: 1, max: Number.MAX_SAFE_INTEGER, unlimited: true },
  segmentBytes: { min: 16 * KIB, max: 1024 * MIB },
  segmentMs: { min: 1_000, max: Number.MAX_SAFE_INTEGER },
  minCleanableDirtyRatio: { min: 0, max: 1, fraction: true },
  minCompactionLagMs: { min: 0, max: Number.MAX_SAFE_INTEGER },
  maxCompactionLagMs: { min: 1, max: Number.MAX_SAFE_INTEGER, unlimited: true },
  deleteRetentionMs: { min: 0, max: Number.MAX_SAFE_INTEGER },
  maxRecordBytes: { min: 1 * KIB, max: 16 * MIB },
  lingerMs: { min: 0, max: 1_000 },
  batchBytes: { min: 4 * KIB, max: 4 * MIB },
} as const satisfies Record<string, Bounds>

type NumericSetting = keyof typeof TOPIC_BOUNDS

/** Settings that hold from creation on. */
const FIXED = ['replicationFactor', 'flush'] as const satisfies readonly (keyof TopicConfig)[]

/** What is wrong with the single values of a spec. */
export function specFaults(spec: TopicSpec): FaultDetail[] {
  const faults: FaultDetail[] = []
  for (const name of Object.keys(TOPIC_BOUNDS) as NumericSetting[]) {
    const value = spec[name]
    if (value === undefined || isWithin(value, TOPIC_BOUNDS[name])) continue
    faults.push({ pointer: `/${name}`, detail: `must be ${describeBounds(TOPIC_BOUNDS[name])}` })
  }
  return faults
}

/** The config of a new topic: defaults, then the profile, then what is named itself. */
export function newTopicConfig(spec: TopicSpec, nodes: number): TopicConfig {
  const named = namedSettings(spec)
  const replicationFactor = named.replicationFactor ?? defaultTopicConfig(nodes).replicationFactor
  return {
    ...defaultTopicConfig(nodes),
    minInsyncReplicas: defaultMinInsyncReplicas(replicationFactor),
    ...named,
  }
}

/** What is wrong with a config as a whole, on a cluster of so many storage nodes. */
export function configFaults(config: TopicConfig, nodes: number): FaultDetail[] {
  const faults: FaultDetail[] = []
  const { replicationFactor, minInsyncReplicas } = config
  if (replicationFactor > nodes) {
    const detail = `must be at most ${nodes}, the number of storage nodes`
    faults.push({ pointer: '/replicationFactor', detail })
  }
  if (minInsyncReplicas > replicationFactor) {
    const detail = `must be at most ${replicationFactor}, the replicationFactor`
    faults.push({ pointer: '/minInsyncReplicas', detail })
  }
  const { minCompactionLagMs, maxCompactionLagMs } = config
  if (maxCompactionLagMs !== -1 && minCompactionLagMs > maxCompactionLagMs) {
    const detail = `must be at most ${maxCompactionLagMs}, the maxCompactionLagMs`
    faults.push({ pointer: '/minCompactionLagMs', detail })
  }
  return faults
}

/** How an existing topic differs from a spec, in the settings that the spec names. */
export function specDifferences(
  spec: TopicSpec,
  existing: { readonly partitions: number; readonly config: TopicConfig },
): FaultDetail[] {
  const actual = { partitions: existing.partitions, ...existing.config }
  const { partitions } = spec
  const wanted = { ...(partitions === undefined ? {} : { partitions }), ...namedSettings(spec) }
  return (Object.keys(wanted) as (keyof typeof wanted)[])
    .filter((name) => wanted[name] !== actual[name])
    .map((name) => ({ pointer: `/${name}`, detail: `is ${actual[name]}, not ${wanted[name]}` }))
}

export type ConfigChange =
  | { readonly ok: true; readonly config: TopicConfig; readonly changed: boolean }
  | { readonly ok: false; readonly faults: readonly FaultDetail[] }

/** The config after a change. Fixed settings, and the number of partitions, may be named only as they are. */
export function changedConfig(
  spec: TopicSpec,
  existing: { readonly partitions: number; readonly config: TopicConfig },
): ConfigChange {
  const fixed = new Set<string>(['/partitions', ...FIXED.map((name) => `/${name}`)])
  const differences = specDifferences(spec, existing)
  const faults = differences
    .filter(({ pointer }) => fixed.has(pointer))
    .map(({ pointer, detail }) => ({ pointer, detail: `${detail}, and cannot be changed` }))
  const config = { ...existing.config, ...namedSettings(spec) }
  faults.push(...configFaults(config, Number.POSITIVE_INFINITY))
  if (faults.length > 0) return { ok: false, faults }
  return { ok: true, config, changed: differences.length > 0 }
}

/** Settings that the spec asks for, itself or through its profile. */
function namedSettings(spec: TopicSpec): Partial<TopicConfig> {
  const { partitions: _, profile, ...settings } = spec
  return profile === undefined ? settings : { ...PROFILES[profile], ...settings }
}

/** Whether records of the topic give way to later ones of their keys. */
export function isCompacted({ cleanup }: TopicConfig): boolean {
  return cleanup !== 'delete'
}

function defaultMinInsyncReplicas(replicationFactor: number): number {
  return replicationFactor >= 3 ? 2 : 1
}

function isWithin(value: number, { min, max, unlimited, fraction }: Bounds): boolean {
  if (fraction !== true && !Number.isSafeInteger(value)) return false
  return (unlimited === true && value === -1) || (value >= min && value <= max)
}

function describeBounds({ min, max, unlimited, fraction }: Bounds): string {
  if (fraction === true) return `a number from ${min} to ${max}`
  const range =
    max === Number.MAX_SAFE_INTEGER
      ? `an integer of at least ${min}`
      : `an integer from ${min} to ${max}`
  return unlimited === true ? `${range}, or -1 for no limit` : range
}
