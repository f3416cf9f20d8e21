/**
 * The bytes of the journal: a group is what one write makes durable. Big-endian.
 *
 *   at  size  group header
 *    0     4  CRC-32C of bytes [4, 48 + length)
 *    4     4  magic "CJG1"; never reused for another layout
 *    8     8  epoch: random, new at each start of the journal, so that old bytes of a recycled file
 *             and a group forged inside a client's payload are not taken for the journal's own
 *   16     4  length of the frames and what follows them
 *   20     4  number of frames
 *   24     8  group sequence, from 0 in each epoch, without gaps
 *   32     8  frame sequence of the first frame; grows over epochs, may skip
 *   40     1  kind: 0 frames, 1 seal of an idle journal, 2 seal of a closed one, 3 link: the group of
 *             this sequence is at the start of another file, and was durable before the link
 *   41     1  1 if the group before is repeated behind the frames (see journal-echo.ts), else 0
 *   42     2  zero
 *   44     4  length of what follows the frames
 *   48        frames: {payload length u32, kind u8, log id u32, payload}...
 *             the echo, or, in a link, the number of the other file u32
 *             zeros up to a multiple of 4096
 */
import { assert } from '../lib/assert.ts'
import { combineCrc32c, crc32c } from '../lib/crc32c.ts'
import { sharedPageAligned } from '../lib/page-aligned.ts'
import { ECHO_MAX_BYTES, EchoBuilder } from './journal-echo.ts'

export const BLOCK_BYTES = 4096
export const GROUP_HEADER_BYTES = 48
export const FRAME_HEADER_BYTES = 9

const MAGIC = 0x434a4731
const ECHO_FLAG = 1 << 16
/** A checksum of fewer bytes is made again faster than it is put together. */
const KNOWN_BYTES_MIN = 4096

/** Persisted: never renumber. */
export const GROUP_KIND = { frames: 0, idleSeal: 1, closeSeal: 2, link: 3 } as const
export type GroupKind = (typeof GROUP_KIND)[keyof typeof GROUP_KIND]

export interface JournalFrame {
  readonly sequence: number
  readonly kind: number
  readonly logId: number
  /** Borrowed: overwritten after the call that it was given to. */
  readonly payload: Uint8Array
}

/** The CRC-32C that somebody has already made of the end of a payload. */
export interface KnownChecksum {
  /** Where in the payload the bytes begin that it covers. */
  readonly from: number
  readonly crc: number
}

export interface GroupHeader {
  readonly lengthBytes: number
  readonly frames: number
  readonly groupSequence: number
  readonly frameSequence: number
  readonly kind: number
  /** Whether what follows the frames is the echo of the group before. */
  readonly hasEcho: boolean
  readonly trailerBytes: number
}

export function paddedBytes(sizeBytes: number): number {
  return Math.ceil(sizeBytes / BLOCK_BYTES) * BLOCK_BYTES
}

/** Space of a group that holds frames of so many bytes. */
export function groupBytes(framesBytes: number): number {
  return paddedBytes(GROUP_HEADER_BYTES + framesBytes)
}

/** Gathers frames in memory that a writer thread can share. */
export class GroupBuilder {
  readonly capacityBytes: number
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #echo = new EchoBuilder()
  #end = GROUP_HEADER_BYTES
  #frames = 0
  #trailer: Uint8Array | undefined
  /** The checksum of the frames' bytes before `#summedEnd`. */
  #sum = 0
  #summedEnd = GROUP_HEADER_BYTES

  constructor(capacityBytes: number) {
    this.capacityBytes = paddedBytes(capacityBytes)
    this.#bytes = sharedPageAligned(this.capacityBytes)
    this.#view = new DataView(this.#bytes.buffer, 0, this.capacityBytes)
  }

  get framesBytes(): number {
    return this.#end - GROUP_HEADER_BYTES
  }

