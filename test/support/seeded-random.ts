/** Repeatable randomness of tests: the seed is printed, and TEST_SEED replays it. */
export interface SeededRandom {
  readonly seed: number
  /** In [0, 1). */
  float(): number
  /** In [low, high). */
  between(low: number, high: number): number
  pick<T>(choices: readonly T[]): T
}

export function seededRandom(label: string): SeededRandom {
  const seed = Number(process.env['TEST_SEED'] ?? Date.now()) >>> 0
  console.info(`${label}: TEST_SEED=${seed}`)
  let state = seed
  // Mulberry32: small, and good enough to spread moments and choices.
  const float = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const between = (low: number, high: number): number => low + Math.floor(float() * (high - low))
  return {
    seed,
    float,
    between,
    pick: (choices) => {
      const choice = choices[between(0, choices.length)]
      if (choice === undefined) throw new Error('nothing to pick from')
      return choice
    },
  }
}
