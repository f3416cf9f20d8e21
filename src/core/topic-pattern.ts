/**
 * Patterns of topic names: `*` stands for any run of characters, `?` for one, all others for
 * themselves. Matching takes at most the product of both lengths, whatever the pattern.
 */
import type { TopicName } from './ids.ts'

const PATTERN = /^[A-Za-z0-9._*?-]{1,249}$/

export function isTopicPattern(text: string): boolean {
  return PATTERN.test(text)
}

/** Names that start with two underscores match no pattern. */
export function matchesPattern(pattern: string, name: TopicName): boolean {
  if (name.startsWith('__')) return false
  let [inPattern, inName] = [0, 0]
  // Where the last star stands, and how much of the name it has taken: the only way back there is.
  let [star, taken] = [-1, 0]
  while (inName < name.length) {
    const wanted = pattern[inPattern]
    if (wanted === '*') {
      star = inPattern++
      taken = inName
    } else if (wanted === '?' || (wanted !== undefined && wanted === name[inName])) {
      inPattern++
      inName++
    } else if (star !== -1) {
      inPattern = star + 1
      inName = ++taken
    } else {
      return false
    }
  }
  while (pattern[inPattern] === '*') inPattern++
  return inPattern === pattern.length
}
