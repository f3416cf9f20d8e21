/**
 * Large writes past the page cache (O_DIRECT). Through the cache each write takes fresh pages, which
 * costs more than all else in it, for bytes that are seldom read from the file while they are new: the
 * newest records are in memory anyway. Bytes go through a few buffers that begin at a page. A file
 * system that takes no such writes is found out at the first one, and then spared.
 */
import { constants } from 'node:fs'
import { pageAligned } from '../lib/page-aligned.ts'

/** A multiple of what any disk takes as its unit. */
const BLOCK_BYTES = 4096
/** Below, one more system call costs more than the cache does. */
const WORTHWHILE_BYTES = 16 * 1024
const STAGING_BYTES = 1024 * 1024
/** As many writes run at a time; others go through the cache. */
const STAGINGS_MAX = 8

/** Undefined on systems without it, whatever the type says. */
export const O_DIRECT = constants.O_DIRECT as number | undefined

/** What one call of the system is to write of a larger write, from its first byte on. */
export interface WriteStep {
  readonly parts: readonly Uint8Array[]
  readonly isDirect: boolean
}

/** Of one file system: the memory for such writes, and whether it takes them. */
export class DirectWrites {
  readonly #free: Uint8Array[] = []
  #made = 0
  #isRefused: boolean

  constructor(isSupported: boolean = O_DIRECT !== undefined) {
    this.#isRefused = !isSupported
  }

  /** Undefined: the whole write through the cache. */
  step(parts: readonly Uint8Array[], position: number): WriteStep | undefined {
    if (this.#isRefused) return
    const headBytes = (BLOCK_BYTES - (position % BLOCK_BYTES)) % BLOCK_BYTES
    const wholeBytes = floorToBlock(sumOf(parts) - headBytes)
    if (wholeBytes < WORTHWHILE_BYTES) return
    if (headBytes > 0) return { parts: firstBytes(parts, headBytes), isDirect: false }
    return { parts: firstBytes(parts, Math.min(STAGING_BYTES, wholeBytes)), isDirect: true }
  }

  /**
   * Gives the parts to `write` in memory that is its own until it settles; resolves to its result.
   * Undefined if there is no such memory now, or if the file system does not take the write.
   */
  async perform<T>(
    parts: readonly Uint8Array[],
    write: (bytes: Uint8Array) => Promise<T>,
  ): Promise<T | undefined> {
    const staging = this.#free.pop() ?? this.#make()
    if (staging === undefined) return
    try {
      let at = 0
      for (const part of parts) {
        staging.set(part, at)
        at += part.length
      }
      return await write(staging.subarray(0, at))
    } catch (error) {
      if (!isUnsupported(error)) throw error
      this.#isRefused = true
      return
    } finally {
      this.#free.push(staging)
    }
  }

  #make(): Uint8Array | undefined {
    if (this.#made === STAGINGS_MAX) return
    this.#made++
    return pageAligned(STAGING_BYTES)
  }
}

/** Whether the file system cannot write past the cache, at all or from such memory. */
export function isUnsupported(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException
  return code === 'EINVAL' || code === 'EOPNOTSUPP' || code === 'ENOTSUP'
}

function firstBytes(parts: readonly Uint8Array[], sizeBytes: number): readonly Uint8Array[] {
  const first: Uint8Array[] = []
  let left = sizeBytes
  for (const part of parts) {
    if (left === 0) break
    first.push(part.length > left ? part.subarray(0, left) : part)
    left -= Math.min(left, part.length)
  }
  return first
}

function sumOf(parts: readonly Uint8Array[]): number {
  return parts.reduce((sum, part) => sum + part.length, 0)
}

function floorToBlock(sizeBytes: number): number {
  return sizeBytes - (sizeBytes % BLOCK_BYTES)
}
