/** Latencies of millions of events in fixed memory: buckets 1/128 apart, so within 1 % of the truth. */

const SUB_BUCKETS = 128
const OCTAVES = 36

export class Histogram {
  readonly #counts = new Uint32Array(SUB_BUCKETS * OCTAVES)
  #total = 0

  /** Latency in milliseconds; resolution 1 microsecond. */
  record(latencyMs: number): void {
    const us = Math.max(0, Math.round(latencyMs * 1000))
    const octave = us < SUB_BUCKETS ? 0 : Math.floor(Math.log2(us)) - 6
    const index =
      octave === 0 ? us : octave * SUB_BUCKETS + Math.floor(us / 2 ** (octave - 1)) - SUB_BUCKETS
    this.#counts[index] = (this.#counts[index] ?? 0) + 1
    this.#total++
  }

  get total(): number {
    return this.#total
  }

  /** Milliseconds; NaN when nothing was recorded. */
  percentileMs(share: number): number {
    let left = Math.ceil(this.#total * share)
    if (left === 0) return Number.NaN
    for (let index = 0; index < this.#counts.length; index++) {
      left -= this.#counts[index] as number
      if (left <= 0) return bucketUs(index) / 1000
    }
    throw new Error('histogram counts do not add up')
  }

  reset(): void {
    this.#counts.fill(0)
    this.#total = 0
  }
}

function bucketUs(index: number): number {
  const octave = Math.floor(index / SUB_BUCKETS)
  if (octave === 0) return index
  return ((index % SUB_BUCKETS) + SUB_BUCKETS) * 2 ** (octave - 1)
}
