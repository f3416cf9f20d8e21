/**
 * The one synced file on the way of a produce: frames of all partitions gather while a group of them
 * is being written; a group is one durable write, and at most one is in flight. A frame's promise is
 * that of its group.
 */
import type { Clock, Timer } from '../env/clock.ts'
import type { FileSystem } from '../env/file-system.ts'
import type { Logger } from '../env/logger.ts'
import type { Metrics } from '../env/metrics.ts'
import { nullMetrics } from '../env/metrics.ts'
import type { Random } from '../env/random.ts'
import { assert } from '../lib/assert.ts'
import { ServiceError } from '../lib/service-error.ts'
import type { JournalFile } from './journal-files.ts'
import { JournalFiles } from './journal-files.ts'
import type { GroupKind, KnownChecksum } from './journal-group.ts'
import {
  BLOCK_BYTES,
  FRAME_HEADER_BYTES,
  GROUP_HEADER_BYTES,
  GROUP_KIND,
  GroupBuilder,
  groupBytes,
} from './journal-group.ts'
import type { JournalPosition } from './journal-index.ts'
import { JournalIndex } from './journal-index.ts'
import { JournalMeter } from './journal-meter.ts'
import { PendingGroup, PendingGroups } from './journal-pending.ts'
import type { FrameCallback, ReplayOutcome } from './journal-replay.ts'
import { JournalReplay } from './journal-replay.ts'

export interface JournalDeps {
  readonly fileSystem: FileSystem
  readonly random: Random
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics?: Metrics
}

export interface JournalOptions {
  readonly directory: string
  readonly fileBytes: number
  /** Size at which a group is full. A larger frame makes a group of its own. */
  readonly groupBytes: number
  /** Bytes of frames that may wait or be in flight. */
  readonly maxPendingBytes: number
  /** How long nothing is written before a seal goes behind the last group. */
  readonly sealAfterMs: number
  /** Empty files kept for reuse. */
  readonly spareFilesMax: number
  /** How often a journal that found no space looks again. */
  readonly spaceRetryMs: number
}

const MIB = 1024 * 1024

/** At the end of each file: for a seal, and for a link to the next file. */
const RESERVED_BYTES = 2 * BLOCK_BYTES

export const JOURNAL_DEFAULTS: Omit<JournalOptions, 'directory'> = {
  fileBytes: 64 * MIB,
  groupBytes: 4 * MIB,
  maxPendingBytes: 64 * MIB,
  sealAfterMs: 50,
  spareFilesMax: 8,
  spaceRetryMs: 1000,
}

/** A write of the journal failed: what it held is neither durable nor certainly lost, so the process must end. */
export class JournalFailedError extends Error {
  override readonly name = 'JournalFailedError'

  constructor(cause: unknown) {
    super('a write to the journal failed; nothing after it can be trusted', { cause })
  }
}

export class Journal {
  /**
   * Told of each group, by the promise of its frames, when it has its place and is given to the disk:
   * from then on nothing refuses it, and what does not become durable ends the process.
   */
  onPlaced: (group: Promise<void>) => void = () => undefined
  readonly #deps: JournalDeps
  readonly #options: JournalOptions
  readonly #files: JournalFiles
  readonly #pending: PendingGroups
  readonly #meter: JournalMeter
  readonly #sealBuilder = new GroupBuilder(BLOCK_BYTES)
  #index: JournalIndex | undefined
  #epoch = 0n
  #file: JournalFile | undefined
  #offset = 0
  #groupSequence = 0
  #durableGroup = -1
  #nextSequence = 0
  #refusals = 0
  #writing: boolean = false
  #failure: JournalFailedError | undefined
  #lastWriteMs = 0
  #sealTimer: Timer | undefined
  #sealed: boolean = true
  #sealDue: GroupKind | undefined
  readonly #linkBuilder = new GroupBuilder(BLOCK_BYTES)
  /** The file that the current group did not fit any more, and where it ends. */
  #left: { file: JournalFile; offset: number } | undefined
  /** What the group written last has for the next one to repeat. */
  #echo: Uint8Array | undefined = new Uint8Array(0)
  #writer: Promise<void> = Promise.resolve()
  #closing: PromiseWithResolvers<void> | undefined

