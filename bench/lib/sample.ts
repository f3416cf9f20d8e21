/** What one round of one side yields. Every figure a round may have is named here, with its unit. */

export interface Sample {
  /** Requests, events or operations per second. */
  readonly perSecond?: number
  /** Reads of subscribers per second: at most as many as the server wrote. */
  readonly readsPerSecond?: number
  /** Payload or answer bytes, in millions per second. */
  readonly megabytesPerSecond?: number
  readonly p50Ms?: number
  readonly p99Ms?: number
  /** Seconds from the start of the process until it was ready. */
  readonly readySeconds?: number
  /** Bytes per event or per answer as they came over the wire. */
  readonly wireBytes?: number
  /** Resident memory per connection, in units of 1,024 bytes. */
  readonly kibPerConnection?: number
  /** Processor time of the server for one request, microseconds, all threads. */
  readonly cpuMicros?: number
  /** Share (0..1) of one core that the server's main thread used. */
  readonly mainThread?: number
  /** Cores that the whole server process used. */
  readonly serverCores?: number
  /** Cores that the load generator used, where it is one of ours. */
  readonly loadCores?: number
  /** Share (0..1) of the machine that was idle or waiting for the disk. */
  readonly idle?: number
}

export type Metric = keyof Sample

/** The metric of every round; fails when a round has none, because a hole must not pass as a figure. */
export function series(samples: readonly Sample[], metric: Metric): number[] {
  return samples.map((sample) => {
    const value = sample[metric]
    if (value === undefined || !Number.isFinite(value)) {
      throw new Error(`a round has no ${metric}: ${JSON.stringify(sample)}`)
    }
    return value
  })
}
