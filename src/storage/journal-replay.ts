/**
 * Reads the journal back after a start: every intact group from a position on, in order. What follows
 * the last one is either the end (nothing, old bytes, a group torn by a crash) or damage: then an
 * intact group of the same epoch with a higher sequence lies somewhere behind it.
 */
import type { FileHandle, FileSystem } from '../env/file-system.ts'
import { listSlots } from './journal-files.ts'
import type { GroupHeader, JournalFrame } from './journal-group.ts'
import {
  BLOCK_BYTES,
  framesOf,
  GROUP_HEADER_BYTES,
  GROUP_KIND,
  groupBytes,
  isIntactGroup,
  readGroupHeader,
} from './journal-group.ts'
import type { JournalPosition } from './journal-index.ts'

/** A promise that the callback returns is awaited before the next frame. */
export type FrameCallback = (frame: JournalFrame) => unknown

export type ReplayOutcome = {
  /** Sequence after the last frame seen. */
  readonly nextSequence: number
  /** Groups read, and their bytes. */
  readonly groups: number
  readonly bytes: number
} & (
  | {
      /** `clean`: the journal was closed. `torn`: it was not; what was being written is cut. */
      readonly end: 'clean' | 'torn'
    }
  | {
      readonly end: 'damaged'
      readonly detail: string
      /** Where the damage begins. */
      readonly damagedAt: JournalPosition
      /** First intact group behind it, from which a replay can go on. */
      readonly resumeAt: JournalPosition
    }
)

const READ_BYTES = 1024 * 1024

/** A window over one slot's file that moves forward. */
class SlotReader {
  readonly sizeBytes: number
  readonly #handle: FileHandle
  readonly #readBytes: number
  #buffer = new Uint8Array(0)
  #start = 0
  #end = 0

  private constructor(handle: FileHandle, sizeBytes: number, readBytes: number) {
    this.#handle = handle
    this.sizeBytes = sizeBytes
    this.#readBytes = readBytes
  }

  static async open(fileSystem: FileSystem, path: string, readBytes: number): Promise<SlotReader> {
    const handle = await fileSystem.open(path, 'read')
    const sizeBytes = await handle.sizeBytes()
    return new SlotReader(handle, sizeBytes, Math.min(readBytes, sizeBytes))
  }

