/**
 * Rendered pages, so that readers of the same range share their bytes. Bounded in bytes; what was
 * not asked for during a generation goes.
 */

/** What an entry takes besides its body and twice its key, about. */
const ENTRY_BYTES = 200

export class RenderCache {
  readonly #generationBytes: number
  #young = new Map<string, Buffer>()
  #youngBytes = 0
  #old = new Map<string, Buffer>()

  constructor(limitBytes: number) {
    this.#generationBytes = limitBytes / 2
  }

  /** What is kept under `key`, else what `render` makes; `key` must name the bytes for all time. */
  get(key: string, render: () => Buffer): Buffer {
    const young = this.#young.get(key)
    if (young !== undefined) return young
    const body = this.#old.get(key) ?? render()
    const size = body.length + 2 * key.length + ENTRY_BYTES
    if (size > this.#generationBytes) return body
    if (this.#youngBytes + size > this.#generationBytes) {
      this.#old = this.#young
      this.#young = new Map()
      this.#youngBytes = 0
    }
    this.#young.set(key, body)
    this.#youngBytes += size
    return body
  }
}
