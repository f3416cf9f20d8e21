/**
 * Rendered bytes that many readers share, within a bound. What was not asked for during a
 * generation goes.
 */

/** What an entry takes besides its bytes and its key, about. */
const ENTRY_BYTES = 200

export class GenerationCache<V> {
  readonly #generationBytes: number
  #young = new Map<string, V>()
  #youngBytes = 0
  #old = new Map<string, V>()

  constructor(limitBytes: number) {
    this.#generationBytes = limitBytes / 2
  }

  /** `sizeOf` is of use when the entry has to be kept for another generation. */
  get(key: string, sizeOf: (value: V) => number): V | undefined {
    const young = this.#young.get(key)
    if (young !== undefined) return young
    const old = this.#old.get(key)
    if (old !== undefined) this.set(key, old, sizeOf(old))
    return old
  }

  set(key: string, value: V, sizeBytes: number): void {
    const size = sizeBytes + 2 * key.length + ENTRY_BYTES
    if (size > this.#generationBytes) return
    if (this.#youngBytes + size > this.#generationBytes) {
      this.#old = this.#young
      this.#young = new Map()
      this.#youngBytes = 0
    }
    this.#young.set(key, value)
    this.#youngBytes += size
  }
}
