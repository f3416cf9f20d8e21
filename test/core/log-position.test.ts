import { expect, test } from 'vitest'
import { isBehind } from '../../src/core/log-position.ts'

test.each([
  ['of one history the lower offset', [4, 1], [5, 1], true],
  ['and not the same', [5, 1], [5, 1], false],
  ['nor the higher', [6, 1], [5, 1], false],
  ['of two histories the earlier one, whatever the offset', [9, 1], [5, 2], true],
  ['and not the later one', [5, 2], [9, 1], false],
  ['where one history is unknown the lower offset', [4, -1], [5, 3], true],
  ['and not the higher', [6, 3], [5, -1], false],
] as const)('behind is %s', (_, [offset, leaderEpoch], [otherOffset, otherEpoch], expected) => {
  const other = { offset: otherOffset, leaderEpoch: otherEpoch }
  expect(isBehind({ offset, leaderEpoch }, other)).toBe(expected)
})
