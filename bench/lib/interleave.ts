/** Runs the sides of a comparison in turns, A B A B, so that the machine's moods hit all alike. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Sample } from './sample.ts'

export interface Plan {
  /** Measured rounds of each side, after one that is not counted. */
  readonly rounds: number
  /** Length of a round; whole seconds, because wrk knows no others. */
  readonly seconds: number
  /** One line whenever a round has ended. */
  readonly progress: (line: string) => void
}

/** Write-behind and garbage of the side before should not fall into the next one's round. */
const SETTLE_MS = 300

export async function interleave<Side extends string>(
  title: string,
  sides: Readonly<Record<Side, () => Promise<Sample>>>,
  plan: Plan,
): Promise<Record<Side, Sample[]>> {
  const names = Object.keys(sides) as Side[]
  const samples = Object.fromEntries(names.map((name) => [name, [] as Sample[]])) as Record<
    Side,
    Sample[]
  >
  for (let round = 0; round <= plan.rounds; round++) {
    for (const name of names) {
      const sample = await sides[name]()
      if (round > 0) samples[name].push(sample)
      const label = round === 0 ? 'warm-up' : `round ${round}/${plan.rounds}`
      plan.progress(`${title}: ${label}, ${name}: ${brief(sample)}`)
      await sleep(SETTLE_MS)
    }
  }
  return samples
}

function brief(sample: Sample): string {
  return Object.entries(sample)
    .map(([metric, value]) => `${metric} ${Number(value).toPrecision(4)}`)
    .join(', ')
}
