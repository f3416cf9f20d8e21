/** Conditional reads by entity tag (RFC 9110, section 13.1.2). */

/** Whether `If-None-Match` names the tag, or any; comparison is weak. */
export function matchesTag(ifNoneMatch: string | undefined, tag: string): boolean {
  if (ifNoneMatch === undefined) return false
  if (ifNoneMatch.trim() === '*') return true
  return ifNoneMatch.split(',').some((each) => each.trim().replace(/^W\//, '') === tag)
}
