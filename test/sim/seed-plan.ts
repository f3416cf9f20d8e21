/** What one seed does: the cluster, its load, and which faults may strike. */
import type { Random } from '../../src/env/random.ts'

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
  'front-kill',
] as const
/** What ends a process without asking whether another one has what it may lose. */
const UNCLEAN: readonly FaultName[] = ['orderly', 'disk-error']
export type FaultName = (typeof FAULTS)[number]

export interface TopicPlan {
  readonly name: string
  readonly partitions: number
  readonly replicationFactor: number
  readonly minInsyncReplicas: number
  readonly flush: 'commit' | 'os'
}

export interface SeedPlan {
  readonly seed: number
  readonly nodes: number
  readonly fronts: number
  readonly topics: readonly TopicPlan[]
  readonly producers: number
  readonly readers: number
  /** Clients that delete records. */
  readonly deleters: number
  /** Longest pause of a producer between two requests. */
  readonly thinkMs: number
  readonly faults: readonly FaultName[]
  /** How long faults strike. */
  readonly durationMs: number
  /** Longest time between two faults. */
  readonly pauseMs: number
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
    topics,
    producers,
    readers: 1 + below(2),
    deleters: random.float() < 0.3 ? 1 : 0,
    thinkMs: (2 * producers * durationMs) / requests,
    faults,
    durationMs,
    pauseMs: [1_000, 3_000, 8_000][below(3)] as number,
    maxSkewMs: random.float() < 0.5 ? 0 : 60_000,
    maxDrift: random.float() < 0.5 ? 0 : 0.02,
  }
}
