/** The answer to one read; readers of the same range share it. */
import type { TopicImage } from '../metadata/metadata-image.ts'
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
  /** Undefined if the same read may give something else for reasons of its own. */
  readonly terms: PageTerms | undefined
  /** Shared: never written to. */
  readonly body: Buffer
  /** Of the read that made it. */
  readonly timing: ReadTiming
}

/** Where the time of a read went, in milliseconds. */
export interface ReadTiming {
  readonly storageMs: number
  readonly renderMs: number
}

/** Of a page of one partition: as long as all this holds, the same read gives the same page. */
export interface PageTerms {
  /** Is still the topic of its name, unchanged. */
  readonly topic: TopicImage
  readonly partition: number
  /** Where the page begins: the log does not begin later. */
  readonly offset: number
  /** The leader is the same, so nothing was cut off. */
  readonly leaderEpoch: number
  /** It has not moved; undefined if the page is full, and what follows it does not matter. */
  readonly highWatermark: number | undefined
}
