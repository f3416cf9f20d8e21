/**
 * Contents of a simulated file: what a process reads now, what is on the platter, and the writes
 * between the two. A crash keeps any mixture of those at the granularity of a sector.
 */
import type { Random } from '../../src/env/random.ts'

export const SECTOR_BYTES = 512

/** Bytes that grow. */
class Image {
  #buffer = new Uint8Array(0)
  #size = 0

  get size(): number {
    return this.#size
  }

  resize(size: number): void {
    if (size > this.#buffer.length) {
      const grown = new Uint8Array(Math.max(size, this.#buffer.length * 2, 1024))
      grown.set(this.#buffer.subarray(0, this.#size))
      this.#buffer = grown
    }
    if (size < this.#size) this.#buffer.fill(0, size, this.#size)
    this.#size = size
  }

  write(bytes: Uint8Array, position: number): void {
    if (position + bytes.length > this.#size) this.resize(position + bytes.length)
    this.#buffer.set(bytes, position)
  }

  view(start: number, end: number): Uint8Array {
    return this.#buffer.subarray(Math.min(start, this.#size), Math.min(end, this.#size))
  }
}

/** A change that the platter does not have yet. */
export type Pending =
  | { readonly kind: 'write'; readonly position: number; readonly bytes: Uint8Array }
  | { readonly kind: 'truncate'; readonly size: number }

export class SimFile {
  readonly #current = new Image()
  readonly #durable = new Image()
  #pending: Pending[] = []

  get sizeBytes(): number {
    return this.#current.size
  }

  get pending(): readonly Pending[] {
    return this.#pending
  }

  read(target: Uint8Array, position: number): number {
    const bytes = this.#current.view(position, position + target.length)
    target.set(bytes)
    return bytes.length
  }

  write(bytes: Uint8Array, position: number): Pending {
    const change: Pending = { kind: 'write', position, bytes: bytes.slice() }
    this.#current.write(bytes, position)
    this.#pending.push(change)
    return change
  }

  truncate(size: number): void {
    this.#current.resize(size)
    this.#pending.push({ kind: 'truncate', size })
  }

  /** Brings to the platter what was pending at the time `changes` was taken. */
  harden(changes: readonly Pending[]): void {
    const set = new Set(changes)
    let left: Pending[] = []
    for (const change of this.#pending) {
      if (set.has(change)) {
        apply(this.#durable, change)
        // What was older in the same place is void: the page that went out had the newer bytes.
        left = left.flatMap((older) => outside(older, change))
      } else left.push(change)
    }
    this.#pending = left
  }

  /** A failed sync: the pages count as clean from now on, but are not on the platter. */
  forget(changes: readonly Pending[]): void {
    const set = new Set(changes)
    this.#pending = this.#pending.filter((change) => !set.has(change))
  }

  /** A failed durable write: any mixture of old and new, on the platter and for readers. */
  tear(change: Pending, random: Random): void {
    this.#pending = this.#pending.filter((one) => one !== change)
    applyTorn(this.#durable, change, random, 0.5)
    const { size } = this.#durable
    if (change.kind === 'write') {
      const end = Math.min(size, change.position + change.bytes.length)
      this.#current.write(this.#durable.view(change.position, end), change.position)
    }
  }

  /** Power fails: of each pending change some sectors arrived, others did not. */
  crash(random: Random): void {
    // From "nothing arrived" to "everything did", so that both ends come up often.
    const share = [0, 0.5, 0.9, 1][random.uint32() % 4] as number
    for (const change of this.#pending) applyTorn(this.#durable, change, random, share)
    this.#pending = []
    this.#current.resize(0)
    this.#current.write(this.#durable.view(0, this.#durable.size), 0)
  }

  /** Decay of the medium. */
  flipBit(position: number, bit: number): void {
    for (const image of [this.#current, this.#durable]) {
      const byte = image.view(position, position + 1)
      if (byte.length === 1) byte[0] = (byte[0] as number) ^ (1 << bit)
    }
  }
}

function apply(image: Image, change: Pending): void {
  if (change.kind === 'write') image.write(change.bytes, change.position)
  else image.resize(change.size)
}

/** What of an older change a newer one does not cover. */
function outside(older: Pending, newer: Pending): Pending[] {
  if (older.kind !== 'write' || newer.kind !== 'write') return [older]
  const start = newer.position - older.position
  const end = start + newer.bytes.length
  if (end <= 0 || start >= older.bytes.length) return [older]
  const parts: Pending[] = []
  if (start > 0) parts.push({ ...older, bytes: older.bytes.subarray(0, start) })
  if (end < older.bytes.length) {
    parts.push({ ...older, position: older.position + end, bytes: older.bytes.subarray(end) })
  }
  return parts
}

function applyTorn(image: Image, change: Pending, random: Random, share: number): void {
  if (change.kind === 'truncate') {
    if (random.float() < share) image.resize(change.size)
    return
  }
  const { position, bytes } = change
  for (let at = 0; at < bytes.length; ) {
    const sectorEnd = (Math.floor((position + at) / SECTOR_BYTES) + 1) * SECTOR_BYTES
    const end = Math.min(bytes.length, sectorEnd - position)
    if (random.float() < share) image.write(bytes.subarray(at, end), position + at)
    at = end
  }
}
