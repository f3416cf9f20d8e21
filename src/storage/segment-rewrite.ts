/**
 * A segment that is written anew, beside the files that it is to replace: it has its own name only
 * when it is whole and synced. What is taken out leaves a batch without records behind, so that the
 * offsets of a log stay without a gap.
 */
import { batchLastOffset, batchMaxTimestamp } from '../core/record-batch.ts'
import type { FileHandle, FileSystem } from '../env/file-system.ts'
import { placeholders } from './placeholder-batch.ts'
import type { Segment } from './segment.ts'
import { UNFINISHED_SUFFIX } from './segment.ts'
import { writeWhole } from './write-whole.ts'

const WRITE_BYTES = 1024 * 1024
/** Of a batch without records: it is no reason to keep anything. */
const NO_TIMESTAMP = -1

/** Offsets without records that are not written yet; neighbours of one epoch become one batch. */
interface Gap {
  readonly from: number
  to: number
  readonly leaderEpoch: number
}

export class SegmentRewrite {
  readonly segment: Segment
  readonly #fileSystem: FileSystem
  readonly #path: string
  readonly #file: FileHandle
  #staged: Buffer = Buffer.allocUnsafeSlow(WRITE_BYTES)
  #stagedBytes = 0
  #gap: Gap | undefined
  #isClosed: boolean = false

  private constructor(fileSystem: FileSystem, path: string, file: FileHandle, segment: Segment) {
    this.#fileSystem = fileSystem
    this.#path = path
    this.#file = file
    this.segment = segment
  }

  /** @param path where the segment is when it is whole */
  static async begin(
    fileSystem: FileSystem,
    path: string,
    segment: Segment,
  ): Promise<SegmentRewrite> {
    const file = await fileSystem.open(`${path}${UNFINISHED_SUFFIX}`, 'create')
    try {
      await file.truncate(0)
    } catch (error) {
      await file.close()
      throw error
    }
    return new SegmentRewrite(fileSystem, path, file, segment)
  }

  /** Takes a batch of `sizeBytes` at `at`; it is copied. */
  keep(bytes: Uint8Array, at: number, sizeBytes: number): void {
    this.#closeGap()
    this.#stage(bytes, at, sizeBytes)
  }

  /** Takes offsets, up to but not `to`, that have no records any more. */
  skip(from: number, to: number, leaderEpoch: number): void {
    if (this.#gap?.leaderEpoch !== leaderEpoch) this.#closeGap()
    this.#gap ??= { from, to, leaderEpoch }
    this.#gap.to = to
  }

  /** Writes what has come together, if that is enough to be written. */
  async write(): Promise<void> {
    if (this.#stagedBytes >= WRITE_BYTES) await this.#write()
  }

  /** The segment is whole, and has its name, durably, when this resolves. */
  async finish(directory: string): Promise<void> {
    this.#closeGap()
    await this.#write()
    this.segment.index?.finish()
    await this.#file.syncData()
    await this.#close()
    await this.#fileSystem.rename(`${this.#path}${UNFINISHED_SUFFIX}`, this.#path)
    await this.#fileSystem.syncDirectory(directory)
  }

  /** It is not wanted, or could not be written. */
  async discard(): Promise<void> {
    await this.#close()
    await this.#fileSystem.remove(`${this.#path}${UNFINISHED_SUFFIX}`)
    await this.#fileSystem.remove(this.#path)
  }

  async #close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await this.#file.close()
  }

  #closeGap(): void {
    const gap = this.#gap
    if (gap === undefined) return
    this.#gap = undefined
    for (const batch of placeholders(gap.from, gap.to, gap.leaderEpoch, NO_TIMESTAMP)) {
      this.#stage(batch, 0, batch.length)
    }
  }

  #stage(bytes: Uint8Array, at: number, sizeBytes: number): void {
    const end = this.#stagedBytes + sizeBytes
    if (end > this.#staged.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(end, this.#staged.length * 2))
      larger.set(this.#staged.subarray(0, this.#stagedBytes))
      this.#staged = larger
    }
    this.#staged.set(bytes.subarray(at, at + sizeBytes), this.#stagedBytes)
    this.#stagedBytes = end
    this.segment.append(sizeBytes, batchLastOffset(bytes, at) + 1, batchMaxTimestamp(bytes, at))
  }

  async #write(): Promise<void> {
    const bytes = this.#staged.subarray(0, this.#stagedBytes)
    await writeWhole(this.#file, [bytes], this.segment.writtenBytes)
    this.segment.writtenBytes += bytes.length
    this.#stagedBytes = 0
  }
}
