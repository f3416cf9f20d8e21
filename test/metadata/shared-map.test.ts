import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { SharedMap } from '../../src/metadata/shared-map.ts'

const sorted = (entries: Iterable<[string, number]>) =>
  [...entries].sort(([a], [b]) => (a < b ? -1 : 1))

describe('SharedMap', () => {
  test('holds what a Map would, after any changes, and no copy changes another', () => {
    const key = fc.integer({ min: 0, max: 900 }).map((n) => `topic-${n}`)
    const change = fc.tuple(key, fc.option(fc.nat(), { nil: undefined }))
    fc.assert(
      fc.property(fc.array(fc.array(change, { maxLength: 60 }), { maxLength: 20 }), (rounds) => {
        const model = new Map<string, number>()
        const copies: [SharedMap<string, number>, [string, number][]][] = []
        let map = SharedMap.empty<string, number>()
        for (const round of rounds) {
          map = map.with(new Map(round))
          for (const [k, value] of new Map(round)) {
            if (value === undefined) model.delete(k)
            else model.set(k, value)
          }
          copies.push([map, sorted(model)])
        }
        for (const [copy, entries] of copies) {
          expect(sorted(copy)).toEqual(entries)
          expect(copy.size).toBe(entries.length)
          for (const [k, value] of entries)
            expect([copy.get(k), copy.has(k)]).toEqual([value, true])
          expect([copy.get('other'), copy.has('other')]).toEqual([undefined, false])
        }
      }),
    )
  })

  test('keys, values and forEach agree', () => {
    const map = SharedMap.empty<string, number>().with(
      new Map([
        ['a', 1],
        ['b', 2],
      ]),
    )
    const pairs = [...map.keys()].map((key, i): [string, number] => [key, [...map.values()][i]!])
    const each: [string, number][] = []
    map.forEach((value, key) => {
      each.push([key, value])
    })
    expect(sorted(pairs)).toEqual([
      ['a', 1],
      ['b', 2],
    ])
    expect(each).toEqual(pairs)
  })

  test('a change of one among many leaves the rest, and their order, as they are', () => {
    const names = Array.from({ length: 10_000 }, (_, n): [string, number] => [`orders-${n}`, n])
    const map = SharedMap.empty<string, number>().with(new Map(names))
    const changed = map.with(new Map([['orders-77', -1]]))
    expect(changed.get('orders-77')).toBe(-1)
    expect(map.get('orders-77')).toBe(77)
    expect([...changed.keys()]).toEqual([...map.keys()])
  })
})
