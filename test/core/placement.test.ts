import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { PlacementNode } from '../../src/core/placement.ts'
import { placeReplicas } from '../../src/core/placement.ts'

const node = (id: number, rack: string): PlacementNode => ({ id, rack })

describe('placeReplicas', () => {
  test('one node holds everything', () => {
    expect(placeReplicas([node(4, 'a')], 3, 1, 17)).toEqual([[4], [4], [4]])
  })

  test('too few nodes', () => {
    expect(placeReplicas([], 1, 1, 0)).toBeUndefined()
    expect(placeReplicas([node(0, 'a'), node(1, 'b')], 1, 3, 0)).toBeUndefined()
  })

  test('leaders go round, and followers shift with each round', () => {
    const nodes = [0, 1, 2].map((id) => node(id, `${id}`))
    expect(placeReplicas(nodes, 6, 2, 0)).toEqual([
      [0, 1],
      [1, 2],
      [2, 0],
      [0, 2],
      [1, 0],
      [2, 1],
    ])
    expect(placeReplicas(nodes, 2, 1, 5)).toEqual([[2], [0]])
  })

  test('two racks of two nodes: never both replicas on one rack', () => {
    const nodes = [node(0, 'a'), node(1, 'a'), node(2, 'b'), node(3, 'b')]
    for (const [first, second] of placeReplicas(nodes, 100, 2, 0) as [number, number][]) {
      expect(first < 2).not.toBe(second < 2)
    }
  })

  test('a node that is to be avoided holds nothing, unless the others are too few', () => {
    const rackOf = ['a', 'b', 'c', 'd']
    const nodes = rackOf.map((rack, id) => ({ id, rack, avoid: id === 1 }))
    const placed = placeReplicas(nodes, 100, 3, 0)!
    expect(placed.flat()).not.toContain(1)
    expect(new Set(placed.map(([leader]) => leader))).toEqual(new Set([0, 2, 3]))
    for (const replicas of placeReplicas(nodes, 100, 4, 0)!) expect(replicas).toContain(1)
    expect(placeReplicas(nodes.slice(0, 3), 1, 3, 0)?.[0]?.toSorted()).toEqual([0, 1, 2])
  })

  test('of those that are to be avoided no more are taken than needed', () => {
    const nodes = ['a', 'a', 'a', 'a'].map((rack, id) => ({ id, rack, avoid: id < 3 }))
    for (const replicas of placeReplicas(nodes, 100, 2, 0)!) expect(replicas).toContain(3)
  })

  test('a rack is not given up for the moment that its only node is to be avoided', () => {
    const nodes = ['a', 'a', 'b', 'c'].map((rack, id) => ({ id, rack, avoid: id === 3 }))
    for (const replicas of placeReplicas(nodes, 100, 3, 0)!) expect(replicas).toContain(3)
    expect(placeReplicas(nodes, 100, 2, 0)?.flat()).not.toContain(3)
  })

  test('always distinct nodes, as many racks as possible, and leaders in balance', () => {
    const racks = fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { minLength: 1, maxLength: 9 })
    fc.assert(
      fc.property(
        racks,
        fc.integer({ min: 1, max: 60 }),
        fc.nat(2 ** 32 - 1),
        fc.nat(8),
        (rackOf, partitions, start, more) => {
          const nodes = rackOf.map((rack, id) => node(id, rack))
          const replicationFactor = 1 + (more % nodes.length)
          const placed = placeReplicas(nodes, partitions, replicationFactor, start)!
          expect(placed).toHaveLength(partitions)
          const leads = nodes.map(() => 0)
          for (const replicas of placed) {
            expect(new Set(replicas).size).toBe(replicationFactor)
            const spread = new Set(replicas.map((id) => rackOf[id])).size
            expect(spread).toBe(Math.min(replicationFactor, new Set(rackOf).size))
            leads[replicas[0]!]!++
          }
          expect(Math.max(...leads) - Math.min(...leads)).toBeLessThanOrEqual(1)
        },
      ),
    )
  })
})
