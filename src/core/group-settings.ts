/** Settings of groups and of their members: names, defaults and bounds. */
import type { TopicName } from './ids.ts'
import { isReservedName, parseTopicName } from './ids.ts'

declare const brand: unique symbol

/** Of the same letters as a topic's name; none that starts with two underscores. */
export type GroupId = string & { readonly [brand]: 'GroupId' }
/** Chosen by the client, so that it can repeat its join: 1 to 64 letters, digits, `.`, `_`, `-`; a UUID is best. */
export type MemberId = string & { readonly [brand]: 'MemberId' }

/** How partitions are spread over members: `sticky` moves as few as possible, `range` keeps those of one number together. */
export const ASSIGNORS = ['sticky', 'range'] as const
export type Assignor = (typeof ASSIGNORS)[number]

/** Where a group begins to read a partition of which it has committed nothing. */
export type GroupStart = 'earliest' | 'latest'

/** Settings of a group as a whole. */
export interface GroupSettings {
  readonly assignor: Assignor
  /** How long offsets are kept while nobody subscribes to their topic. */
  readonly offsetsRetentionMs: number
}

export const DEFAULT_GROUP_SETTINGS: GroupSettings = {
  assignor: 'sticky',
  offsetsRetentionMs: 7 * 24 * 3_600_000,
}

export const MEMBER_DEFAULTS = { sessionTimeoutMs: 45_000, rebalanceTimeoutMs: 60_000 } as const

/** Both ends included. */
export const GROUP_BOUNDS = {
  sessionTimeoutMs: { min: 1_000, max: 1_800_000 },
  rebalanceTimeoutMs: { min: 1_000, max: 3_600_000 },
  offsetsRetentionMs: { min: 60_000, max: Number.MAX_SAFE_INTEGER },
} as const

/** How often a member should let hear of itself, unless its session is too short for that. */
const HEARTBEAT_INTERVAL_MS = 5_000

const MEMBER_ID = /^[A-Za-z0-9._-]{1,64}$/

export function parseGroupId(text: string): GroupId | undefined {
  const name: TopicName | undefined = parseTopicName(text)
  return name === undefined || isReservedName(name) ? undefined : (text as GroupId)
}

/** Also for the instance ids of static members. */
export function parseMemberId(text: string): MemberId | undefined {
  return MEMBER_ID.test(text) ? (text as MemberId) : undefined
}

export function heartbeatIntervalMs(sessionTimeoutMs: number): number {
  return Math.min(HEARTBEAT_INTERVAL_MS, Math.floor(sessionTimeoutMs / 3))
}
