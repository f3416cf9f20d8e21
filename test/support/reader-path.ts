/** What one reader of a topic was given: every record once, in the order of its partition, from the first on. */
import type { StoredRecord } from './history-checker.ts'

export class ReaderPath {
  readonly #name: string
  readonly #next = new Map<number, number>()
  readonly #faults: string[] = []

  constructor(name: string) {
    this.#name = name
  }

  took({ partition, offset, value }: StoredRecord): void {
    const expected = this.#next.get(partition) ?? 0
    if (offset !== expected) {
      this.#faults.push(
        `${this.#name} was given ${value} at ${partition}@${offset}, and expected ${expected}`,
      )
    }
    this.#next.set(partition, offset + 1)
  }

  get faults(): readonly string[] {
    return this.#faults
  }

  /** Whether it has come to the end of a log that holds these. */
  hasAll(final: readonly StoredRecord[]): boolean {
    return final.every(({ partition, offset }) => offset < (this.#next.get(partition) ?? 0))
  }
}
