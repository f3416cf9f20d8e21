/** JSON pointers (RFC 6901), as faults name what they are about. */
const MAX_TOKEN = 64

/** A member's name as one step of a pointer; cut where it is too long to help. */
export function pointerToken(name: string): string {
  const short = name.length > MAX_TOKEN ? `${name.slice(0, MAX_TOKEN)}…` : name
  return short.toWellFormed().replaceAll('~', '~0').replaceAll('/', '~1')
}
