/** How long batches take in this front, and on their way to storage and back. */
import type { Histogram, Metrics } from '../env/metrics.ts'

const SECONDS = [0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5, 20]

export class ProduceMeter {
  readonly #queue: Histogram
  readonly #storage: Histogram

  constructor(metrics: Metrics) {
    const histogram = (stage: string) =>
      metrics.histogram(
        'curlew_produce_batch_seconds',
        'Time of a batch: gathering in this front (queue), then until storage has answered (storage).',
        SECONDS,
        { stage },
      )
    this.#queue = histogram('queue')
    this.#storage = histogram('storage')
  }

  batch(queueMs: number, storageMs: number): void {
    this.#queue.observe(queueMs / 1000)
    this.#storage.observe(storageMs / 1000)
  }
}
