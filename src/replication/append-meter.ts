/** How long appends take at their leader, until the acknowledgement that they asked for. */
import type { Histogram, Metrics } from '../env/metrics.ts'
import type { Acks } from '../wire/internal.ts'

const SECONDS = [0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5, 20]

export class AppendMeter {
  readonly #durable: Histogram
  readonly #committed: Histogram

  constructor(metrics: Metrics) {
    const histogram = (until: string) =>
      metrics.histogram(
        'curlew_append_seconds',
        'Time of an append at its leader until it was durable there (acks=1) or in sync (acks=all).',
        SECONDS,
        { until },
      )
    this.#durable = histogram('durable')
    this.#committed = histogram('committed')
  }

  appended(acks: Acks, elapsedMs: number): void {
    if (acks !== 0) (acks === 1 ? this.#durable : this.#committed).observe(elapsedMs / 1000)
  }
}
