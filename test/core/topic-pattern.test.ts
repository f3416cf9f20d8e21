import { expect, test } from 'vitest'
import type { TopicName } from '../../src/core/ids.ts'
import { isTopicPattern, matchesPattern } from '../../src/core/topic-pattern.ts'

test.each([
  ['orders', 'orders', true],
  ['orders', 'orders2', false],
  ['orders-*', 'orders-', true],
  ['orders-*', 'orders-eu-1', true],
  ['*-eu-*', 'orders-eu-1', true],
  ['*-eu-?', 'orders-eu-12', false],
  ['*a*b', 'xaybab', true],
  ['*a*b', 'xaybabc', false],
  ['?', 'a', true],
  ['?', '', false],
  ['*', 'a', true],
  ['*', '__offsets', false],
  ['a.c', 'abc', false],
])('%s and %s: %s', (pattern, name, matches) => {
  expect(isTopicPattern(pattern)).toBe(true)
  expect(matchesPattern(pattern, name as TopicName)).toBe(matches)
})

test('what is no pattern', () => {
  for (const text of ['', 'a b', '(a+)+', '[a]', 'a'.repeat(250)]) {
    expect(isTopicPattern(text)).toBe(false)
  }
})
