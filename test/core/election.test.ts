import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ElectionRules } from '../../src/core/election.ts'
import {
  cleanCandidate,
  elect,
  electOther,
  electPreferred,
  rejoin,
  uncleanElect,
  withIsr,
} from '../../src/core/election.ts'
import type { PartitionState } from '../../src/core/partition-state.ts'
import { PartitionModel, steps } from './partition-model.ts'

const state = (more: Partial<PartitionState> = {}): PartitionState => ({
  replicas: [1, 2, 3],
  leader: 1,
  leaderEpoch: 5,
  isr: [1, 2, 3],
  elr: [],
  state: 'active',
  ...more,
})

const live = (nodes: readonly number[], avoid: readonly number[] = []): ElectionRules => ({
  isLive: (node) => nodes.includes(node),
  minInsync: 2,
  avoid: new Set(avoid),
})

describe('elect', () => {
  test('leaves a live leader alone, also one that is about to stop', () => {
    expect(elect(state(), live([1]))).toBeUndefined()
    expect(elect(state(), live([1, 2, 3], [1]))).toBeUndefined()
  })

  test('takes the first live member of the ISR, without those that are dead', () => {
    expect(elect(state(), live([2, 3]))).toEqual(state({ leader: 2, leaderEpoch: 6, isr: [2, 3] }))
    const alone = state({ leader: 3, leaderEpoch: 6, isr: [3], elr: [1, 2] })
    expect(elect(state(), live([3]))).toEqual(alone)
  })

  test('prefers the ISR to the ELR, and takes the ELR when no member of the ISR is up', () => {
    const few = state({ leader: -1, isr: [2], elr: [1, 3] })
    expect(elect(few, live([1, 2, 3]))).toMatchObject({ leader: 2, isr: [2], elr: [1, 3] })
    expect(elect(few, live([3]))).toMatchObject({ leader: 3, isr: [3], elr: [1, 2] })
  })

  test('never takes a replica that may lack what is committed', () => {
    const behind = state({ isr: [1] })
    expect(elect(behind, live([2, 3]))).toEqual(state({ leader: -1, leaderEpoch: 6, isr: [1] }))
    expect(elect({ ...behind, leader: -1 }, live([2, 3]))).toBeUndefined()
    expect(elect(state({ leader: -1, isr: [], elr: [] }), live([1, 2, 3]))).toBeUndefined()
  })

  test('a node about to stop leads when nobody else can', () => {
    expect(elect(state(), live([2], [2]))).toMatchObject({ leader: 2 })
  })

  test('keeps members that only a later version knows', () => {
    const later = { ...state(), adding: [4] }
    expect(elect(later, live([2]))).toMatchObject({ leader: 2, adding: [4] })
  })
})

describe('electPreferred', () => {
  test('gives leadership to the first replica once it is in sync', () => {
    const led = state({ leader: 2 })
    expect(electPreferred(led, live([1, 2, 3]))).toEqual(state({ leaderEpoch: 6 }))
    expect(electPreferred({ ...led, isr: [2, 3] }, live([1, 2, 3]))).toBeUndefined()
    expect(electPreferred(led, live([2, 3]))).toBeUndefined()
    expect(electPreferred(led, live([1, 2, 3], [1]))).toBeUndefined()
    expect(electPreferred(state(), live([1, 2, 3]))).toBeUndefined()
  })
})

describe('electOther', () => {
  test('gives leadership to an equal, or nobody', () => {
    expect(electOther(state(), live([1, 2, 3], [1]))).toEqual(state({ leader: 2, leaderEpoch: 6 }))
    expect(electOther(state(), live([1, 2, 3], [1, 2]))).toMatchObject({ leader: 3 })
    expect(electOther(state(), live([1, 3]))).toMatchObject({ leader: 3, isr: [1, 3] })
    expect(electOther(state({ isr: [1], elr: [2] }), live([1, 2], [1]))).toBeUndefined()
    expect(electOther(state(), live([1, 2], [1, 2]))).toBeUndefined()
  })
})

describe('withIsr', () => {
  test('a member that leaves while enough stay is forgotten', () => {
    expect(withIsr(state(), [2, 1], 2)).toEqual(state({ isr: [1, 2] }))
  })

  test('one that leaves too few behind stays eligible until there are enough again', () => {
    const few = withIsr(state({ isr: [1, 2] }), [1], 2)
    expect(few).toEqual(state({ isr: [1], elr: [2] }))
    expect(withIsr(few, [1, 3], 2)).toEqual(state({ isr: [1, 3] }))
    expect(withIsr(few, [1, 2], 3)).toEqual(state({ isr: [1, 2] }))
    expect(withIsr(few, [1], 1)).toEqual(state({ isr: [1] }))
  })
})

describe('rejoin', () => {
  test('who kept all keeps the vote but not the leadership', () => {
    expect(rejoin(state(), 1, 'kept')).toEqual(state({ leader: -1, leaderEpoch: 6 }))
    expect(rejoin(state(), 2, 'kept')).toBeUndefined()
    expect(rejoin(state(), 9, 'lost')).toBeUndefined()
  })

  test.each(['loss-possible', 'lost'] as const)('%s: out of ISR and ELR', (local) => {
    expect(rejoin(state(), 2, local)).toEqual(state({ isr: [1, 3] }))
    const last = state({ isr: [1], elr: [2] })
    expect(rejoin(last, 2, local)).toEqual(state({ isr: [1] }))
    expect(rejoin(last, 1, local)).toEqual(state({ leader: -1, leaderEpoch: 6, isr: [], elr: [2] }))
  })

  test('the only replica leads on with what it has, unless that is nothing', () => {
    const only = state({ replicas: [1], isr: [1] })
    expect(rejoin(only, 1, 'loss-possible')).toMatchObject({ leader: -1, isr: [1] })
    expect(rejoin(only, 1, 'lost')).toMatchObject({ leader: -1, isr: [] })
  })
})

describe('uncleanElect', () => {
  test('begins anew with one replica, and says so', () => {
    const lost = state({ leader: -1, isr: [], elr: [] })
    expect(cleanCandidate(lost, live([1, 2, 3]))).toBeUndefined()
    expect(uncleanElect(lost, 3, 77)).toEqual(
      state({ leader: 3, leaderEpoch: 6, isr: [3], unclean: { atMs: 77, leaderEpoch: 6 } }),
    )
    expect(() => uncleanElect(lost, 4, 77)).toThrow('replica')
  })
})

test('whatever happens, whoever may lead holds all that was committed', () => {
  const cases = fc
    .integer({ min: 1, max: 4 })
    .chain((replicas) =>
      fc.tuple(fc.constant(replicas), fc.integer({ min: 1, max: 3 }), steps(replicas)),
    )
  fc.assert(
    fc.property(cases, ([replicas, minInsync, taken]) => {
      const model = new PartitionModel(replicas, minInsync)
      for (const step of taken) model.take(step)
      expect(model.state.replicas).toHaveLength(replicas)
    }),
    { numRuns: 3_000 },
  )
})
