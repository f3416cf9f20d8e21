/** Calls that wait until a member's view may be another one. */
import { ServiceError } from '../lib/service-error.ts'

export class MemberWatches {
  readonly #limit: number
  readonly #watches = new Map<string, Set<() => void>>()
  #size = 0

  /** `limit` bounds how many may wait at once. */
  constructor(limit: number) {
    this.#limit = limit
  }

  get size(): number {
    return this.#size
  }

  /**
   * Calls `wake` at the next change, and again at each that follows, until cancelled.
   * @throws ServiceError `too-many-requests`
   */
  watch(groupId: string, memberId: string, wake: () => void): () => void {
    if (this.#size >= this.#limit) {
      const detail = `${this.#limit} calls wait for members here already`
      throw new ServiceError('too-many-requests', detail, { retryAfterMs: 1000 })
    }
    const key = keyOf(groupId, memberId)
    const watches = this.#watches.get(key) ?? new Set()
    this.#watches.set(key, watches)
    const entry = () => wake()
    watches.add(entry)
    this.#size++
    return () => {
      if (!watches.delete(entry)) return
      this.#size--
      if (watches.size === 0) this.#watches.delete(key)
    }
  }

  changed(groupId: string, memberId: string): void {
    for (const wake of this.#watches.get(keyOf(groupId, memberId)) ?? []) wake()
  }
}

/** Ids have no spaces. */
function keyOf(groupId: string, memberId: string): string {
  return `${groupId} ${memberId}`
}
