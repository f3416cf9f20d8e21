/**
 * Where the journal lost what a log goes on with, its segment files may still have it, since they are
 * written behind the journal: takes in what follows the known end without a gap.
 */
import {
  batchBaseOffset,
  batchLastOffset,
  batchLeaderEpoch,
  batchMaxTimestamp,
} from '../core/record-batch.ts'
import type { FileSystem } from '../env/file-system.ts'
import { scanBatches } from '../storage/batch-scan.ts'
import type { CheckpointedLog } from '../storage/checkpoint.ts'
import { LeaderEpochs } from '../storage/leader-epochs.ts'
import { quarantineBytes } from '../storage/quarantine.ts'
import type { SegmentState } from '../storage/segment.ts'
import { segmentFileName } from '../storage/segment.ts'

export interface AdoptionPlace {
  readonly fileSystem: FileSystem
  readonly dataDirectory: string
  /** Of the log: its path and its name. */
  readonly folder: { readonly path: string; readonly name: string }
  /** Moves what cannot be taken in to the quarantine. */
  readonly apply: boolean
}

export async function adoptBeyondEnd(
  place: AdoptionPlace,
  log: CheckpointedLog,
): Promise<CheckpointedLog> {
  const segments = [...log.segments]
  const epochs = new LeaderEpochs(log.epochs)
  let { endOffset } = log
  for (;;) {
    const last = segments.at(-1)
    if (last !== undefined) {
      const grown = await grow(place, last, epochs)
      segments[segments.length - 1] = grown
      endOffset = grown.endOffset
      if (last.baseOffset === endOffset) break
    }
    const next = `${place.folder.path}/${segmentFileName({ baseOffset: endOffset }, 'log')}`
    if ((await place.fileSystem.size(next)) === undefined) break
    segments.push({
      baseOffset: endOffset,
      sizeBytes: 0,
      endOffset,
      maxTimestampMs: -1,
      offsetOfMaxTimestamp: endOffset,
      createdAtMs: 0,
    })
  }
  return { ...log, segments, endOffset, epochs: epochs.starts }
}

async function grow(
  { fileSystem, dataDirectory, folder, apply }: AdoptionPlace,
  segment: SegmentState,
  epochs: LeaderEpochs,
): Promise<SegmentState> {
  const path = `${folder.path}/${segmentFileName(segment, 'log')}`
  const end = (await fileSystem.size(path)) ?? 0
  if (end <= segment.sizeBytes) return segment
  let grown = segment
  const file = await fileSystem.open(path, 'read')
  try {
    await scanBatches(file, { start: segment.sizeBytes, end }, (bytes, at, position, sizeBytes) => {
      const baseOffset = batchBaseOffset(bytes, at)
      const leaderEpoch = batchLeaderEpoch(bytes, at)
      if (baseOffset !== grown.endOffset || leaderEpoch < epochs.latest) return false
      epochs.begin(leaderEpoch, baseOffset)
      const lastOffset = batchLastOffset(bytes, at)
      const maxTimestampMs = batchMaxTimestamp(bytes, at)
      const isNewest = maxTimestampMs > grown.maxTimestampMs
      grown = {
        ...grown,
        sizeBytes: position + sizeBytes,
        endOffset: lastOffset + 1,
        ...(isNewest ? { maxTimestampMs, offsetOfMaxTimestamp: lastOffset } : {}),
      }
      return true
    })
  } finally {
    await file.close()
  }
  if (apply && grown.sizeBytes < end) {
    const name = `${folder.name}-${segment.baseOffset}-${grown.sizeBytes}`
    const rest = { path, start: grown.sizeBytes, end }
    await quarantineBytes(fileSystem, dataDirectory, rest, name)
  }
  return grown
}
