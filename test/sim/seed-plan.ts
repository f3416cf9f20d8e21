/** What one seed does: the cluster, its load, and which faults may strike. */
import type { Cleanup } from '../../src/core/topic.ts'
import type { Random } from '../../src/env/random.ts'
import type { CommitWhen } from './group-oracle.ts'

export const FAULTS = [
  'kill',
  'power',
  'pause',
  'orderly',
  'isolate',
  'pair',
  'one-way',
  'cut',
  'slow-network',
  'store-away',
  'store-slow',
  'store-answers',
  'store-frozen',
  'store-compact',
  'watch-late',
  'wall-jump',
  'disk-slow',
  'disk-error',
  'disk-full',
  'empty-disk',
  'decay',
  'unclean',
  'front-kill',
] as const
/** What ends a process without asking whether another one has what it may lose. */
const UNCLEAN: readonly FaultName[] = ['orderly', 'disk-error', 'unclean']
/** Nodes whose clocks are minutes apart refuse each other, as they should. */
export const WALL_ERROR_MS = 60_000
const DAY_MS = 24 * 3_600_000
export type FaultName = (typeof FAULTS)[number]

export interface TopicPlan {
  readonly name: string
  readonly partitions: number
  readonly replicationFactor: number
  readonly minInsyncReplicas: number
  readonly flush: 'commit' | 'os'
  readonly retentionMs: number
  readonly retentionBytes: number
  readonly segmentMs: number
  readonly cleanup: Cleanup
  readonly minCleanableDirtyRatio: number
  readonly deleteRetentionMs: number
}

export interface SeedPlan {
  readonly seed: number
  readonly nodes: number
  readonly fronts: number
  /** Over how many racks the nodes are spread. */
  readonly racks: number
  readonly topics: readonly TopicPlan[]
  readonly producers: number
  readonly readers: number
  /** Clients that delete records. */
  readonly deleters: number
  /** Members of a group that reads all topics. */
  readonly members: number
  /** When those commit what they read. */
  readonly commits: CommitWhen
  /** Longest pause of a producer between two requests. */
  readonly thinkMs: number
  readonly faults: readonly FaultName[]
  /** How long faults strike. */
  readonly durationMs: number
  /** Longest time between two faults. */
  readonly pauseMs: number
  /** Recent batches that a node keeps in memory; what is not there is read from disk. */
  readonly memoryBytes: number
  readonly maxSkewMs: number
  readonly maxDrift: number
}

export function planSeed(seed: number, random: Random): SeedPlan {
  const below = (n: number) => random.uint32() % n
  const nodes = random.float() < 0.75 ? 3 : 4 + below(2)
  const topics: TopicPlan[] = Array.from({ length: 1 + below(2) }, (_, i) => ({
    name: `t${i}`,
    partitions: 1 + below(3),
    replicationFactor: 3,
    minInsyncReplicas: random.float() < 0.8 ? 2 : 1,
    flush: random.float() < 0.85 ? 'commit' : 'os',
    ...retentionOf(random),
    // Not drawn, so that other seeds are what they were.
    ...cleanupOf(seed, i),
  }))
  // From a calm run to everything at once.
  const share = [0, 0.15, 0.3, 0.3, 0.6, 1][below(6)] as number
  const isWritten = topics.some(({ flush }) => flush === 'os')
  const faults = FAULTS.filter((name) => {
    return random.float() < share && !(isWritten && UNCLEAN.includes(name))
  })
  const producers = 2 + below(4)
  const durationMs = 20_000 + below(40_000)
  const requests = [30, 100, 300][below(3)] as number
  return {
    seed,
    nodes,
    fronts: 2,
    racks: random.float() < 0.6 ? nodes : 2,
    topics,
    producers,
    readers: 1 + below(2),
    // A leader that may lack records may lack deletions, too.
    deleters: random.float() < 0.3 && !faults.includes('unclean') ? 1 : 0,
    // Not drawn, so that seeds without a group are what they were.
    members: seed % 3 !== 2 ? 2 + (seed % 4) : 0,
    commits: seed % 7 < 2 ? 'before' : 'after',
    thinkMs: (2 * producers * durationMs) / requests,
    faults,
    durationMs,
    pauseMs: [1_000, 3_000, 8_000][below(3)] as number,
    memoryBytes: random.float() < 0.6 ? 1024 * 1024 : 4 * 1024,
    maxSkewMs: random.float() < 0.5 ? 0 : 60_000,
    maxDrift: random.float() < 0.5 ? 0 : 0.02,
  }
}

/** Most topics keep all; the others a few seconds, or a few segments, whose length is what they take in a second or two. */
function retentionOf(random: Random) {
  const segmentMs = 1_000 + (random.uint32() % 3) * 1_000
  const pick = random.float()
  if (pick < 0.6) return { retentionMs: -1, retentionBytes: -1, segmentMs: DAY_MS }
  if (pick < 0.8) return { retentionMs: 10_000, retentionBytes: -1, segmentMs }
  return { retentionMs: -1, retentionBytes: 1_500, segmentMs }
}

/** One of five seeds compacts one of its topics, whose deletions go soon after. */
function cleanupOf(seed: number, topic: number) {
  if (seed % 5 !== 3 || topic > 0) {
    return { cleanup: 'delete', minCleanableDirtyRatio: 0.5, deleteRetentionMs: DAY_MS } as const
  }
  const deleteRetentionMs = seed % 2 === 0 ? 2_000 : DAY_MS
  const keeps = { retentionMs: -1, retentionBytes: -1, segmentMs: 2_000 } as const
  return { cleanup: 'compact', minCleanableDirtyRatio: 0, deleteRetentionMs, ...keeps } as const
}

/** How far the wall clocks of two processes may be apart. */
export function clocksApartMs({ maxSkewMs, maxDrift, faults }: SeedPlan): number {
  const jumpsMs = faults.includes('wall-jump') ? WALL_ERROR_MS : 0
  // Time is taken from the clock when a batch is made, and compared a little later.
  return maxSkewMs + Math.max(maxSkewMs, jumpsMs) + maxDrift * 60_000
}
