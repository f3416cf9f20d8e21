/** Chooses, from what was fetched, the records that one answer has: fairly over the partitions, and at most `limit`. */
import type { TopicId } from '../core/ids.ts'
import {
  BATCH_CONTROL,
  batchAttributes,
  batchBaseOffset,
  batchLastOffset,
  batchLeaderEpoch,
  batchRecordCount,
} from '../core/record-batch.ts'
import { RecordCursor } from '../core/record-cursor.ts'
import type { Fetched } from '../wire/internal.ts'
import type { ReadPositions } from './read-positions.ts'

/** The first `records` records of a batch whose offset is at least `from`. */
export interface BatchSlice {
  readonly topicId: TopicId
  readonly partition: number
  readonly batch: Uint8Array
  readonly from: number
  readonly records: number
}

export interface Selection {
  readonly slices: readonly BatchSlice[]
  readonly records: number
}

/**
 * Takes one batch of each partition in turn; moves the positions behind what it takes. `positionsIn`
 * gives those of a topic.
 */
export function selectRecords(
  fetched: readonly Fetched[],
  positionsIn: (topicId: TopicId) => ReadPositions,
  limit: number,
): Selection {
  const slices: BatchSlice[] = []
  let records = 0
  let isCut = false
  const rounds = Math.max(0, ...fetched.map(({ batches }) => batches.length))
  for (let round = 0; round < rounds && !isCut; round++) {
    for (const { topicId, partition, batches } of fetched) {
      const batch = batches[round]
      if (batch === undefined) continue
      if (records === limit) {
        isCut = true
        break
      }
      const positions = positionsIn(topicId)
      const from = positions.offsetOf(partition)
      const taken = takeOf(batch, from, limit - records)
      if (taken.records > 0)
        slices.push({ topicId, partition, batch, from, records: taken.records })
      records += taken.records
      positions.set(partition, taken.nextOffset, batchLeaderEpoch(batch))
      isCut ||= taken.nextOffset <= batchLastOffset(batch)
    }
  }
  if (!isCut) {
    for (const { topicId, partition, nextOffset } of fetched) {
      positionsIn(topicId).set(partition, nextOffset, -1)
    }
  }
  return { slices, records }
}

interface Taken {
  readonly records: number
  readonly nextOffset: number
}

function takeOf(batch: Uint8Array, from: number, limit: number): Taken {
  const base = batchBaseOffset(batch)
  const last = batchLastOffset(batch)
  if ((batchAttributes(batch) & BATCH_CONTROL) !== 0) return { records: 0, nextOffset: last + 1 }
  // After compaction offsets have gaps.
  if (batchRecordCount(batch) !== last - base + 1) return takeSparse(batch, from, limit)
  const start = Math.max(from, base)
  const records = Math.min(limit, last + 1 - start)
  return { records, nextOffset: start + records }
}

function takeSparse(batch: Uint8Array, from: number, limit: number): Taken {
  const cursor = new RecordCursor()
  cursor.reset(batch)
  let records = 0
  while (cursor.next()) {
    if (cursor.offset < from) continue
    if (records === limit) return { records, nextOffset: cursor.offset }
    records++
  }
  return { records, nextOffset: batchLastOffset(batch) + 1 }
}
