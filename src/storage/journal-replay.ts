/**
 * Reads the journal back after a start: every intact group from a position on, in order. What follows
 * the last one is either the end (nothing, old bytes, a group torn by a crash) or damage: then an
 * intact group of the same epoch with a higher sequence lies somewhere behind it, or what was said to
 * be durable (by the checkpoint, by a link to another file) is not there.
 */
import type { FileHandle, FileSystem } from '../env/file-system.ts'
import type { EchoedFrame } from './journal-echo.ts'
import { decodeEcho } from './journal-echo.ts'
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
  trailerOf,
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
      /** First intact group behind it, from which a replay can go on; undefined: there is none. */
      readonly resumeAt: JournalPosition | undefined
      /** What was in the damaged part, in order, but for the records; undefined if that is not known. */
      readonly lost: readonly EchoedFrame[] | undefined
    }
)

interface LaterGroup {
  readonly position: JournalPosition
  readonly isLink: boolean
  /** What it repeats of the group before it. */
  readonly echo: readonly EchoedFrame[] | undefined
}

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
  /** Something that was durable is not there. */
  #isGone: boolean = false
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
          if (!this.#isGone && (await this.#enterNextSlot(slots))) continue
          return await this.#ending(slots)
        }
        if (header.kind === GROUP_KIND.link) {
          await this.#follow(header, slots)
          continue
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

  /** To the file that the link names, in which the group was durable before the link. */
  async #follow(header: GroupHeader, slots: readonly number[]): Promise<void> {
    const bytes = await this.#reader?.bytesAt(this.#offset, GROUP_HEADER_BYTES + header.lengthBytes)
    const trailer = trailerOf(bytes as Uint8Array, header)
    const slot = new DataView(trailer.buffer, trailer.byteOffset, trailer.length).getUint32(0)
    await this.#reader?.close()
    this.#reader = undefined
    this.#slot = slot
    this.#offset = 0
    if (slots.includes(slot)) await this.#openSlot(slot)
    this.#isGone = (await this.#nextGroup()) === undefined
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
    let later: LaterGroup | undefined
    for (const slot of slots) {
      const from = slot === this.#slot ? this.#offset + BLOCK_BYTES : 0
      const found = await this.#laterGroup(slot, from)
      if (found !== undefined && comesBefore(found, later)) later = found
    }
    if (later === undefined && !this.#mustGoOn()) return { ...this.#seen(), end: 'torn' }
    const damagedAt: JournalPosition = {
      epoch: this.#start.epoch,
      slot: this.#slot,
      offsetBytes: this.#offset,
      groupSequence: this.#groupSequence,
      frameSequence: this.#nextSequence,
    }
    const what = `journal group ${this.#groupSequence} (slot ${this.#slot}, byte ${this.#offset})`
    if (later === undefined) {
      const detail = `${what} is not intact, though it was durable, and nothing behind it is known`
      const unknown = { resumeAt: undefined, lost: undefined }
      return { ...this.#seen(), end: 'damaged', detail, damagedAt, ...unknown }
    }
    const { groupSequence, slot, offsetBytes, frameSequence } = later.position
    const detail = `${what} is not intact, but group ${groupSequence} (slot ${slot}, byte ${offsetBytes}) is`
    // What was replayed, or need not be, is not to be replayed again.
    const resumeAt = {
      ...this.#start,
      ...later.position,
      frameSequence: Math.max(frameSequence, this.#nextSequence),
    }
    const isOneGroup = groupSequence === this.#groupSequence + 1
    const lost = frameSequence <= this.#nextSequence ? [] : isOneGroup ? later.echo : undefined
    return { ...this.#seen(), end: 'damaged', detail, damagedAt, resumeAt, lost }
  }

  /** Whether more than was read is known to have been durable. */
  #mustGoOn(): boolean {
    return this.#isGone || this.#groupSequence <= (this.#start.throughGroup ?? -1)
  }

  async #laterGroup(slot: number, from: number): Promise<LaterGroup | undefined> {
    const reader = await this.#openReader(slot, READ_BYTES)
    const isLater = (sequence: number) => sequence > this.#groupSequence
    try {
      for (let offset = from; offset < reader.sizeBytes; offset += BLOCK_BYTES) {
        const header = await this.#intactAt(reader, offset, isLater)
        if (header === undefined) continue
        const { groupSequence, frameSequence } = header
        const { epoch } = this.#start
        const position = { epoch, slot, offsetBytes: offset, groupSequence, frameSequence }
        const isLink = header.kind === GROUP_KIND.link
        if (!header.hasEcho) return { position, isLink, echo: undefined }
        const bytes = await reader.bytesAt(offset, GROUP_HEADER_BYTES + header.lengthBytes)
        return { position, isLink, echo: decodeEcho(trailerOf(bytes, header)) }
      }
      return undefined
    } finally {
      await reader.close()
    }
  }
}

/** A link has the sequence of the group that it leads to, which says more. */
function comesBefore(one: LaterGroup, other: LaterGroup | undefined): boolean {
  if (other === undefined) return true
  const difference = one.position.groupSequence - other.position.groupSequence
  return difference === 0 ? other.isLink : difference < 0
}
