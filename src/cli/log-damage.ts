/** Compares the files of a log with what the checkpoint says of it: what is lost, by offsets, and where. */
import type { FileSystem } from '../env/file-system.ts'
import type { CheckpointedLog } from '../storage/checkpoint.ts'
import type { EpochStart } from '../storage/leader-epochs.ts'
import { LeaderEpochs } from '../storage/leader-epochs.ts'
import type { SegmentState } from '../storage/segment.ts'
import { segmentFileName } from '../storage/segment.ts'
import { auditSegment } from '../storage/segment-audit.ts'

/** Bytes that are kept as they are, in order, or offsets that are lost. */
export type Piece =
  | { readonly kind: 'kept'; readonly position: number; readonly sizeBytes: number }
  | {
      readonly kind: 'lost'
      /** Where the damaged bytes lie; none if they are missing. */
      readonly position: number
      readonly sizeBytes: number
      readonly fromOffset: number
      /** Not lost itself. */
      readonly toOffset: number
      /** Of the record before. */
      readonly leaderEpoch: number
      readonly timestampMs: number
    }

export interface SegmentAudit {
  readonly state: SegmentState
  readonly path: string
  readonly pieces: readonly Piece[]
  readonly epochs: readonly EpochStart[]
  /** What the valid batches amount to. */
  readonly summary: Pick<SegmentState, 'endOffset' | 'maxTimestampMs' | 'offsetOfMaxTimestamp'>
}

export function isDamaged(audit: SegmentAudit): boolean {
  return audit.pieces.some(({ kind }) => kind === 'lost')
}

/** Reads all of the log that the checkpoint vouches for. */
export async function auditLog(
  fileSystem: FileSystem,
  directory: string,
  log: CheckpointedLog,
): Promise<SegmentAudit[]> {
  const epochs = new LeaderEpochs(log.epochs)
  const audits: SegmentAudit[] = []
  for (const state of log.segments) {
    const path = `${directory}/${segmentFileName(state, 'log')}`
    const size = (await fileSystem.size(path)) ?? 0
    const range = { end: Math.min(size, state.sizeBytes), endOffset: state.endOffset }
    audits.push(await auditFile(fileSystem, path, state, range, epochs))
  }
  return audits
}

/** `endOffset` undefined: the segment ends with its last valid batch. */
export async function auditFile(
  fileSystem: FileSystem,
  path: string,
  state: SegmentState,
  range: { end: number; endOffset: number | undefined },
  epochs: LeaderEpochs | undefined,
): Promise<SegmentAudit> {
  const collector = new Collector(state.baseOffset, epochs)
  if (range.end > 0) {
    const file = await fileSystem.open(path, 'read')
    const epochAt = epochs === undefined ? {} : { epochAt: (at: number) => epochs.epochAt(at) }
    try {
      const options = { end: range.end, baseOffset: state.baseOffset, ...epochAt }
      await auditSegment(file, options, (finding) => {
        if (finding.kind === 'damage') collector.damaged(finding.position, finding.sizeBytes)
        else collector.batch(finding.position, finding.header)
      })
    } finally {
      await file.close()
    }
  }
  collector.end(range.end, range.endOffset)
  const { pieces, summary } = collector
  return { state, path, pieces, summary, epochs: collector.epochs.starts }
}

interface BatchPlace {
  readonly baseOffset: number
  readonly lastOffsetDelta: number
  readonly sizeBytes: number
  readonly leaderEpoch: number
  readonly maxTimestampMs: number
}

class Collector {
  readonly pieces: Piece[] = []
  readonly epochs = new LeaderEpochs()
  #nextOffset: number
  #leaderEpoch: number
  #timestampMs = -1
  #offsetOfMaxTimestamp: number
  #keptFrom = 0
  #damage: { position: number; sizeBytes: number } | undefined

  constructor(baseOffset: number, epochs: LeaderEpochs | undefined) {
    this.#nextOffset = baseOffset
    this.#offsetOfMaxTimestamp = baseOffset
    this.#leaderEpoch = Math.max(0, epochs?.epochAt(baseOffset) ?? 0)
  }

  get summary(): SegmentAudit['summary'] {
    return {
      endOffset: this.#nextOffset,
      maxTimestampMs: this.#timestampMs,
      offsetOfMaxTimestamp: this.#offsetOfMaxTimestamp,
    }
  }

  batch(position: number, header: BatchPlace): void {
    if (this.#damage !== undefined) {
      this.#lose(header.baseOffset)
      this.#keptFrom = position
    }
    this.#nextOffset = header.baseOffset + header.lastOffsetDelta + 1
    this.#leaderEpoch = header.leaderEpoch
    if (header.maxTimestampMs > this.#timestampMs) {
      this.#timestampMs = header.maxTimestampMs
      this.#offsetOfMaxTimestamp = this.#nextOffset - 1
    }
    if (header.leaderEpoch > this.epochs.latest) {
      this.epochs.begin(header.leaderEpoch, header.baseOffset)
    }
  }

  damaged(position: number, sizeBytes: number): void {
    this.#keep(position)
    this.#damage = { position, sizeBytes }
  }

  end(position: number, endOffset: number | undefined): void {
    if (this.#damage === undefined) this.#keep(position)
    const lostTo = Math.max(this.#nextOffset, endOffset ?? 0)
    if (this.#damage === undefined && lostTo === this.#nextOffset) return
    this.#damage ??= { position, sizeBytes: 0 }
    this.#lose(lostTo)
  }

  #keep(end: number): void {
    if (end === this.#keptFrom) return
    this.pieces.push({ kind: 'kept', position: this.#keptFrom, sizeBytes: end - this.#keptFrom })
  }

  #lose(toOffset: number): void {
    const { position, sizeBytes } = this.#damage ?? { position: 0, sizeBytes: 0 }
    this.pieces.push({
      kind: 'lost',
      position,
      sizeBytes,
      fromOffset: this.#nextOffset,
      toOffset,
      leaderEpoch: this.#leaderEpoch,
      timestampMs: this.#timestampMs,
    })
    this.#nextOffset = toOffset
    this.#damage = undefined
  }
}