  private constructor(deps: JournalDeps, options: JournalOptions, files: JournalFiles) {
    this.#deps = deps
    this.#options = options
    this.#files = files
    const capacityBytes = Math.min(options.groupBytes, options.fileBytes - RESERVED_BYTES)
    this.#pending = new PendingGroups(capacityBytes, options.maxPendingBytes)
    this.#meter = new JournalMeter(deps.metrics ?? nullMetrics, this)
  }

  /** Opens the files; reads and writes nothing yet. */
  static async open(
    deps: JournalDeps,
    options: Partial<JournalOptions> & { readonly directory: string },
  ): Promise<Journal> {
    const all: JournalOptions = { ...JOURNAL_DEFAULTS, ...options }
    assert(all.fileBytes % BLOCK_BYTES === 0, 'a journal file is a multiple of 4096 bytes')
    assert(all.fileBytes >= 4 * BLOCK_BYTES, 'a journal file has at least 16 KiB')
    return new Journal(deps, all, await JournalFiles.open(deps, all))
  }

  /** Largest payload that a frame may have. */
  get maxPayloadBytes(): number {
    return this.#options.fileBytes - RESERVED_BYTES - GROUP_HEADER_BYTES - FRAME_HEADER_BYTES
  }

  /** Sequence that the next frame will get. */
  get nextSequence(): number {
    return this.#nextSequence
  }

  /** Bytes written since the position released last. */
  get bytesInUse(): number {
    return this.#index?.bytesInUse ?? 0
  }

  /** Bytes of frames that are not yet durable. */
  get pendingBytes(): number {
    return this.#pending.bytes
  }