  /** Space that the group takes. */
  get sizeBytes(): number {
    return paddedBytes(this.#end + (this.#trailer?.length ?? 0))
  }

  /** What was added, for the next group to repeat; undefined if that is too much. */
  get echo(): Uint8Array | undefined {
    return this.#echo.take()
  }

  fits(frameBytes: number): boolean {
    const reservedBytes = Math.min(ECHO_MAX_BYTES, this.capacityBytes >> 3)
    return this.#end + frameBytes <= this.capacityBytes - reservedBytes
  }

  clear(): void {
    this.#end = GROUP_HEADER_BYTES
    this.#frames = 0
    this.#trailer = undefined
    this.#echo.clear()
    this.#sum = 0
    this.#summedEnd = GROUP_HEADER_BYTES
  }

  /** Puts bytes behind the frames, if there is room for them. Nothing may be added any more. */
  follow(trailer: Uint8Array | undefined): void {
    const fits = trailer !== undefined && this.#end + trailer.length <= this.capacityBytes
    this.#trailer = fits ? trailer : undefined
  }

  add(
    kind: number,
    logId: number,
    parts: readonly Uint8Array[],
    payloadBytes: number,
    known?: KnownChecksum,
  ): void {
    const view = this.#view
    let at = this.#end
    view.setUint32(at, payloadBytes)
    view.setUint8(at + 4, kind)
    view.setUint32(at + 5, logId)
    at += FRAME_HEADER_BYTES
    for (const part of parts) {
      // Not `set`: into shared memory that copies a word at a time, eight times as slow.
      at += Buffer.from(part.buffer, part.byteOffset, part.length).copy(this.#bytes, at)
    }
    this.#end = at
    this.#frames++
    if (known !== undefined) this.#sumUp(at - payloadBytes + known.from, at, known.crc)
    this.#echo.add(kind, logId, parts, payloadBytes)
  }

  /** Completes the group; the bytes to write stay valid until `clear`. */
  finish(kind: GroupKind, epoch: bigint, groupSequence: number, frameSequence: number): Uint8Array {
    const view = this.#view
    const trailer = this.#trailer ?? new Uint8Array(0)
    const trailerEnd = this.#end + trailer.length
    view.setUint32(4, MAGIC)
    view.setBigUint64(8, epoch)
    view.setUint32(16, trailerEnd - GROUP_HEADER_BYTES)
    view.setUint32(20, this.#frames)
    setSafeInteger(view, 24, groupSequence)
    setSafeInteger(view, 32, frameSequence)
    const hasEcho = this.#trailer !== undefined && kind !== GROUP_KIND.link
    view.setUint32(40, (kind << 24) | (hasEcho ? ECHO_FLAG : 0))
    view.setUint32(44, trailer.length)
    this.#bytes.set(trailer, this.#end)
    const rest = crc32c(this.#bytes, this.#summedEnd, trailerEnd, this.#sum)
    const header = crc32c(this.#bytes, 4, GROUP_HEADER_BYTES)
    view.setUint32(0, combineCrc32c(header, rest, trailerEnd - GROUP_HEADER_BYTES))
    const end = paddedBytes(trailerEnd)
    this.#bytes.fill(0, trailerEnd, end)
    return this.#bytes.subarray(0, end)
  }

  /** Takes in a checksum of [start, end), so that those bytes need not be read once more. */
  #sumUp(start: number, end: number, crc: number): void {
    if (end - start < KNOWN_BYTES_MIN) return
    const before = crc32c(this.#bytes, this.#summedEnd, start, this.#sum)
    this.#sum = combineCrc32c(before, crc, end - start)
    this.#summedEnd = end
  }
}

/** Reads the header at `at` if one of this epoch is there; its CRC is not yet checked. */
export function readGroupHeader(
  bytes: Uint8Array,
  at: number,
  epoch: bigint,
): GroupHeader | undefined {
  if (at + GROUP_HEADER_BYTES > bytes.length) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, GROUP_HEADER_BYTES)
  if (view.getUint32(4) !== MAGIC || view.getBigUint64(8) !== epoch) return undefined
  return {
    lengthBytes: view.getUint32(16),
    frames: view.getUint32(20),
    groupSequence: getSafeInteger(view, 24),
    frameSequence: getSafeInteger(view, 32),
    kind: view.getUint8(40),
    hasEcho: view.getUint8(41) === 1,
    trailerBytes: view.getUint32(44),
  }
}

/** What follows the frames of an intact group at the start of `bytes`. */
export function trailerOf(bytes: Uint8Array, header: GroupHeader): Uint8Array {
  const end = GROUP_HEADER_BYTES + header.lengthBytes
  return bytes.subarray(end - header.trailerBytes, end)
}

/** Whether the whole group at the start of `bytes` is there and matches its CRC. */
export function isIntactGroup(bytes: Uint8Array, header: GroupHeader): boolean {
  const end = GROUP_HEADER_BYTES + header.lengthBytes
  if (end > bytes.length) return false
  const expected = new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0)
  return crc32c(bytes, 4, end) === expected
}

/** The frames of an intact group at the start of `bytes`. */
export function* framesOf(bytes: Uint8Array, header: GroupHeader): Generator<JournalFrame> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let at = GROUP_HEADER_BYTES
  for (let i = 0; i < header.frames; i++) {
    const payloadAt = at + FRAME_HEADER_BYTES
    const payloadEnd = payloadAt + view.getUint32(at)
    yield {
      sequence: header.frameSequence + i,
      kind: view.getUint8(at + 4),
      logId: view.getUint32(at + 5),
      payload: bytes.subarray(payloadAt, payloadEnd),
    }
    at = payloadEnd
  }
  const end = GROUP_HEADER_BYTES + header.lengthBytes - header.trailerBytes
  assert(at === end, 'frames do not fill their journal group')
}

function setSafeInteger(view: DataView, at: number, value: number): void {
  view.setUint32(at, Math.floor(value / 2 ** 32))
  view.setUint32(at + 4, value >>> 0)
}

/** Garbage may give an unsafe number, which then equals no sequence. */
function getSafeInteger(view: DataView, at: number): number {
  return view.getUint32(at) * 2 ** 32 + view.getUint32(at + 4)
}
