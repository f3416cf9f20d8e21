/** RFC 3339 date-times, strictly, to and from milliseconds since the epoch. */
const DATE_TIME =
  /^(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d\d):(\d\d))$/

const DAY_MS = 86_400_000
/** The calendar repeats after 400 years; Date.UTC reads years below 100 as 19xx. */
const CALENDAR_CYCLE_MS = 146_097 * DAY_MS
const EARLIEST_MS = -62_167_219_200_000
const LATEST_MS = 253_402_300_799_999

/**
 * NaN if `text` is none. A fraction has at most nine digits, those behind the third are cut off.
 * A leap second counts as the first moment of the next minute.
 */
export function parseTimestamp(text: string): number {
  const match = DATE_TIME.exec(text)
  if (match === null) return Number.NaN
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ]
  const offsetHour = Number(match[9] ?? 0)
  const offsetMinute = Number(match[10] ?? 0)
  if (month < 1 || month > 12 || day < 1 || day > daysInMonth(year, month)) return Number.NaN
  if (hour > 23 || minute > 59 || second > 60) return Number.NaN
  if (offsetHour > 23 || offsetMinute > 59) return Number.NaN
  const offsetMs = (offsetHour * 60 + offsetMinute) * 60_000 * (match[8] === '-' ? -1 : 1)
  const wholeMs =
    Date.UTC(year + 400, month - 1, day, hour, minute, second) - CALENDAR_CYCLE_MS - offsetMs
  // A leap second is the last one of a day in UTC.
  if (second === 60 && wholeMs % DAY_MS !== 0) return Number.NaN
  return wholeMs + Number((match[7] ?? '').padEnd(3, '0').slice(0, 3))
}

function daysInMonth(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31
}

/** Milliseconds always have three digits, the offset is `Z`. Times beyond the year 9999 are held there. */
export function formatTimestamp(timestampMs: number): string {
  return new Date(Math.min(Math.max(timestampMs, EARLIEST_MS), LATEST_MS)).toISOString()
}
