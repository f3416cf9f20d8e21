/** Measurements for operators, as the rest of the code sees them. Names follow Prometheus' conventions. */
export type Labels = Readonly<Record<string, string>>

export interface Counter {
  /** Adds `by`, 1 if left out. */
  increment(by?: number): void
}

export interface Histogram {
  observe(value: number): void
}

export interface Sample {
  readonly labels: Labels
  readonly value: number
}

/**
 * Labels are bound when the instrument is made, so that using it on a hot path allocates nothing.
 * Asking again for a name gives the same family; its label names must be the same each time.
 */
export interface Metrics {
  counter(name: string, help: string, labels?: Labels): Counter
  /** Calls `collect` whenever the metrics are read; a name has one. */
  gauge(name: string, help: string, collect: () => number): void
  /** As `gauge`, with one value per set of labels. */
  gaugeOf(
    name: string,
    help: string,
    labelNames: readonly string[],
    collect: () => Iterable<Sample>,
  ): void
  /** `buckets` are upper bounds, ascending. */
  histogram(name: string, help: string, buckets: readonly number[], labels?: Labels): Histogram
  /** Everything in Prometheus' text format. */
  text(): Promise<string>
}

const nothing = (): void => undefined

export const nullMetrics: Metrics = {
  counter: () => ({ increment: nothing }),
  gauge: nothing,
  gaugeOf: nothing,
  histogram: () => ({ observe: nothing }),
  text: async () => '',
}