  /** Bytes from `offset` on: at least `sizeBytes` unless the file ends before. Valid until the next call. */
  async bytesAt(offset: number, sizeBytes: number): Promise<Uint8Array> {
    const wantedEnd = Math.min(offset + sizeBytes, this.sizeBytes)
    if (offset < this.#start || wantedEnd > this.#end) {
      const size = Math.max(wantedEnd - offset, this.#readBytes)
      if (size > this.#buffer.length) this.#buffer = new Uint8Array(size)
      this.#start = offset
      this.#end = offset + (await this.#handle.readAt(this.#buffer, offset))
    }
    return this.#buffer.subarray(offset - this.#start, Math.max(0, this.#end - this.#start))
  }

  close(): Promise<void> {
    return this.#handle.close()
  }
}

export class JournalReplay {
  readonly #fileSystem: FileSystem
  readonly #directory: string
  readonly #start: JournalPosition
  readonly #epoch: bigint
  #reader: SlotReader | undefined
  #slot: number
  #offset: number
  #groupSequence: number
  #nextSequence: number
  #groups = 0
  #bytes = 0

  constructor(fileSystem: FileSystem, directory: string, start: JournalPosition) {
    this.#fileSystem = fileSystem
    this.#directory = directory
    this.#start = start
    this.#epoch = BigInt(`0x${start.epoch}`)
    this.#slot = start.slot
    this.#offset = start.offsetBytes
    this.#groupSequence = start.groupSequence
    this.#nextSequence = start.frameSequence
  }

  async run(frame: FrameCallback): Promise<ReplayOutcome> {
    const slots = await listSlots(this.#fileSystem, this.#directory)
    try {
      if (slots.includes(this.#slot)) await this.#openSlot(this.#slot)
      for (;;) {
        const header = await this.#nextGroup()
        if (header === undefined) {
          if (await this.#enterNextSlot(slots)) continue
          return await this.#ending(slots)
        }
        if (header.kind === GROUP_KIND.closeSeal) return { ...this.#seen(), end: 'clean' }
        await this.#deliver(header, frame)
      }
    } finally {
      await this.#reader?.close()
    }
  }

  #seen() {
    return { nextSequence: this.#nextSequence, groups: this.#groups, bytes: this.#bytes }
  }

  #openReader(slot: number, readBytes: number): Promise<SlotReader> {
    return SlotReader.open(this.#fileSystem, `${this.#directory}/${slot}`, readBytes)
  }

  async #openSlot(slot: number): Promise<void> {
    await this.#reader?.close()
    this.#reader = undefined
    this.#reader = await this.#openReader(slot, READ_BYTES)
    this.#slot = slot
  }

  /** The group expected at the current place, if it is there and intact. */
  async #nextGroup(): Promise<GroupHeader | undefined> {
    if (this.#reader === undefined) return undefined
    return await this.#intactAt(this.#reader, this.#offset, (n) => n === this.#groupSequence)
  }

  async #intactAt(
    reader: SlotReader,
    offset: number,
    wanted: (groupSequence: number) => boolean,
  ): Promise<GroupHeader | undefined> {
    const header = readGroupHeader(await reader.bytesAt(offset, GROUP_HEADER_BYTES), 0, this.#epoch)
    if (header === undefined || !wanted(header.groupSequence)) return undefined
    const sizeBytes = GROUP_HEADER_BYTES + header.lengthBytes
    if (offset + sizeBytes > reader.sizeBytes) return undefined
    return isIntactGroup(await reader.bytesAt(offset, sizeBytes), header) ? header : undefined
  }

  async #deliver(header: GroupHeader, frame: FrameCallback): Promise<void> {
    const sizeBytes = groupBytes(header.lengthBytes)
    const bytes = await this.#reader?.bytesAt(this.#offset, GROUP_HEADER_BYTES + header.lengthBytes)
    for (const one of framesOf(bytes as Uint8Array, header)) {
      if (one.sequence < this.#start.frameSequence) continue
      const wait = frame(one)
      if (wait instanceof Promise) await wait
    }
    this.#nextSequence = Math.max(this.#nextSequence, header.frameSequence + header.frames)
    this.#offset += sizeBytes
    this.#groupSequence++
    this.#groups++
    this.#bytes += sizeBytes
  }

  /** A group that does not fit the rest of a file begins another one. */
  async #enterNextSlot(slots: readonly number[]): Promise<boolean> {
    const isNext = (sequence: number) => sequence === this.#groupSequence
    for (const slot of slots) {
      if (slot === this.#slot) continue
      const reader = await this.#openReader(slot, BLOCK_BYTES)
      const header = await this.#intactAt(reader, 0, isNext).finally(() => reader.close())
      if (header === undefined) continue
      await this.#openSlot(slot)
      this.#offset = 0
      return true
    }
    return false
  }

  /** Tells a torn end from damage. A later group may be anywhere, also behind a damaged start of its file. */
  async #ending(slots: readonly number[]): Promise<ReplayOutcome> {
    let later: JournalPosition | undefined
    for (const slot of slots) {
      const from = slot === this.#slot ? this.#offset + BLOCK_BYTES : 0
      const found = await this.#laterGroup(slot, from)
      if (found !== undefined && found.groupSequence < (later?.groupSequence ?? Infinity)) {
        later = found
      }
    }
    if (later === undefined) return { ...this.#seen(), end: 'torn' }
    const damagedAt: JournalPosition = {
      epoch: this.#start.epoch,
      slot: this.#slot,
      offsetBytes: this.#offset,
      groupSequence: this.#groupSequence,
      frameSequence: this.#nextSequence,
    }
    const detail =
      `journal group ${this.#groupSequence} (slot ${this.#slot}, byte ${this.#offset}) is not intact, ` +
      `but group ${later.groupSequence} (slot ${later.slot}, byte ${later.offsetBytes}) is`
    return { ...this.#seen(), end: 'damaged', detail, damagedAt, resumeAt: later }
  }

  async #laterGroup(slot: number, from: number): Promise<JournalPosition | undefined> {
    const reader = await this.#openReader(slot, READ_BYTES)
    const isLater = (sequence: number) => sequence > this.#groupSequence
    try {
      for (let offset = from; offset < reader.sizeBytes; offset += BLOCK_BYTES) {
        const header = await this.#intactAt(reader, offset, isLater)
        if (header === undefined) continue
        const { groupSequence, frameSequence } = header
        return { epoch: this.#start.epoch, slot, offsetBytes: offset, groupSequence, frameSequence }
      }
      return undefined
    } finally {
      await reader.close()
    }
  }
}
