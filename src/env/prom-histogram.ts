/** A family of histograms that count by themselves: prom-client's look their labels up at each value. */
import type { Registry } from 'prom-client'
import { Histogram as ClientHistogram } from 'prom-client'
import type { Histogram, Labels } from './metrics.ts'

interface Series {
  readonly labels: Labels
  /** How many values each bucket has on its own; the last one is for those above all bounds. */
  readonly counts: number[]
  sum: number
}

interface Value {
  readonly metricName: string
  readonly labels: Readonly<Record<string, string | number>>
  readonly sharedLabels: Labels
  readonly value: number
}

export interface HistogramFamily {
  readonly name: string
  readonly help: string
  /** Upper bounds, ascending. */
  readonly buckets: readonly number[]
}

export class PromHistogram extends ClientHistogram {
  readonly #family: HistogramFamily
  /** By their labels. */
  readonly #series = new Map<string, Series>()

  constructor(registry: Registry, family: HistogramFamily) {
    super({ name: family.name, help: family.help, registers: [registry] })
    this.#family = family
  }

  with(labels: Labels): Histogram {
    const { buckets } = this.#family
    const series = this.#seriesOf(labels)
    return {
      observe: (value) => {
        let bucket = 0
        while (bucket < buckets.length && value > (buckets[bucket] as number)) bucket++
        series.counts[bucket] = (series.counts[bucket] as number) + 1
        series.sum += value
      },
    }
  }

  /** What prom-client asks whenever it wants the values. */
  getForPromString() {
    const { name, help } = this.#family
    const values = [...this.#series.values()].flatMap((series) => this.#valuesOf(series))
    return { name, help, type: 'histogram', aggregator: 'sum', values }
  }

  /** That of an earlier call with these labels, if there was one. */
  #seriesOf(labels: Labels): Series {
    const name = JSON.stringify(labels)
    let series = this.#series.get(name)
    if (series === undefined) {
      const counts = new Array<number>(this.#family.buckets.length + 1).fill(0)
      series = { labels, counts, sum: 0 }
      this.#series.set(name, series)
    }
    return series
  }

  #valuesOf({ labels: sharedLabels, counts, sum }: Series): Value[] {
    const { name, buckets } = this.#family
    let count = 0
    const below = counts.map((each, bucket) => {
      count += each
      const labels = { le: buckets[bucket] ?? '+Inf' }
      return { metricName: `${name}_bucket`, labels, sharedLabels, value: count }
    })
    return [
      ...below,
      { metricName: `${name}_sum`, labels: {}, sharedLabels, value: sum },
      { metricName: `${name}_count`, labels: {}, sharedLabels, value: count },
    ]
  }
}
