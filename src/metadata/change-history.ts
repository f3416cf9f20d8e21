/** The most recent changes of the embedded store, for watchers that are behind; bounded. */
import { assert } from '../lib/assert.ts'
import type { Change } from './metadata-store.ts'
import { CompactedError } from './metadata-store.ts'

export interface HistoryLimits {
  /** Events over all changes kept. */
  readonly events: number
  /** Characters of keys and values over all changes kept. */
  readonly characters: number
}

export class ChangeHistory {
  readonly #limits: HistoryLimits
  /** One per revision, without gaps. */
  readonly #changes: Change[] = []
  #revision: number
  #events = 0
  #characters = 0

  /** Begins behind `revision`: older changes are not known. */
  constructor(revision: number, limits: HistoryLimits) {
    this.#revision = revision
    this.#limits = limits
  }

  add(change: Change): void {
    assert(change.revision === this.#revision + 1, 'a revision was left out of the history')
    this.#revision = change.revision
    this.#changes.push(change)
    this.#events += change.events.length
    this.#characters += charactersOf(change)
    // The newest stays, however large: a watcher that keeps up must be able to see it.
    while (
      this.#changes.length > 1 &&
      (this.#events > this.#limits.events || this.#characters > this.#limits.characters)
    ) {
      const oldest = this.#changes.shift() as Change
      this.#events -= oldest.events.length
      this.#characters -= charactersOf(oldest)
    }
  }

  /**
   * The change of `revision`, undefined if it is yet to come.
   * @throws CompactedError when it is no longer kept
   */
  at(revision: number): Change | undefined {
    if (revision > this.#revision) return undefined
    const index = revision - (this.#revision - this.#changes.length + 1)
    if (index < 0) {
      throw new CompactedError(`revision ${revision} is no longer kept; list again`)
    }
    return this.#changes[index]
  }
}

function charactersOf(change: Change): number {
  let sum = 0
  for (const { key, entry } of change.events) sum += key.length + (entry?.value.length ?? 0)
  return sum
}
