import { expect, test } from 'vitest'
import { LeaderEpochs } from '../../src/storage/leader-epochs.ts'

const history = () =>
  new LeaderEpochs([
    { leaderEpoch: 1, startOffset: 0 },
    { leaderEpoch: 3, startOffset: 10 },
    { leaderEpoch: 4, startOffset: 20 },
  ])

test('tells where an epoch ended, also one of which there is no record', () => {
  const epochs = history()
  expect([0, 1, 2, 3, 4, 9].map((epoch) => epochs.endOffsetOf(epoch, 30))).toEqual([
    0, 10, 10, 20, 30, 30,
  ])
})

test('tells the epoch of a record', () => {
  expect([0, 9, 10, 25].map((offset) => history().epochAt(offset))).toEqual([1, 1, 3, 4])
  expect(new LeaderEpochs().epochAt(0)).toBe(-1)
})

test('an epoch in which nothing was written leaves no trace', () => {
  const epochs = history()
  epochs.begin(5, 30)
  epochs.begin(7, 30)
  expect(epochs.starts.at(-1)).toEqual({ leaderEpoch: 7, startOffset: 30 })
  expect(epochs.starts).toHaveLength(4)
})

test('epochs never fall', () => {
  expect(() => history().begin(3, 40)).toThrow(/invariant/)
  expect(() => history().begin(9, 15)).toThrow(/invariant/)
})

test('cuts at either end keep what is still needed', () => {
  const epochs = history()
  epochs.cutStart(15)
  expect(epochs.starts[0]).toEqual({ leaderEpoch: 3, startOffset: 10 })
  epochs.cutEnd(20)
  expect(epochs.starts).toEqual([{ leaderEpoch: 3, startOffset: 10 }])
  expect(epochs.latest).toBe(3)
})

test('a log that is emptied knows the epoch in which it ended, also if another has begun', () => {
  const epochs = history()
  epochs.begin(6, 30)
  epochs.cutStart(30)
  expect(epochs.epochAt(29)).toBe(4)
  expect(epochs.latest).toBe(6)
})

test('what was told before stays as it was, whatever begins after', () => {
  const epochs = history()
  const before = epochs.starts
  const copy = structuredClone(before)
  epochs.begin(5, 30)
  epochs.begin(6, 30)
  epochs.begin(4, 30)
  expect(before).toEqual(copy)
})
