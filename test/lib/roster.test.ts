import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Roster } from '../../src/lib/roster.ts'

interface Guest {
  readonly name: number
  seat: number
}

test('holds what a set would, in the same order, whoever comes and goes', () => {
  const steps = fc.array(fc.tuple(fc.boolean(), fc.nat(1_000)), { maxLength: 500 })
  fc.assert(
    fc.property(steps, (taken) => {
      const roster = new Roster<Guest>()
      const model = new Set<Guest>()
      const all: Guest[] = []
      for (const [comes, which] of taken) {
        if (comes) {
          const guest = { name: all.length, seat: -1 }
          all.push(guest)
          roster.add(guest)
          model.add(guest)
        } else {
          const guest = all[which % Math.max(1, all.length)]
          if (guest !== undefined) expect(roster.delete(guest)).toBe(model.delete(guest))
        }
        expect(roster.size).toBe(model.size)
      }
      expect(roster.filter()).toEqual([...model])
      const isEven = ({ name }: Guest) => name % 2 === 0
      expect(roster.filter(isEven)).toEqual([...model].filter(isEven))
    }),
  )
})

test('who was never there does not leave', () => {
  const roster = new Roster<Guest>()
  expect(roster.delete({ name: 1, seat: -1 })).toBe(false)
  roster.add({ name: 1, seat: -1 })
  expect(roster.delete({ name: 2, seat: 0 })).toBe(false)
  expect(roster.size).toBe(1)
})
