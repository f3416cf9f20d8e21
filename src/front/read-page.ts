/** The answer to one read, rendered when it is sent; readers of the same range share the bytes. */
import type { PageFormat, PageRenderer } from './page-renderer.ts'
import type { ReadPositions } from './read-positions.ts'
import type { Selection } from './read-selection.ts'

export class ReadPage {
  /** Number of records. */
  readonly records: number
  /** Where the next read goes on. */
  readonly after: ReadPositions
  readonly cursor: string
  /** Whether the same read will give the same answer for ever. */
  readonly isSealed: boolean
  readonly #range: string
  readonly #selection: Selection
  readonly #renderer: PageRenderer

  constructor(
    start: ReadPositions,
    after: ReadPositions,
    selection: Selection,
    isSealed: boolean,
    renderer: PageRenderer,
  ) {
    this.after = after
    this.cursor = after.cursor()
    this.records = selection.records
    this.isSealed = isSealed && selection.records > 0
    this.#range = `${start.offsetsText()}.${this.cursor}`
    this.#selection = selection
    this.#renderer = renderer
  }

  /** A strong entity tag: the range names the bytes. */
  tag(format: PageFormat): string {
    return `"${format}.${this.#range}"`
  }

  /** Shared: never written to. */
  body(format: PageFormat): Buffer {
    const { slices } = this.#selection
    return this.#renderer.body(this.#range, this.after.topic, slices, this.cursor, format)
  }
}
