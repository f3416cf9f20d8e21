import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Assignment, IsrProposal } from '../../src/core/in-sync-replicas.ts'
import { InSyncReplicas } from '../../src/core/in-sync-replicas.ts'

const LEADER = 1
const LAG_MS = 1_000

/** The leader's view of nodes 2 and 3, which a test moves by hand. */
class World {
  nowMs = 0
  readonly incarnations = new Map([
    [2, 20],
    [3, 30],
  ])
  readonly full = new Set<number>()
  readonly seenMs = new Map<number, number>()
  readonly inSync: InSyncReplicas
  highWatermark = 0
  ownEnd = 0

  constructor(assignment: Partial<Assignment> = {}) {
    const peers = {
      incarnationOf: (nodeId: number) => this.incarnations.get(nodeId),
      isFull: (nodeId: number) => this.full.has(nodeId),
      seenMs: (nodeId: number) => this.seenMs.get(nodeId) ?? Number.NEGATIVE_INFINITY,
    }
    this.inSync = new InSyncReplicas(
      { nodeId: LEADER, lagMaxMs: LAG_MS, peers },
      assigned(assignment),
      0,
    )
  }

  /** The follower asks; all that it has is durable unless said otherwise. */
  fetch(
    nodeId: number,
    fetchOffset: number,
    fields: { durable?: number; life?: number; start?: number } = {},
  ): void {
    const { durable = fetchOffset, life = this.incarnations.get(nodeId) ?? 0, start = 0 } = fields
    this.seenMs.set(nodeId, this.nowMs)
    this.inSync.fetched(
      nodeId,
      { incarnation: life, fetchOffset, durableOffset: durable, logStartOffset: start },
      this.ownEnd,
      this.nowMs,
    )
  }

  append(records: number): void {
    this.inSync.endMoves(this.ownEnd)
    this.ownEnd += records
  }

  advance(): number {
    this.highWatermark = this.inSync.highWatermark(this.highWatermark, this.ownEnd)
    return this.highWatermark
  }

  due(bounds: { epochStart?: number; leaderStart?: number } = {}): IsrProposal | undefined {
    const { highWatermark, ownEnd: leaderEnd } = this
    const all = { highWatermark, leaderEnd, epochStart: 0, leaderStart: 0, ...bounds }
    return this.inSync.due(all, this.nowMs)
  }
}

function assigned(fields: Partial<Assignment>): Assignment {
  return { replicas: [1, 2, 3], isr: [1, 2, 3], elr: [], minInsync: 2, revision: 1, ...fields }
}

test('a follower with a full disk leaves as soon as it lacks something', () => {
  const world = new World()
  world.append(10)
  world.fetch(2, 10)
  world.fetch(3, 10)
  world.full.add(3)
  expect(world.due()).toBeUndefined()
  world.append(1)
  expect(world.due()).toMatchObject({ isr: [1, 2] })
  world.full.delete(3)
  expect(world.due()).toBeUndefined()
})

test('a follower with a full disk does not join as long as it lacks something', () => {
  const world = new World({ isr: [1, 2] })
  world.append(10)
  world.fetch(2, 10)
  world.fetch(3, 9)
  world.full.add(3)
  expect(world.due()).toBeUndefined()
  world.full.delete(3)
  expect(world.due()).toMatchObject({ isr: [1, 2, 3] })
  world.full.add(3)
  world.fetch(3, 10)
  expect(world.due()).toMatchObject({ isr: [1, 2, 3] })
})

