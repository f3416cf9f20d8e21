/** The buffer of one body: asked of the budget before it is allocated, and never beyond the limit. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BodySlabs } from '../../src/http/body-slabs.ts'
import { WholeBody } from '../../src/http/whole-body.ts'
import { ByteBudget } from '../../src/lib/byte-budget.ts'

const MIB = 1024 * 1024
const slabs = new BodySlabs()

describe('WholeBody', () => {
  test('a body in one piece of the declared length is that piece', () => {
    const body = new WholeBody({ budget: new ByteBudget(MIB), slabs }, MIB, 5)
    const chunk = Buffer.from('hello')
    body.push(chunk)
    expect(body.bytes()).toBe(chunk)
    expect(body.heldBytes).toBe(5)
  })

  test('any cut of any bytes is put together again, within twice their size', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 40_000 }), { maxLength: 12 }),
        fc.boolean(),
        (pieces, declared) => {
          const whole = Buffer.concat(pieces)
          const budget = new ByteBudget(16 * MIB)
          const body = new WholeBody({ budget, slabs }, 16 * MIB, declared ? whole.length : -1)
          for (const piece of pieces) body.push(Buffer.from(piece))
          expect(body.bytes().equals(whole)).toBe(true)
          expect(budget.used).toBe(body.heldBytes)
          expect(body.heldBytes).toBeLessThanOrEqual(Math.max(16 * 1024, 2 * whole.length))
        },
      ),
      { numRuns: 50 },
    )
  })

  test('a body that inflates without end never holds more than the limit', () => {
    const limit = 100_000
    const budget = new ByteBudget(MIB)
    const body = new WholeBody({ budget, slabs }, limit, -1)
    const piece = Buffer.alloc(16_384)
    let most = 0
    const inflate = () => {
      for (;;) {
        body.push(piece)
        most = Math.max(most, budget.used)
      }
    }
    expect(inflate).toThrow('larger than 100000 bytes')
    expect(most).toBe(limit)
    expect(body.heldBytes).toBe(limit)
  })

  test('a declared length beyond the limit or the budget takes nothing', () => {
    const budget = new ByteBudget(1000)
    expect(() => new WholeBody({ budget, slabs }, 500, 501)).toThrow('larger than 500')
    expect(budget.tryAcquire(600)).toBe(true)
    expect(() => new WholeBody({ budget, slabs }, 500, 500)).toThrow('all the memory')
    expect(budget.used).toBe(600)
  })

  test('more bytes than were declared do not write past the buffer', () => {
    const body = new WholeBody({ budget: new ByteBudget(MIB), slabs }, MIB, 4)
    body.push(Buffer.from('ab'))
    body.push(Buffer.from('cdef'))
    expect(body.bytes().toString()).toBe('abcdef')
  })
})
