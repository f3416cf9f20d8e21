/** What every store asks of a transaction before it looks at what is stored. */
import { assert } from '../lib/assert.ts'
import type { Transaction } from './metadata-store.ts'

const KEY = /^[\x21-\x7e]{1,1024}$/

/** A violation is a fault of the caller; nothing was written. */
export function checkTransactionForm(
  { compare, put, remove = [] }: Transaction,
  maxOperations: number,
): void {
  assert(
    compare.length <= maxOperations && put.length + remove.length <= maxOperations,
    `a transaction has more than ${maxOperations} operations`,
  )
  const keys = new Set(remove)
  for (const { key, value } of put) {
    keys.add(key)
    assert(KEY.test(key), 'a key is not printable ASCII')
    assert(value.isWellFormed() && !value.includes('\0'), 'a value is not JSON text')
  }
  assert(keys.size === put.length + remove.length, 'a transaction writes a key twice')
}