  /**
   * Reads frames from `start` on, in order, before `start()`. Without a position there is nothing to
   * read: a checkpoint records one before the first append. After damage it can be called again
   * with `resumeAt`.
   */
  async replay(start: JournalPosition | undefined, frame: FrameCallback): Promise<ReplayOutcome> {
    assert(this.#index === undefined, 'a journal is replayed before it is started')
    if (start === undefined) {
      return { end: 'clean', nextSequence: this.#nextSequence, groups: 0, bytes: 0 }
    }
    const { fileSystem } = this.#deps
    const outcome = await new JournalReplay(fileSystem, this.#options.directory, start).run(frame)
    this.#nextSequence = Math.max(this.#nextSequence, outcome.nextSequence)
    return outcome
  }

  /**
   * Begins a new epoch. The position must be in a durable checkpoint, and everything replayed in the
   * logs, before the first append: that one may overwrite what was replayed.
   */
  start(): JournalPosition {
    assert(this.#index === undefined, 'a journal is started once')
    const { random } = this.#deps
    this.#epoch = (BigInt(random.uint32()) << 32n) | BigInt(random.uint32())
    const index = new JournalIndex(this.#epoch.toString(16).padStart(16, '0'))
    const file = this.#files.take()
    assert(file !== undefined, 'an open journal has a file')
    this.#file = file
    this.#index = index
    this.#place(file, 0)
    return index.positionOf(this.#nextSequence)
  }

  /** The position, with what has to be found from there on, as far as it is durable by now. */
  witnessed(position: JournalPosition): JournalPosition {
    if (this.#durableGroup < position.groupSequence) return position
    return { ...position, throughGroup: this.#durableGroup }
  }

  /** Writes an empty group, so that from then on nothing at all is more than an unused journal. */
  async writeSeal(): Promise<void> {
    assert(this.#index !== undefined, 'a journal is started before it is written to')
    this.#sealed = false
    this.#sealDue ??= GROUP_KIND.idleSeal
    this.#wake()
    await this.#writer
    if (this.#failure !== undefined) throw this.#failure
  }

  /**
   * Resolves when the frame is durable. Parts are copied before it returns; what is known of their
   * checksum is believed. Rejects with ServiceError `disk-full` (not written) or JournalFailedError
   * (outcome unknown; the process must end).
   * @throws ServiceError `overloaded`, `disk-full`, `draining`; then nothing was admitted
   */
  append(
    kind: number,
    logId: number,
    parts: readonly Uint8Array[],
    known?: KnownChecksum,
  ): Promise<void> {
    assert(this.#index !== undefined, 'a journal is started before it is appended to')
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    if (this.#closing !== undefined) throw new ServiceError('draining', 'the journal is closed')
    let payloadBytes = 0
    for (const part of parts) payloadBytes += part.length
    assert(payloadBytes <= this.maxPayloadBytes, 'a journal frame is larger than its file')
    const frameBytes = FRAME_HEADER_BYTES + payloadBytes
    if (this.#files.full && this.#pending.waitingBytes + groupBytes(frameBytes) > this.#room()) {
      throw diskFull()
    }
    const promise = this.#pending.add(this.#nextSequence, kind, logId, parts, payloadBytes, known)
    this.#nextSequence++
    this.#wake()
    return promise
  }

  /** How often admitted frames were refused for want of space: known before the promises tell. */
  get refusals(): number {
    return this.#refusals
  }

  /** Where a replay has to start to see the frame `sequence` and all after it. */
  positionOf(sequence: number): JournalPosition {
    assert(this.#index !== undefined, 'a journal that was not started has no positions')
    return this.#index.positionOf(sequence)
  }

  /** Files wholly before the position are reused. The position must be in a durable checkpoint. */
  release(position: JournalPosition): void {
    for (const slot of this.#index?.release(position) ?? []) this.#files.recycle(slot)
  }

  /** Takes no more frames, waits for those admitted, seals and closes the files. */
  async close(): Promise<void> {
    if (this.#closing === undefined) {
      this.#closing = Promise.withResolvers<void>()
      this.#sealTimer?.cancel()
      // Nothing written yet: the checkpoint may still count on what a seal would overwrite.
      const isUnused = this.#groupSequence === 0 && !this.#writing
      if (isUnused || this.#failure !== undefined) this.#closing.resolve()
      else {
        this.#sealDue = GROUP_KIND.closeSeal
        this.#wake()
      }
    }
    await this.#closing.promise
    await this.#files.close()
  }

  /**
   * Behind what runs now, so that a group holds all that one call appends; not a turn later, so that
   * the disk works while the next requests are read.
   */
  #wake(): void {
    if (this.#writing) return
    this.#writing = true
    this.#writer = Promise.resolve().then(() => this.#write())
  }

  async #write(): Promise<void> {
    try {
      for (let group = this.#next(); group !== undefined; group = this.#next()) {
        // Most groups fit into the file of the one before, and then nothing is waited for.
        const file = this.#fileFor(group) ?? (await this.#nextFile())
        if (file === undefined) this.#refuseAll()
        else await this.#writeGroup(file, group)
      }
      this.#sealLater()
    } catch (cause) {
      this.#fail(cause)
    }
    this.#writing = false
    if (this.#sealDue === undefined || this.#failure !== undefined) this.#closing?.resolve()
  }

  #next(): PendingGroup | undefined {
    const group = this.#pending.take()
    if (group !== undefined || this.#sealDue === undefined) return group
    const seal = this.#sealDue
    this.#sealDue = undefined
    // An idle seal may have lost its point meanwhile, and the last block of a file may be taken.
    if (seal === GROUP_KIND.idleSeal && this.#sealed) return undefined
    const linkBytes = seal === GROUP_KIND.idleSeal ? BLOCK_BYTES : 0
    if (this.#offset + BLOCK_BYTES + linkBytes > this.#options.fileBytes) return undefined
    return new PendingGroup(this.#sealBuilder, this.#nextSequence, seal)
  }

  /** Bytes left in the current file for frames. */
  #room(): number {
    return this.#options.fileBytes - RESERVED_BYTES - this.#offset
  }

  /** The current file, if the group has its place there. */
  #fileFor(group: PendingGroup): JournalFile | undefined {
    group.builder.follow(this.#echo)
    const fits = group.kind !== GROUP_KIND.frames || group.sizeBytes <= this.#room()
    return fits ? this.#file : undefined
  }

  async #nextFile(): Promise<JournalFile | undefined> {
    const file = await this.#files.takeWhenReady()
    if (file === undefined) return undefined
    if (this.#file !== undefined) this.#left = { file: this.#file, offset: this.#offset }
    this.#file = file
    this.#offset = 0
    return file
  }

  #place(file: JournalFile, sizeBytes: number, frameSequence = this.#nextSequence): void {
    const groupSequence = this.#groupSequence
    const place = { slot: file.slot, offsetBytes: this.#offset, groupSequence, frameSequence }
    this.#index?.add(place, sizeBytes)
  }

  async #writeGroup(file: JournalFile, group: PendingGroup): Promise<void> {
    const bytes = group.finish(this.#epoch, this.#groupSequence)
    const offset = this.#offset
    this.#place(file, bytes.length, group.frameSequence)
    this.#groupSequence++
    this.#offset += bytes.length
    this.#files.used(this.#offset)
    const startMs = this.#deps.clock.monotonicMs()
    const written = file.file.write([bytes], offset)
    this.onPlaced(group.settled.promise)
    await written
    if (this.#left !== undefined) await this.#writeLink(this.#left, file.slot, group.frameSequence)
    this.#durableGroup = this.#groupSequence - 1
    this.#echo = group.builder.echo
    this.#sealed = group.kind !== GROUP_KIND.frames
    this.#lastWriteMs = this.#deps.clock.monotonicMs()
    this.#meter.written(bytes.length, this.#lastWriteMs - startMs)
    this.#pending.done()
  }

  /** Nothing in the new file is acknowledged before the old one says that it goes on there. */
  async #writeLink(
    left: { file: JournalFile; offset: number },
    slot: number,
    frameSequence: number,
  ): Promise<void> {
    const link = this.#linkBuilder
    link.clear()
    link.follow(Uint8Array.of(slot >>> 24, slot >>> 16, slot >>> 8, slot))
    const groupSequence = this.#groupSequence - 1
    const bytes = link.finish(GROUP_KIND.link, this.#epoch, groupSequence, frameSequence)
    await left.file.file.write([bytes], left.offset)
    this.#left = undefined
  }

  /** Without a seal, decay in the last group would look like a group torn by a crash. */
  #sealLater(): void {
    if (this.#sealed || this.#sealTimer !== undefined || this.#closing !== undefined) return
    const { clock } = this.#deps
    const dueMs = this.#lastWriteMs + this.#options.sealAfterMs
    this.#sealTimer = clock.timer(Math.max(1, dueMs - clock.monotonicMs()), () => {
      this.#sealTimer = undefined
      const idleMs = clock.monotonicMs() - this.#lastWriteMs
      if (this.#writing) return
      if (idleMs < this.#options.sealAfterMs) this.#sealLater()
      else {
        this.#sealDue ??= GROUP_KIND.idleSeal
        this.#wake()
      }
    })
  }

  #refuseAll(): void {
    this.#refusals++
    this.#pending.rejectAll(diskFull())
  }

  #fail(cause: unknown): void {
    const failure = new JournalFailedError(cause)
    this.#failure = failure
    this.#deps.logger.error({ err: cause }, 'a write to the journal failed')
    this.#pending.rejectAll(failure)
  }
}

function diskFull(): ServiceError {
  return new ServiceError('disk-full', 'there is no space for another journal file', {
    retryAfterMs: 1000,
  })
}
