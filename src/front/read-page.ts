/** The answer to one read; readers of the same range share it. */
import type { ReadPositions } from './read-positions.ts'

export interface ReadPage {
  /** Number of records. */
  readonly records: number
  /** Where the next read goes on; never moved. */
  readonly after: ReadPositions
  /** The same, as readers get it. */
  readonly cursor: string
  /** A strong entity tag, if the same read will give the same answer for ever. */
  readonly tag: string | undefined
  /** Shared: never written to. */
  readonly body: Buffer
}
