/**
 * Compacts one log: finds the last record of each key in what is new, as far as memory allows, then
 * writes the segments up to there anew without the records that have a later one. Segments are
 * replaced from the oldest on, each at once; whatever happens, readers find one or the other.
 */
import type { FilterRules } from '../core/batch-filter.ts'
import { BatchFilter } from '../core/batch-filter.ts'
import {
  BATCH_CODEC_MASK,
  BATCH_CONTROL,
  batchAttributes,
  batchBaseOffset,
  batchDeleteHorizon,
  batchLastOffset,
  batchLeaderEpoch,
  batchRecordCount,
} from '../core/record-batch.ts'
import { RecordCursor } from '../core/record-cursor.ts'
import type { FileSystem } from '../env/file-system.ts'
import type { Random } from '../env/random.ts'
import { ServiceError } from '../lib/service-error.ts'
import { scanBatches } from './batch-scan.ts'
import type { CompactionPlan } from './compaction-plan.ts'
import { groupSegments } from './compaction-plan.ts'
import type { FilePool } from './file-pool.ts'
import { KeyOffsets } from './key-offsets.ts'
import type { PartitionLog } from './partition-log.ts'
import { Segment } from './segment.ts'
import type { SegmentFiles } from './segment-files.ts'
import { SegmentRewrite } from './segment-rewrite.ts'

/** Records of so many bytes are looked at in one turn; others want the processor as well. */
const CHUNK_BYTES = 128 * 1024

export interface CompactionPassDeps {
  readonly fileSystem: FileSystem
  readonly files: FilePool
  readonly segmentFiles: SegmentFiles
  readonly random: Random
}

export interface CompactionPassOptions {
  readonly keyMapBytes: number
  readonly nowMs: number
  /** Whether it is late enough for tombstones whose time has come. */
  readonly mayPurge: boolean
  /** Takes the time that so many bytes may cost; rejects when the pass is to end. */
  readonly pace: (bytes: number) => Promise<void>
  /** The segments have left the log, which is compacted further now. */
  readonly onReplaced: (replaced: readonly Segment[], by: Segment) => void
}

export interface CompactionOutcome {
  /** `overtaken`: the log was cut, shortened or deleted meanwhile. */
  readonly end: 'done' | 'overtaken'
  readonly removedBytes: number
}

export class CompactionPass {
  readonly #deps: CompactionPassDeps
  readonly #options: CompactionPassOptions
  readonly #log: PartitionLog
  readonly #plan: CompactionPlan
  readonly #generation: number
  readonly #keys: KeyOffsets
  readonly #filter = new BatchFilter()
  readonly #replaced = new Set<Segment>()
  /** Behind the records that the keys were taken from. */
  #endOffset: number
  /** Behind the last tombstone that was left out for its age. */
  #purgedEnd = 0
  #horizonMs = -1
  #removedBytes = 0

  constructor(
    deps: CompactionPassDeps,
    log: PartitionLog,
    plan: CompactionPlan,
    options: CompactionPassOptions,
  ) {
    this.#deps = deps
    this.#options = options
    this.#log = log
    this.#plan = plan
    this.#generation = log.generation
    this.#keys = new KeyOffsets(deps.random, options.keyMapBytes)
    this.#endOffset = plan.dirtyFrom
  }

  /** @throws ServiceError `partition-damaged`; what the disk or `pace` rejects with */
  async run(): Promise<CompactionOutcome> {
    try {
      return await this.#run()
    } catch (error) {
      // Files of segments that left the log are not there for ever.
      if (this.#isCurrent && this.#plan.segments.every((segment) => this.#isLeft(segment)))
        throw error
      return this.#outcome('overtaken')
    }
  }

  async #run(): Promise<CompactionOutcome> {
    for (const segment of this.#plan.segments) {
      if (segment.endOffset > this.#plan.dirtyFrom && !(await this.#readKeys(segment))) break
    }
    const { segmentBytes } = this.#log.settings
    const reached = this.#plan.segments.filter(({ baseOffset }) => baseOffset < this.#endOffset)
    for (const group of groupSegments(reached, segmentBytes)) {
      if (group.length === 1 && !(await this.#changes(group[0] as Segment))) continue
      if (!(await this.#replace(group))) return this.#outcome('overtaken')
    }
    if (!this.#isCurrent) return this.#outcome('overtaken')
    const { purgedEnd } = this.#log.compacted
    this.#log.compactTo({ endOffset: this.#endOffset, purgedEnd, horizonMs: this.#horizonMs })
    return this.#outcome('done')
  }

  get #isCurrent(): boolean {
    return this.#log.generation === this.#generation && !this.#log.deleted
  }

  /** In the log, or replaced by this pass. */
  #isLeft(segment: Segment): boolean {
    return this.#replaced.has(segment) || this.#log.segments.includes(segment)
  }

  #outcome(end: CompactionOutcome['end']): CompactionOutcome {
    return { end, removedBytes: this.#removedBytes }
  }

  /** False if there was no room for all keys: what lies behind is for another pass. */
  async #readKeys(segment: Segment): Promise<boolean> {
    const cursor = new RecordCursor()
    let hasRoom = true
    await this.#scan(segment, (bytes, at) => {
      if (batchLastOffset(bytes, at) < this.#endOffset) return
      const isReadable = (batchAttributes(bytes, at) & (BATCH_CONTROL | BATCH_CODEC_MASK)) === 0
      cursor.reset(bytes, at)
      while (hasRoom && isReadable && cursor.next()) {
        const { keyStart, keyEnd, offset } = cursor
        if (offset < this.#endOffset || keyStart === -1) continue
        hasRoom = this.#keys.note(bytes, keyStart, keyEnd, offset)
        if (!hasRoom) this.#endOffset = offset
      }
      if (hasRoom) this.#endOffset = batchLastOffset(bytes, at) + 1
    })
    return hasRoom
  }

  /** Whether anything of the segment goes; if not, it need not be written. */
  async #changes(segment: Segment): Promise<boolean> {
    let isChanged = false
    let horizonMs = this.#horizonMs
    await this.#scan(segment, (bytes, at) => {
      const hasRecords = batchRecordCount(bytes, at) > 0
      if (!isChanged && hasRecords) isChanged = this.#apply(bytes, at) !== 'same'
      if (hasRecords) horizonMs = Math.max(horizonMs, batchDeleteHorizon(bytes, at))
    })
    if (!isChanged) this.#horizonMs = horizonMs
    return isChanged
  }

