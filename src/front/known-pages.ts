/**
 * Pages of one partition, kept for the next reader: it gets one without a fetch, as long as the same
 * read would still give the same page.
 */

import { GenerationCache } from '../lib/generation-cache.ts'
import type { MetadataView, TopicImage } from '../metadata/metadata-image.ts'
import type { PartitionOffsets, StorageService } from '../wire/internal.ts'
import type { PageTerms, ReadPage } from './read-page.ts'

export interface KnownPagesDeps {
  readonly storage: Pick<StorageService, 'offsetsNow'>
  readonly metadata: MetadataView
}

export class KnownPages {
  readonly #deps: KnownPagesDeps
  readonly #pages: GenerationCache<ReadPage>

  constructor(deps: KnownPagesDeps, limitBytes: number) {
    this.#deps = deps
    this.#pages = new GenerationCache(limitBytes)
  }

  /** The page kept under `key`, if it is current. */
  find(key: string): ReadPage | undefined {
    const page = this.#pages.get(key, sizeOf)
    return page !== undefined && this.isCurrent(page) ? page : undefined
  }

  /** `key` must name the read completely. Pages without terms are not kept. */
  keep(key: string, page: ReadPage): void {
    if (page.terms !== undefined) this.#pages.set(key, page, sizeOf(page))
  }

  /** Whether its read would give it again; false also where that cannot be told at once. */
  isCurrent({ terms }: ReadPage): boolean {
    if (terms === undefined) return false
    const { topic, partition } = terms
    if (this.#deps.metadata.image.topics.get(topic.name) !== topic) return false
    const offsets = this.#deps.storage.offsetsNow(topic.id, partition)
    return offsets !== undefined && areMet(terms, offsets)
  }

  /** To be asked for before the fetch; -1 if it cannot be told at once. */
  leaderEpoch(topic: TopicImage, partition: number): number {
    return this.#deps.storage.offsetsNow(topic.id, partition)?.leaderEpoch ?? -1
  }
}

function areMet(terms: PageTerms, offsets: PartitionOffsets): boolean {
  return (
    offsets.logStartOffset <= terms.offset &&
    offsets.leaderEpoch === terms.leaderEpoch &&
    (terms.highWatermark === undefined || offsets.highWatermark === terms.highWatermark)
  )
}

function sizeOf({ body }: ReadPage): number {
  return body.length
}
