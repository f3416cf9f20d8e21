/** What reads and streams have in common: where to start, and in which form to answer. */
import type { IncomingHttpHeaders } from 'node:http'
import { LIMITS } from '../../core/limits.ts'
import type { ReadRange } from '../../front/read-start.ts'

interface PositionQuery {
  readonly from?: string
  readonly cursor?: string
  readonly partition?: readonly number[]
}

/** `Last-Event-ID` wins over `cursor`, and that over `from`. */
export function rangeOf(
  query: PositionQuery,
  headers: IncomingHttpHeaders,
  from: 'earliest' | 'latest',
): ReadRange {
  return {
    cursor: lastEventIdOf(headers) ?? query.cursor,
    from: query.from ?? from,
    partitions: query.partition,
  }
}

/** A browser that has seen no event yet sends none, or an empty one. */
export function lastEventIdOf(headers: IncomingHttpHeaders): string | undefined {
  const lastEventId = headers['last-event-id']
  return typeof lastEventId === 'string' && lastEventId !== '' ? lastEventId : undefined
}

const PREFER_WAIT = /(?:^|[,;])\s*wait\s*=\s*"?(\d{1,9})"?\s*(?=$|[,;])/i

/** Seconds; a preference beyond the bound is met as far as possible. */
export function waitSecondsOf(wait: number | undefined, headers: IncomingHttpHeaders): number {
  if (wait !== undefined) return wait
  const { prefer } = headers
  if (prefer === undefined) return 0
  const seconds = PREFER_WAIT.exec(String(prefer))?.[1]
  return seconds === undefined ? 0 : Math.min(Number(seconds), LIMITS.waitSeconds)
}

interface Offer {
  readonly type: string
  readonly format: 'json' | 'ndjson'
}

const OFFERS: readonly Offer[] = [
  { type: 'application/json', format: 'json' },
  { type: 'application/x-ndjson', format: 'ndjson' },
  { type: 'application/ndjson', format: 'ndjson' },
  { type: 'application/jsonl', format: 'ndjson' },
]

/** The form that `Accept` likes best, the first of equals; undefined if it takes none. */
export function offerFor(accept: string | undefined): Offer | undefined {
  const [first] = OFFERS
  if (accept === undefined || accept === '*/*') return first
  let best: Offer | undefined
  let bestWeight = 0
  const ranges = accept.toLowerCase().split(',').map(rangeAndWeight)
  for (const offer of OFFERS) {
    const weight = weightOf(offer.type, ranges)
    if (weight > bestWeight) {
      best = offer
      bestWeight = weight
    }
  }
  return best
}

type Range = readonly [range: string, weight: number]

function rangeAndWeight(text: string): Range {
  const [range = '', ...parameters] = text.split(';').map((part) => part.trim())
  const q = parameters.find((parameter) => parameter.startsWith('q='))
  const weight = q === undefined ? 1 : Number(q.slice(2))
  return [range, Number.isFinite(weight) ? weight : 0]
}

/** The most specific range counts (RFC 9110, section 12.5.1). */
function weightOf(type: string, ranges: readonly Range[]): number {
  for (const range of [type, 'application/*', '*/*']) {
    const found = ranges.find(([name]) => name === range)
    if (found !== undefined) return found[1]
  }
  return 0
}