  /** Resolves to false if the log was changed meanwhile, so that what was written is of no use. */
  async #replace(group: readonly Segment[]): Promise<boolean> {
    const { fileSystem, segmentFiles } = this.#deps
    const first = group[0] as Segment
    const segment = Segment.begin(first.baseOffset, first.createdAtMs, this.#log.nextVersion())
    const path = segmentFiles.path(this.#log, segment, 'log')
    const rewrite = await SegmentRewrite.begin(fileSystem, path, segment)
    try {
      for (const source of group) await this.#rewrite(source, rewrite)
      await rewrite.finish(this.#log.directory)
    } catch (error) {
      await rewrite.discard()
      throw error
    }
    if (!this.#isCurrent || !this.#log.replace(group, segment)) {
      await rewrite.discard()
      return false
    }
    const { compacted } = this.#log
    const purgedEnd = Math.max(compacted.purgedEnd, this.#purgedEnd)
    this.#log.compactTo({ ...compacted, purgedEnd })
    for (const replaced of group) {
      this.#replaced.add(replaced)
      this.#removedBytes += replaced.sizeBytes
    }
    this.#removedBytes -= segment.sizeBytes
    this.#options.onReplaced(group, segment)
    await segmentFiles.persistIndex(this.#log, segment)
    return true
  }

  async #rewrite(source: Segment, rewrite: SegmentRewrite): Promise<void> {
    await this.#scan(
      source,
      (bytes, at, sizeBytes) => {
        const kept = this.#apply(bytes, at)
        if (kept === 'empty') {
          const baseOffset = batchBaseOffset(bytes, at)
          rewrite.skip(baseOffset, batchLastOffset(bytes, at) + 1, batchLeaderEpoch(bytes, at))
          return
        }
        const [batch, from, size] =
          kept === 'same' ? [bytes, at, sizeBytes] : [kept, 0, kept.length]
        rewrite.keep(batch, from, size)
        this.#horizonMs = Math.max(this.#horizonMs, batchDeleteHorizon(batch, from))
      },
      () => rewrite.write(),
    )
  }

  #apply(bytes: Uint8Array, at: number): ReturnType<BatchFilter['apply']> {
    const { nowMs, mayPurge } = this.#options
    const { startOffset, settings } = this.#log
    const ownHorizonMs = batchDeleteHorizon(bytes, at)
    const isPurged = mayPurge && ownHorizonMs !== -1 && nowMs >= ownHorizonMs
    // Earlier records of a tombstone's key are gone only where the keys were looked at.
    const isWithin = batchLastOffset(bytes, at) < this.#endOffset
    const rules: FilterRules = {
      horizonMs: isWithin ? nowMs + (settings.compaction?.deleteRetentionMs ?? 0) : -1,
      keeps: ({ offset, keyStart, keyEnd, valueStart }) => {
        if (offset >= this.#endOffset) return true
        // Nothing could ever replace a record without a key.
        if (offset < startOffset || keyStart === -1) return false
        if (this.#keys.last(bytes, keyStart, keyEnd) > offset) return false
        if (valueStart !== -1 || !isPurged) return true
        this.#purgedEnd = Math.max(this.#purgedEnd, offset + 1)
        return false
      },
    }
    return this.#filter.apply(bytes, at, rules)
  }

  /** Visits every batch of a segment, all of which must be there. */
  async #scan(
    segment: Segment,
    visit: (bytes: Uint8Array, at: number, sizeBytes: number) => void,
    between: () => Promise<void> = async () => undefined,
  ): Promise<void> {
    const { files, segmentFiles } = this.#deps
    const path = segmentFiles.path(this.#log, segment, 'log')
    let expectedBase = segment.baseOffset
    const pause = async (bytes: number) => {
      await between()
      await this.#options.pace(bytes)
    }
    const range = { start: 0, end: segment.sizeBytes, chunkBytes: CHUNK_BYTES, pause }
    const { position } = await files.use(path, 'read', (file) =>
      scanBatches(file, range, (bytes, at, _position, sizeBytes) => {
        if (batchBaseOffset(bytes, at) !== expectedBase) return false
        expectedBase = batchLastOffset(bytes, at) + 1
        visit(bytes, at, sizeBytes)
        return true
      }),
    )
    if (position === segment.sizeBytes) return
    // A file that was cut, or removed, since is not damaged.
    if (!this.#isCurrent || !this.#log.segments.includes(segment)) return
    segment.damagedAt = position
    throw new ServiceError('partition-damaged', `${path} is damaged at byte ${position}`)
  }
}
