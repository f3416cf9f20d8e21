/** Decay of a simulated disk: bits that turn over by themselves in files of a storage node. */
import type { Random } from '../../src/env/random.ts'
import type { SimFileSystem } from './sim-file-system.ts'

const KINDS = {
  segment: /\.log$/,
  index: /\.(?:time)?index$/,
  journal: /^\/data\/journal\//,
  metadata: /^\/data\/[^/]+$/,
} as const
export type DecayKind = keyof typeof KINDS
const ALL = Object.keys(KINDS) as DecayKind[]

/** Turns some bits over in one file; undefined if there is none of the kind. Gives what it hit. */
export function decay(
  disk: SimFileSystem,
  random: Random,
  kind: DecayKind = ALL[random.uint32() % ALL.length] as DecayKind,
): string | undefined {
  const paths = disk.paths().filter((path) => KINDS[kind].test(path) && usedBytes(disk, path) > 0)
  const path = paths[random.uint32() % Math.max(1, paths.length)]
  if (path === undefined) return undefined
  const positions = Array.from({ length: 2 ** (random.uint32() % 5) }, () => {
    const position = random.uint32() % usedBytes(disk, path)
    disk.flipBit(path, position, random.uint32() % 8)
    return position
  })
  return `${path} at ${positions.join(', ')}`
}

/** Without the zeros behind. */
function usedBytes(disk: SimFileSystem, path: string): number {
  return disk.contents(path).findLastIndex((byte) => byte !== 0) + 1
}