describe('the high watermark', () => {
  test('waits for what is durable on every replica in sync', () => {
    const world = new World()
    world.append(10)
    expect(world.advance()).toBe(0)
    world.fetch(2, 10)
    expect(world.advance()).toBe(0)
    world.fetch(3, 10, { durable: 7 })
    expect(world.advance()).toBe(7)
  })

  test('does not pass what is durable on the leader itself', () => {
    const world = new World({ isr: [1, 2] })
    world.ownEnd = 5
    world.fetch(2, 9)
    expect(world.advance()).toBe(5)
  })

  test('does not wait for replicas out of sync', () => {
    const world = new World({ isr: [1, 2] })
    world.append(10)
    world.fetch(2, 10)
    expect(world.advance()).toBe(10)
  })

  test.each<[string, Partial<Assignment>]>([
    ['too few are in sync', { isr: [1] }],
    ['others may be elected for what they hold', { isr: [1, 2], elr: [3] }],
  ])('stands still while %s', (_, assignment) => {
    const world = new World(assignment)
    world.append(10)
    for (const nodeId of [2, 3]) world.fetch(nodeId, 10)
    expect(world.advance()).toBe(0)
  })

  test('waits for a replica that is about to join, and for one that is about to leave', () => {
    const joining = new World({ isr: [1, 2] })
    joining.inSync.propose({ isr: [1, 2, 3], added: [], revision: 1 })
    joining.append(10)
    joining.fetch(2, 10)
    joining.fetch(3, 4)
    expect(joining.advance()).toBe(4)
    const leaving = new World()
    leaving.inSync.propose({ isr: [1, 2], added: [], revision: 1 })
    leaving.append(10)
    leaving.fetch(2, 10)
    leaving.fetch(3, 4)
    expect(leaving.advance()).toBe(4)
  })

  test('counts a joining replica towards the minimum only when it has joined', () => {
    const world = new World({ isr: [1] })
    world.inSync.propose({ isr: [1, 2], added: [], revision: 1 })
    world.append(10)
    world.fetch(2, 10)
    expect(world.advance()).toBe(0)
    world.inSync.assign(assigned({ isr: [1, 2], revision: 2 }))
    expect(world.advance()).toBe(10)
  })

  test('does not fall when a follower comes back with less', () => {
    const world = new World({ isr: [1, 2] })
    world.append(10)
    world.fetch(2, 10)
    world.advance()
    world.incarnations.set(2, 21)
    world.fetch(2, 3)
    expect(world.advance()).toBe(10)
  })
})

test.each<[string, Partial<Assignment>, IsrProposal | undefined]>([
  ['in sync', {}, undefined],
  ['eligible', { isr: [1, 2], elr: [3] }, undefined],
  ['about to join', { isr: [1, 2] }, { isr: [1, 2, 3], added: [], revision: 1 }],
])('records are removed for good when those %s have removed them', (_, assignment, proposal) => {
  const world = new World(assignment)
  if (proposal !== undefined) world.inSync.propose(proposal)
  world.append(10)
  world.fetch(2, 10, { start: 5 })
  world.fetch(3, 10)
  expect(world.inSync.haveRemoved(5)).toBe(false)
  world.fetch(3, 10, { start: 5 })
  expect(world.inSync.haveRemoved(5)).toBe(true)
})

describe('a replica joins', () => {
  const out = () => {
    const world = new World({ isr: [1, 2] })
    world.append(10)
    world.fetch(2, 10)
    world.advance()
    return world
  }

  test('when all that is committed is durable there', () => {
    const world = out()
    world.fetch(3, 10, { durable: 9 })
    expect(world.due()).toBeUndefined()
    world.fetch(3, 10)
    expect(world.due()).toEqual({
      isr: [1, 2, 3],
      added: [{ nodeId: 3, incarnation: 30 }],
      revision: 1,
    })
  })

  test('when it has all from before the epoch, though the watermark may be behind', () => {
    const world = out()
    world.fetch(3, 10)
    expect(world.due({ epochStart: 11 })).toBeUndefined()
    expect(world.due({ epochStart: 10 })).toBeDefined()
  })

  test('when it brings nothing back that was removed', () => {
    const world = out()
    world.fetch(3, 10)
    expect(world.due({ leaderStart: 1 })).toBeUndefined()
  })

  test.each<[string, (world: World) => void]>([
    ['it is another process by now', (world) => world.incarnations.set(3, 31)],
    ['it is not up', (world) => world.incarnations.delete(3)],
    [
      'it was silent for long',
      (world) => {
        world.nowMs += LAG_MS + 1
        world.fetch(2, 10)
      },
    ],
    [
      'a late request of its earlier life came',
      (world) => {
        world.incarnations.set(3, 31)
        world.fetch(3, 5, { life: 31 })
        world.fetch(3, 10, { life: 30 })
      },
    ],
    [
      'another change is on its way',
      (world) => world.inSync.propose({ isr: [1], added: [], revision: 1 }),
    ],
  ])('not when %s', (_, happens) => {
    const world = out()
    world.fetch(3, 10)
    happens(world)
    expect(world.due()).toBeUndefined()
  })
})

