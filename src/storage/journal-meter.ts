/** What operators see of the journal. */
import type { Counter, Histogram, Metrics } from '../env/metrics.ts'

const WRITE_SECONDS = [0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2]

export class JournalMeter {
  readonly #bytes: Counter
  readonly #writeSeconds: Histogram

  constructor(
    metrics: Metrics,
    journal: { readonly bytesInUse: number; readonly pendingBytes: number },
  ) {
    this.#bytes = metrics.counter('curlew_journal_bytes_total', 'Bytes written to the journal.')
    this.#writeSeconds = metrics.histogram(
      'curlew_journal_write_seconds',
      'Time until a group of the journal was durable.',
      WRITE_SECONDS,
    )
    metrics.gauge(
      'curlew_journal_bytes_in_use',
      'Bytes of the journal that no checkpoint has freed.',
      () => journal.bytesInUse,
    )
    metrics.gauge(
      'curlew_journal_pending_bytes',
      'Bytes of frames that are not yet durable.',
      () => journal.pendingBytes,
    )
  }

  written(bytes: number, durationMs: number): void {
    this.#bytes.increment(bytes)
    this.#writeSeconds.observe(durationMs / 1000)
  }
}
