/** Records as simulated clients write and read them: a value says all of its record that counts. */
import { RecordCursor } from '../../src/core/record-cursor.ts'
import { crc32c } from '../../src/lib/crc32c.ts'

export interface SimRecord {
  readonly offset: number
  /** As it was written; of the deletion of a key, what `deletionOf` says. */
  readonly value: string
}

const KEYS = 6
/** One of so many records of a compacted topic deletes its key. */
const DELETION_EVERY = 8

/** What a record of that name has in a compacted topic: names are unique, keys are not. */
export function keyedEntry(name: string): { key: string; value: string | null } {
  const bytes = Buffer.from(name)
  const hash = crc32c(bytes, 0, bytes.length) >>> 0
  const key = `k${hash % KEYS}`
  const isDeletion = Math.floor(hash / KEYS) % DELETION_EVERY === 0
  return { key, value: isDeletion ? null : name }
}

export const deletionOf = (key: string): string => `no ${key}`

const NO = deletionOf('')

export const isDeletion = (value: string): boolean => value.startsWith(NO)

/** Of a record of a compacted topic, from its value. */
export function keyOfValue(value: string): string {
  return isDeletion(value) ? value.slice(NO.length) : keyedEntry(value).key
}

export function simRecords(batches: readonly Uint8Array[], fromOffset = 0): SimRecord[] {
  const cursor = new RecordCursor()
  const records: SimRecord[] = []
  for (const batch of batches) {
    cursor.reset(batch)
    while (cursor.next()) {
      if (cursor.offset < fromOffset) continue
      records.push({ offset: cursor.offset, value: textOf(cursor, batch) })
    }
  }
  return records
}

/** What a reader of a compacted log knows of each key in the end; nothing of keys that are deleted. */
export function latestValues(batches: readonly Uint8Array[], fromOffset: number) {
  const cursor = new RecordCursor()
  const values = new Map<string, string>()
  for (const batch of batches) {
    cursor.reset(batch)
    while (cursor.next()) {
      const { offset, keyStart, keyEnd, valueStart, valueEnd } = cursor
      if (offset < fromOffset || keyStart === -1) continue
      const key = Buffer.from(batch.subarray(keyStart, keyEnd)).toString()
      if (valueStart === -1) values.delete(key)
      else values.set(key, Buffer.from(batch.subarray(valueStart, valueEnd)).toString())
    }
  }
  return values
}

function textOf({ keyStart, keyEnd, valueStart, valueEnd }: RecordCursor, batch: Uint8Array) {
  const text = (start: number, end: number) => Buffer.from(batch.subarray(start, end)).toString()
  return valueStart === -1 ? deletionOf(text(keyStart, keyEnd)) : text(valueStart, valueEnd)
}
