import { describe, expect, test } from 'vitest'
import { BodySlabs } from '../../src/http/body-slabs.ts'

const KIB = 1024

describe('BodySlabs', () => {
  test('memory that was given back is used again, for what it fits', () => {
    const slabs = new BodySlabs()
    const first = slabs.take(100 * KIB)
    expect(first).toHaveLength(100 * KIB)
    slabs.give(first)
    expect(slabs.take(40 * KIB).buffer).not.toBe(first.buffer)
    expect(slabs.take(200 * KIB).buffer).not.toBe(first.buffer)
    const again = slabs.take(90 * KIB)
    expect(again.buffer).toBe(first.buffer)
    expect(again).toHaveLength(90 * KIB)
    expect(slabs.take(100 * KIB).buffer).not.toBe(first.buffer)
  })

  test('what is given twice, or is not its own, is not used', () => {
    const slabs = new BodySlabs()
    const body = slabs.take(64 * KIB)
    slabs.give(body)
    slabs.give(body)
    slabs.give(Buffer.alloc(64 * KIB))
    slabs.give(slabs.take(KIB))
    expect(slabs.freeBytes).toBe(64 * KIB)
    const [one, two] = [slabs.take(64 * KIB), slabs.take(64 * KIB)]
    expect(one.buffer).not.toBe(two.buffer)
  })

  test('what it keeps is bounded', () => {
    const slabs = new BodySlabs()
    const bodies = Array.from({ length: 40 }, () => slabs.take(1024 * KIB))
    for (const body of bodies) slabs.give(body)
    expect(slabs.freeBytes).toBe(16 * 1024 * KIB)
  })
})
