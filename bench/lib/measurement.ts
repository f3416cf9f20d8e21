/** From the samples of two sides to one line of the results. */
import type { Metric, Sample } from './sample.ts'
import { series } from './sample.ts'
import type { Spread } from './statistics.ts'
import { median, pairwise, spread } from './statistics.ts'

export interface Figure {
  readonly name: string
  readonly value: number
  readonly unit: string
}

export interface Measurement {
  readonly row: string
  readonly value: Spread
  readonly ours: Figure
  /** The other side of the ratio; rows with an absolute bound may have none. */
  readonly theirs?: Figure
  /** What keeps it from being better. */
  readonly limit: string
}

export interface Side {
  readonly name: string
  readonly samples: readonly Sample[]
  readonly metric: Metric
  /** Multiplies the metric, as records per request do. */
  readonly scale?: number
}

const UNITS: Partial<Record<Metric, string>> = {
  perSecond: '/s',
  readsPerSecond: '/s',
  megabytesPerSecond: 'MB/s',
  p50Ms: 'ms',
  p99Ms: 'ms',
  readySeconds: 's',
  kibPerConnection: 'KiB',
  cpuMicros: 'µs',
}

/** Median over the rounds of ours / theirs. */
export function ratio(row: string, ours: Side, theirs: Side, limit: string): Measurement {
  return compare(row, ours, theirs, limit, (a, b) => a / b)
}

/** Median over the rounds of ours - theirs. */
export function difference(row: string, ours: Side, theirs: Side, limit: string): Measurement {
  return compare(row, ours, theirs, limit, (a, b) => a - b)
}

/** A row whose bound is absolute. `theirs` is then only there to be seen beside it. */
export function absolute(row: string, ours: Side, limit: string, theirs?: Side): Measurement {
  return {
    row,
    value: spread(values(ours)),
    ours: figure(ours),
    ...(theirs === undefined ? {} : { theirs: figure(theirs) }),
    limit,
  }
}

/** What the server's threads and the machine did in the rounds: where the time went. */
export function load(samples: readonly Sample[]): string {
  const percent = (metric: Metric) => {
    const known = samples.map((sample) => sample[metric]).filter((value) => value !== undefined)
    return known.length === 0 ? undefined : Math.round(median(known) * 100)
  }
  const parts: [string, number | undefined][] = [
    ['event loop', percent('mainThread')],
    ['whole server', percent('serverCores')],
    ['load generator', percent('loadCores')],
    ['machine idle', percent('idle')],
  ]
  return parts
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name} ${value} %`)
    .join(', ')
}

function compare(
  row: string,
  ours: Side,
  theirs: Side,
  limit: string,
  combine: (ours: number, theirs: number) => number,
): Measurement {
  return {
    row,
    value: pairwise(values(ours), values(theirs), combine),
    ours: figure(ours),
    theirs: figure(theirs),
    limit,
  }
}

function values({ samples, metric, scale = 1 }: Side): number[] {
  return series(samples, metric).map((value) => value * scale)
}

function figure(side: Side): Figure {
  return { name: side.name, value: median(values(side)), unit: UNITS[side.metric] ?? '' }
}
