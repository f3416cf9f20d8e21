/** The keys that a follower has seen, with their modification revisions: what a new list is held against. */
import type { Change, Entry } from './metadata-store.ts'

export interface StoreList {
  readonly entries: readonly Entry[]
  readonly revision: number
}

export class KnownKeys {
  readonly #revisions = new Map<string, number>()

  /** undefined: not there, as far as is known. */
  revisionOf(key: string): number | undefined {
    return this.#revisions.get(key)
  }

  apply({ events }: Change): void {
    for (const { key, entry } of events) {
      if (entry === undefined) this.#revisions.delete(key)
      else this.#revisions.set(key, entry.modRevision)
    }
  }

  /** What leads from here to the list; without keys that have changed since it was made. */
  differences({ entries, revision }: StoreList): Change['events'] {
    const events: Change['events'][number][] = []
    let present = 0
    for (const entry of entries) {
      const known = this.#revisions.get(entry.key)
      if (known !== undefined) present++
      const isOlder = known === undefined || known <= revision
      if (known !== entry.modRevision && isOlder) events.push({ key: entry.key, entry })
    }
    // Mostly nothing is gone, and the set need not be made.
    if (present === this.#revisions.size) return events
    const listed = new Set(entries.map(({ key }) => key))
    for (const [key, known] of this.#revisions) {
      if (known <= revision && !listed.has(key)) events.push({ key, entry: undefined })
    }
    return events
  }

  /** Whether the list shows a key older than it was seen, though it is the newer one: another history. */
  contradicts({ entries, revision }: StoreList): boolean {
    return entries.some(({ key, modRevision }) => {
      const known = this.#revisions.get(key) ?? 0
      return modRevision < known && known <= revision
    })
  }
}
