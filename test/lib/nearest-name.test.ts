import { expect, test } from 'vitest'
import { nearestName } from '../../src/lib/nearest-name.ts'

const KNOWN = ['port', 'host', 'partition', 'cors-origin', 'acks']

test.each([
  ['prot', 'port'],
  ['acsk', 'acks'],
  ['partitions', 'partition'],
  ['Partition', 'partition'],
  ['cors-orgin', 'cors-origin'],
  ['xyzzy', undefined],
  ['', undefined],
  ['p'.repeat(10_000), undefined],
])('%s is near %s', (name, near) => {
  expect(nearestName(name, KNOWN)).toBe(near)
})
