/** Metrics in a registry of their own, with those of the process (CPU, memory, event loop lag). */
import {
  collectDefaultMetrics,
  Counter as PromCounter,
  Gauge as PromGauge,
  Registry,
} from 'prom-client'
import type { Counter, Histogram, Labels, Metrics, Sample } from './metrics.ts'
import { PromHistogram } from './prom-histogram.ts'

interface Count {
  readonly labels: Labels
  value: number
}

export class PromMetrics implements Metrics {
  /** What `text` is in. */
  readonly contentType: string
  readonly #registry = new Registry()
  readonly #counters = new Map<string, Count[]>()
  readonly #histograms = new Map<string, PromHistogram>()

  constructor() {
    this.contentType = this.#registry.contentType
    collectDefaultMetrics({ register: this.#registry })
  }

  /** Counts by itself: the registry, which looks labels up each time, is told when it is asked. */
  counter(name: string, help: string, labels: Labels = {}): Counter {
    const counts = this.#counters.get(name) ?? this.#countersOf(name, help, Object.keys(labels))
    const count = { labels, value: 0 }
    counts.push(count)
    return {
      increment: (by = 1) => {
        count.value += by
      },
    }
  }

  gauge(name: string, help: string, collect: () => number): void {
    new PromGauge({
      name,
      help,
      registers: [this.#registry],
      collect() {
        this.set(collect())
      },
    })
  }

  gaugeOf(
    name: string,
    help: string,
    labelNames: readonly string[],
    collect: () => Iterable<Sample>,
  ): void {
    new PromGauge({
      name,
      help,
      labelNames: [...labelNames],
      registers: [this.#registry],
      collect() {
        this.reset()
        for (const { labels, value } of collect()) this.set(labels, value)
      },
    })
  }

  histogram(
    name: string,
    help: string,
    buckets: readonly number[],
    labels: Labels = {},
  ): Histogram {
    let family = this.#histograms.get(name)
    if (family === undefined) {
      family = new PromHistogram(this.#registry, { name, help, buckets })
      this.#histograms.set(name, family)
    }
    return family.with(labels)
  }

  text(): Promise<string> {
    return this.#registry.metrics()
  }

  #countersOf(name: string, help: string, labelNames: string[]): Count[] {
    const counts: Count[] = []
    this.#counters.set(name, counts)
    new PromCounter({
      name,
      help,
      labelNames,
      registers: [this.#registry],
      collect() {
        this.reset()
        for (const { labels, value } of counts) this.inc(labels, value)
      },
    })
    return counts
  }
}
