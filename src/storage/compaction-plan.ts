/** Decides whether a log is to be compacted, and what of it. */
import type { PartitionLog } from './partition-log.ts'
import type { Segment } from './segment.ts'

export interface CompactionPlan {
  /** All that may be rewritten, from the start of the log on. */
  readonly segments: readonly Segment[]
  /** From here on nothing was compacted yet. */
  readonly dirtyFrom: number
  /** Share of the bytes that are in segments with records of which nothing was compacted yet. */
  readonly dirtyRatio: number
  readonly isDue: boolean
}

/**
 * Undefined if nothing can be compacted: only closed segments are, whose records are committed, and
 * which the last checkpoint has up to `closedEnd`, so that recovery finds them as they were or as
 * they are then.
 */
export function planCompaction(
  log: PartitionLog,
  closedEnd: number,
  nowMs: number,
): CompactionPlan | undefined {
  const { compaction } = log.settings
  if (compaction === undefined || log.deleted || log.damage !== undefined) return undefined
  const { endOffset: compactedEnd, horizonMs } = log.compacted
  const limit = Math.min(log.highWatermark, closedEnd)
  const segments: Segment[] = []
  let totalBytes = 0
  let dirtyBytes = 0
  let firstDirty: Segment | undefined
  for (const segment of log.segments.slice(0, -1)) {
    if (segment.endOffset > limit || segment.damagedAt !== undefined) break
    if (segment.endOffset > compactedEnd) {
      const ageMs = nowMs - segment.maxTimestampMs
      if (compaction.minLagMs > 0 && ageMs < compaction.minLagMs) break
      firstDirty ??= segment
      dirtyBytes += segment.sizeBytes
    }
    totalBytes += segment.sizeBytes
    segments.push(segment)
  }
  if (segments.length === 0) return undefined
  const dirtyRatio = dirtyBytes / totalBytes
  const isOverdue = firstDirty !== undefined && nowMs - firstDirty.createdAtMs > compaction.maxLagMs
  const mayPurge = horizonMs !== -1 && nowMs >= horizonMs
  const isDirty = dirtyBytes > 0 && dirtyRatio >= compaction.minDirtyRatio
  const dirtyFrom = Math.max(compactedEnd, log.startOffset)
  return { segments, dirtyFrom, dirtyRatio, isDue: isDirty || isOverdue || mayPurge }
}

/**
 * Segments that are rewritten into one, so that what shrinks does not leave ever more small files:
 * neighbours that together fit into one.
 */
export function groupSegments(segments: readonly Segment[], segmentBytes: number): Segment[][] {
  const groups: Segment[][] = []
  let bytes = 0
  for (const segment of segments) {
    const group = groups.at(-1)
    const spansTooMuch = segment.endOffset - (group?.[0]?.baseOffset ?? 0) > MAX_OFFSETS
    if (group === undefined || bytes + segment.sizeBytes > segmentBytes || spansTooMuch) {
      groups.push([segment])
      bytes = segment.sizeBytes
    } else {
      group.push(segment)
      bytes += segment.sizeBytes
    }
  }
  return groups
}

/** Relative offsets are int32 in the indexes. */
const MAX_OFFSETS = 0x7fff_ffff
