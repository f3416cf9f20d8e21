/** A batch as plain objects, for assertions. */
import { RecordCursor } from '../../src/core/record-cursor.ts'

export interface WalkedRecord {
  readonly offset: number
  readonly timestampMs: number
  readonly media: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: { readonly name: string; readonly value: Buffer | null }[]
}

export function walkBatch(batch: Uint8Array, at = 0): WalkedRecord[] {
  const cursor = new RecordCursor()
  cursor.reset(batch, at)
  const records: WalkedRecord[] = []
  const part = (start: number, end: number) =>
    start === -1 ? null : Buffer.from(batch.subarray(start, end))
  while (cursor.next()) {
    const { offset, timestampMs, attributes, keyStart, keyEnd, valueStart, valueEnd } = cursor
    const headers: { name: string; value: Buffer | null }[] = []
    while (cursor.nextHeader()) {
      headers.push({
        name: Buffer.from(batch.subarray(cursor.headerNameStart, cursor.headerNameEnd)).toString(),
        value: part(cursor.headerValueStart, cursor.headerValueEnd),
      })
    }
    records.push({
      offset,
      timestampMs,
      media: attributes & 7,
      key: part(keyStart, keyEnd),
      value: part(valueStart, valueEnd),
      headers,
    })
  }
  if (cursor.fault !== undefined) throw new Error(`the batch is ${cursor.fault}`)
  return records
}