describe('a replica leaves', () => {
  test('when it was behind for too long', () => {
    const world = new World()
    for (const nodeId of [2, 3]) world.fetch(nodeId, 0)
    world.append(10)
    for (; world.nowMs < LAG_MS; world.nowMs += 100) {
      world.fetch(2, 10)
      world.fetch(3, 5)
      expect(world.due()).toBeUndefined()
    }
    world.nowMs += 100
    world.fetch(2, 10)
    world.fetch(3, 5)
    expect(world.due()?.isr).toEqual([1, 2])
  })

  test('not when it always had all there was when it asked before', () => {
    const world = new World()
    for (; world.nowMs < 5 * LAG_MS; world.nowMs += 100) {
      for (const nodeId of [2, 3]) world.fetch(nodeId, Math.max(0, world.ownEnd - 10))
      world.append(10)
      expect(world.due()).toBeUndefined()
    }
  })

  test('not when there is nothing to tell and the node is heard of', () => {
    const world = new World()
    world.append(10)
    for (const nodeId of [2, 3]) world.fetch(nodeId, 10)
    for (; world.nowMs < 5 * LAG_MS; world.nowMs += 100) {
      for (const nodeId of [2, 3]) world.seenMs.set(nodeId, world.nowMs)
      expect(world.due()).toBeUndefined()
    }
    world.append(1)
    expect(world.due()).toBeUndefined()
    world.nowMs += LAG_MS + 1
    expect(world.due()?.isr).toEqual([1])
  })

  test.each<[string, (world: World) => void]>([
    ['is not up', (world) => world.incarnations.delete(3)],
    [
      'is another process, which may have lost what the first had',
      (world) => world.incarnations.set(3, 31),
    ],
  ])('at once when it %s', (_, happens) => {
    const world = new World()
    for (const nodeId of [2, 3]) world.fetch(nodeId, 0)
    happens(world)
    expect(world.due()?.isr).toEqual([1, 2])
  })

  test('only after a while when it has not asked yet in this term', () => {
    const world = new World()
    world.nowMs = LAG_MS
    expect(world.due()).toBeUndefined()
    world.nowMs++
    expect(world.due()?.isr).toEqual([1])
  })
})

describe('a proposal', () => {
  test('is forgotten when it is refused, and when the metadata go on', () => {
    const world = new World({ isr: [1, 2] })
    const proposal = { isr: [1, 2, 3], added: [], revision: 1 }
    world.inSync.propose(proposal)
    world.inSync.assign(assigned({ isr: [1, 2], revision: 1, minInsync: 1 }))
    expect(world.inSync.pending).toBe(proposal)
    world.inSync.rejected(proposal)
    expect(world.inSync.pending).toBeUndefined()
    world.inSync.propose(proposal)
    world.inSync.assign(assigned({ isr: [1, 2], revision: 2 }))
    world.inSync.rejected(proposal)
    expect(world.inSync.pending).toBeUndefined()
  })

  test('clears those who may be elected when enough are in sync', () => {
    const world = new World({ isr: [1, 2], elr: [3] })
    world.fetch(2, 0)
    expect(world.due()).toMatchObject({ isr: [1, 2], added: [] })
  })

  test('of an older state of the metadata changes nothing', () => {
    const world = new World({ isr: [1, 2], revision: 5 })
    world.inSync.assign(assigned({ isr: [1], revision: 4 }))
    expect(world.inSync.assignment.isr).toEqual([1, 2])
  })
})

