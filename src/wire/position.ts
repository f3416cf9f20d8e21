/** The grammar of `from=`: where a read starts. */
import type { OffsetQuery } from './internal.ts'
import { parseTimestamp } from './timestamp.ts'

const OFFSET = /^(?:0|[1-9][0-9]{0,15})$/

/** `earliest | latest | offset:N | time:<RFC 3339> | last:N`; undefined if `text` is none of them. */
export function parsePosition(text: string): OffsetQuery | { readonly offset: number } | undefined {
  if (text === 'earliest' || text === 'latest') return text
  const colon = text.indexOf(':')
  const rest = text.slice(colon + 1)
  switch (text.slice(0, Math.max(colon, 0))) {
    case 'offset': {
      const offset = parseOffset(rest)
      return offset === undefined ? undefined : { offset }
    }
    case 'last': {
      const last = parseOffset(rest)
      return last === undefined ? undefined : { last }
    }
    case 'time': {
      const timeMs = parseTimestamp(rest)
      return Number.isNaN(timeMs) ? undefined : { timeMs }
    }
    default:
      return undefined
  }
}

/** A decimal integer from 0 to 2^53-1, without sign or leading zeros. */
export function parseOffset(text: string): number | undefined {
  const offset = OFFSET.test(text) ? Number(text) : Number.NaN
  return Number.isSafeInteger(offset) ? offset : undefined
}
