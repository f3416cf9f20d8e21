/** Sizes and durations as people write them. */

const SIZE_UNITS: Readonly<Record<string, number>> = {
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  kib: 1024,
  mib: 1024 ** 2,
  gib: 1024 ** 3,
}

const DURATION_UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}

/** Bytes of `4096`, `16MiB`, `1.5 GB`; undefined when it is no size. */
export function parseSize(text: string): number | undefined {
  return parseQuantity(text, SIZE_UNITS)
}

/** Milliseconds of `500`, `500ms`, `30s`, `5m`; undefined when it is no duration. */
export function parseDuration(text: string): number | undefined {
  return parseQuantity(text, DURATION_UNITS)
}

/** The largest unit in which the size is a whole number: `16MiB`. */
export function formatSize(bytes: number): string {
  return format(bytes, [
    ['GiB', 1024 ** 3],
    ['MiB', 1024 ** 2],
    ['KiB', 1024],
  ])
}

export function formatDuration(ms: number): string {
  return format(
    ms,
    [
      ['h', 3_600_000],
      ['m', 60_000],
      ['s', 1000],
    ],
    'ms',
  )
}

function parseQuantity(text: string, units: Readonly<Record<string, number>>): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim())
  if (match === null) return undefined
  const unit = match[2] === '' ? 1 : units[(match[2] as string).toLowerCase()]
  if (unit === undefined) return undefined
  const value = Number(match[1]) * unit
  return Number.isSafeInteger(value) ? value : undefined
}

function format(
  value: number,
  units: readonly (readonly [string, number])[],
  smallest = 'B',
): string {
  const fitting = units.find(([, size]) => value >= size && value % size === 0)
  return fitting === undefined ? `${value}${smallest}` : `${value / fitting[1]}${fitting[0]}`
}