const follower = fc.constantFrom(2, 3)
const step = fc.oneof(
  fc.record({ kind: fc.constant('append' as const), records: fc.integer({ min: 1, max: 5 }) }),
  fc.record({
    kind: fc.constant('fetch' as const),
    nodeId: follower,
    behind: fc.nat(6),
    unsynced: fc.nat(3),
  }),
  fc.record({ kind: fc.constant('restart' as const), nodeId: follower }),
  fc.record({ kind: fc.constant('late' as const), nodeId: follower, offset: fc.nat(30) }),
  fc.record({ kind: fc.constant('gone' as const), nodeId: follower }),
  fc.record({ kind: fc.constant('time' as const), ms: fc.integer({ min: 1, max: 800 }) }),
  fc.record({ kind: fc.constant('propose' as const) }),
  fc.record({
    kind: fc.constant('outcome' as const),
    isApplied: fc.boolean(),
    isHeard: fc.boolean(),
  }),
)

/** What truly happened beside the leader's view of it. */
class Truth {
  readonly world = new World()
  readonly durable = new Map<number, number>()
  committed = assigned({})
  #life = 100

  take(event: typeof step extends fc.Arbitrary<infer T> ? T : never): void {
    const { world } = this
    switch (event.kind) {
      case 'append':
        world.append(event.records)
        break
      case 'fetch': {
        if (!world.incarnations.has(event.nodeId)) return
        const has = this.durable.get(event.nodeId) ?? 0
        const end = Math.max(has, world.ownEnd - event.behind)
        const durable = Math.max(has, end - event.unsynced)
        this.durable.set(event.nodeId, durable)
        world.fetch(event.nodeId, end, { durable })
        break
      }
      case 'restart':
        world.incarnations.set(event.nodeId, this.#life++)
        break
      case 'late':
        world.fetch(event.nodeId, Math.min(event.offset, this.durable.get(event.nodeId) ?? 0), {
          life: 1,
        })
        break
      case 'gone':
        world.incarnations.delete(event.nodeId)
        break
      case 'time':
        world.nowMs += event.ms
        break
      case 'propose': {
        const proposal = world.due()
        if (proposal !== undefined) world.inSync.propose(proposal)
        break
      }
      case 'outcome':
        this.#settle(event.isApplied, event.isHeard)
    }
  }

  #settle(isApplied: boolean, isHeard: boolean): void {
    const { inSync } = this.world
    const { pending } = inSync
    if (pending !== undefined && isApplied && pending.revision === this.committed.revision) {
      const revision = this.committed.revision + 1
      this.committed = { ...this.committed, isr: pending.isr, revision }
    } else if (pending !== undefined && isHeard && pending.revision === this.committed.revision) {
      inSync.rejected(pending)
    }
    if (isHeard) inSync.assign(this.committed)
  }
}

test('whatever happens: all that is committed is durable on all that may be elected, and stays committed', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (events) => {
      const truth = new Truth()
      const { world } = truth
      for (const event of events) {
        truth.take(event)
        const before = world.highWatermark
        const after = world.advance()
        expect(after).toBeGreaterThanOrEqual(before)
        expect(after).toBeLessThanOrEqual(world.ownEnd)
        for (const nodeId of truth.committed.isr) {
          if (nodeId === LEADER) continue
          expect(truth.durable.get(nodeId) ?? 0, `node ${nodeId}`).toBeGreaterThanOrEqual(after)
        }
        if (after > before) expect(world.inSync.hasEnough).toBe(true)
      }
    }),
    { numRuns: 500 },
  )
})
