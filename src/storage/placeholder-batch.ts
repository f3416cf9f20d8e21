/**
 * A batch without records that stands for offsets whose records are lost, as compaction leaves them
 * in Kafka's logs: those behind keep their offsets, and readers pass over it.
 */
import { BATCH_HEADER_BYTES } from '../core/record-batch.ts'
import { writeInt16, writeInt32, writeInt64 } from '../lib/big-endian.ts'
import { crc32c } from '../lib/crc32c.ts'

/** lastOffsetDelta is an int32. */
const OFFSETS_MAX = 0x7fff_ffff
const CRC_FROM = 21

/** Batches that together span the offsets from `fromOffset` up to, not including, `toOffset`. */
export function placeholders(
  fromOffset: number,
  toOffset: number,
  leaderEpoch: number,
  timestampMs: number,
): Uint8Array[] {
  const batches: Uint8Array[] = []
  for (let offset = fromOffset; offset < toOffset; offset += OFFSETS_MAX) {
    const count = Math.min(OFFSETS_MAX, toOffset - offset)
    batches.push(placeholder(offset, count, leaderEpoch, timestampMs))
  }
  return batches
}

function placeholder(
  baseOffset: number,
  offsets: number,
  leaderEpoch: number,
  timestampMs: number,
): Uint8Array {
  const batch = new Uint8Array(BATCH_HEADER_BYTES)
  writeInt64(batch, 0, baseOffset)
  writeInt32(batch, 8, BATCH_HEADER_BYTES - 12)
  writeInt32(batch, 12, leaderEpoch)
  batch[16] = 2
  writeInt16(batch, 21, 0)
  writeInt32(batch, 23, offsets - 1)
  writeInt64(batch, 27, timestampMs)
  writeInt64(batch, 35, timestampMs)
  writeInt64(batch, 43, -1)
  writeInt16(batch, 51, -1)
  writeInt32(batch, 53, -1)
  writeInt32(batch, 57, 0)
  writeInt32(batch, 17, crc32c(batch, CRC_FROM))
  return batch
}
