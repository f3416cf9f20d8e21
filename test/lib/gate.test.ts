import { describe, expect, it } from 'vitest'
import { Gate } from '../../src/lib/gate.ts'

const never = new AbortController().signal

describe('Gate', () => {
  it('lets its width through, and the others in order as those leave', async () => {
    const gate = new Gate(2)
    const passed: number[] = []
    const entries = [0, 1, 2, 3].map(async (n) => {
      await gate.enter(never)
      passed.push(n)
    })
    await Promise.all(entries.slice(0, 2))
    expect([passed, gate.waiting]).toEqual([[0, 1], 2])
    gate.leave()
    await entries[2]
    expect(passed).toEqual([0, 1, 2])
    gate.leave()
    await entries[3]
    expect([passed, gate.waiting]).toEqual([[0, 1, 2, 3], 0])
  })

  it('forgets who gives up, and gives the place to the next', async () => {
    const gate = new Gate(1)
    await gate.enter(never)
    const gone = new AbortController()
    const first = gate.enter(gone.signal)
    const second = gate.enter(never)
    gone.abort(new Error('gone'))
    await expect(first).rejects.toThrow('gone')
    expect(gate.waiting).toBe(1)
    gate.leave()
    await second
    gate.leave()
    await expect(gate.enter(gone.signal)).rejects.toThrow('gone')
    expect(() => gate.leave()).toThrow('invariant')
  })
})
