/** The judge itself: each anomaly is found, and nothing else. */
import { describe, expect, it } from 'vitest'
import { History } from '../support/history-checker.ts'

const at = (offset: number, value: string, partition = 0) => ({ partition, offset, value })

function history(): History {
  const made = new History()
  made.wrote('w', 'a', { kind: 'written', partition: 0, offset: 0 })
  made.wrote('w', 'b', { kind: 'written', partition: 0, offset: 1 })
  made.wrote('w', 'c', { kind: 'unknown' })
  made.wrote('w', 'd', { kind: 'refused' })
  return made
}

describe('history checker', () => {
  it.each([
    ['an unknown write that was lost', [at(0, 'a'), at(1, 'b')]],
    ['an unknown write that happened', [at(0, 'a'), at(1, 'b'), at(2, 'c')]],
  ])('accepts %s', (_, final) => {
    expect(history().anomalies(final)).toEqual([])
  })

  it.each([
    ['lost write', [at(0, 'a')]],
    ['inconsistent offset', [at(0, 'b'), at(1, 'a')]],
    ['duplicate', [at(0, 'a'), at(1, 'b'), at(2, 'c'), at(3, 'c')]],
    ['hole', [at(0, 'a'), at(1, 'b'), at(3, 'c')]],
    ['refused, yet written', [at(0, 'a'), at(1, 'b'), at(2, 'd')]],
    ['never sent', [at(0, 'a'), at(1, 'b'), at(2, 'x')]],
  ])('finds: %s', (kind, final) => {
    expect(history().anomalies(final)).toContainEqual(expect.stringContaining(kind))
  })

  it('finds a writer whose records changed places', () => {
    const made = new History()
    made.wrote('w', 'a', { kind: 'written', partition: 0, offset: 1 })
    made.wrote('w', 'b', { kind: 'written', partition: 0, offset: 0 })
    expect(made.anomalies([at(0, 'b'), at(1, 'a')])).toEqual([expect.stringContaining('disorder')])
  })

  it('finds a record that was read and is gone', () => {
    const made = history()
    made.read(at(2, 'c'))
    expect(made.anomalies([at(0, 'a'), at(1, 'b')])).toEqual([
      expect.stringContaining('unstable read'),
    ])
  })
})
