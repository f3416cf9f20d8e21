/**
 * Rewrites a damaged segment: valid bytes stay, batches without records take the place of what is
 * lost, damaged bytes are kept in the quarantine.
 */
import type { FileHandle, FileSystem } from '../env/file-system.ts'
import { placeholders } from '../storage/placeholder-batch.ts'
import { quarantineBytes } from '../storage/quarantine.ts'
import type { SegmentState } from '../storage/segment.ts'
import { writeWhole } from '../storage/write-whole.ts'
import type { Piece, SegmentAudit } from './log-damage.ts'

const CHUNK_BYTES = 1024 * 1024

/** Durable when it resolves, to what the checkpoint has to say of the segment now. */
export async function mendSegment(
  fileSystem: FileSystem,
  dataDirectory: string,
  folder: { path: string; name: string },
  audit: SegmentAudit,
): Promise<SegmentState> {
  const { path, pieces, state } = audit
  for (const piece of pieces) {
    if (piece.kind === 'kept' || piece.sizeBytes === 0) continue
    const { position, sizeBytes } = piece
    const name = `${folder.name}-${state.baseOffset}-${position}`
    await quarantineBytes(
      fileSystem,
      dataDirectory,
      { path, start: position, end: position + sizeBytes },
      name,
    )
  }
  await fileSystem.makeDirectory(folder.path)
  const mended = `${path}.mended`
  const sizeBytes = await rewrite(fileSystem, path, mended, pieces)
  await fileSystem.rename(mended, path)
  for (const index of ['.index', '.timeindex']) {
    await fileSystem.remove(path.replace(/\.log$/, index))
  }
  await fileSystem.syncDirectory(folder.path)
  return { ...state, sizeBytes, endOffset: endOf(audit) }
}

/** Behind the last offset that the mended segment stands for. */
function endOf({ pieces, state }: SegmentAudit): number {
  const last = pieces.at(-1)
  return last?.kind === 'lost' ? last.toOffset : state.endOffset
}

async function rewrite(
  fileSystem: FileSystem,
  from: string,
  to: string,
  pieces: readonly Piece[],
): Promise<number> {
  const target = await fileSystem.open(to, 'create')
  // Nothing can be kept of a file that is missing.
  const source = pieces.some(({ kind }) => kind === 'kept')
    ? await fileSystem.open(from, 'read')
    : undefined
  let at = 0
  try {
    await target.truncate(0)
    for (const piece of pieces) {
      if (piece.kind === 'lost') {
        const { fromOffset, toOffset, leaderEpoch, timestampMs } = piece
        const batches = placeholders(fromOffset, toOffset, leaderEpoch, timestampMs)
        await writeWhole(target, batches, at)
        for (const batch of batches) at += batch.length
      } else if (source !== undefined) {
        await copy(source, target, piece, at)
        at += piece.sizeBytes
      }
    }
    await target.syncData()
  } finally {
    await source?.close()
    await target.close()
  }
  return at
}

async function copy(
  source: FileHandle,
  target: FileHandle,
  { position, sizeBytes }: { position: number; sizeBytes: number },
  to: number,
): Promise<void> {
  const chunk = new Uint8Array(Math.min(CHUNK_BYTES, sizeBytes))
  for (let done = 0; done < sizeBytes; ) {
    const part = chunk.subarray(0, Math.min(chunk.length, sizeBytes - done))
    await source.readAt(part, position + done)
    await writeWhole(target, [part], to + done)
    done += part.length
  }
}
