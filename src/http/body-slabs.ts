/**
 * Memory of large request bodies, used again. Made anew for each, it comes from the system, is cold,
 * and hurries the collector, which sees buffers but not how soon they are free. Nobody has to give a
 * body back: what is not given back is collected like any other buffer.
 */

/** Smaller bodies are cheap to make. */
const LEAST_BYTES = 32 * 1024
const STEP_BYTES = 16 * 1024
/** Memory kept for bodies to come. */
const KEPT_BYTES = 16 * 1024 * 1024

export class BodySlabs {
  /** Free, the one given back last at the end: it is the warmest. */
  readonly #free: ArrayBuffer[] = []
  /** Only what was taken here and not yet given back may be used again. */
  readonly #taken = new WeakSet<ArrayBufferLike>()
  #freeBytes = 0

  get freeBytes(): number {
    return this.#freeBytes
  }

  /** A buffer of so many bytes; what it holds is of others. */
  take(bytes: number): Buffer {
    if (bytes < LEAST_BYTES) return Buffer.allocUnsafeSlow(bytes)
    const slab = this.#fitting(bytes) ?? newSlab(bytes)
    this.#taken.add(slab)
    return Buffer.from(slab, 0, bytes)
  }

  /** Takes back what `take` gave, once. Nothing may refer to its bytes any more. */
  give({ buffer }: Buffer): void {
    if (!this.#taken.delete(buffer) || !(buffer instanceof ArrayBuffer)) return
    this.#free.push(buffer)
    this.#freeBytes += buffer.byteLength
    while (this.#freeBytes > KEPT_BYTES) {
      this.#freeBytes -= (this.#free.shift() as ArrayBuffer).byteLength
    }
  }

  /** A free slab that is not more than twice what is asked for. */
  #fitting(bytes: number): ArrayBuffer | undefined {
    const index = this.#free.findLastIndex(
      ({ byteLength }) => byteLength >= bytes && byteLength <= 2 * bytes,
    )
    const [slab] = index === -1 ? [] : this.#free.splice(index, 1)
    this.#freeBytes -= slab?.byteLength ?? 0
    return slab
  }
}

function newSlab(bytes: number): ArrayBuffer {
  return Buffer.allocUnsafeSlow(Math.ceil(bytes / STEP_BYTES) * STEP_BYTES).buffer
}
