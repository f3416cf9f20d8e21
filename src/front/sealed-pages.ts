/**
 * Pages to which nothing can be added, kept for the next reader: it gets one without a fetch, as
 * long as the log still begins before it and the leader is the same.
 */
import type { TopicImage } from '../metadata/metadata-image.ts'
import type { PartitionOffsets, StorageService } from '../wire/internal.ts'
import { GenerationCache } from './generation-cache.ts'
import type { ReadPage } from './read-page.ts'

interface Sealed {
  readonly page: ReadPage
  readonly offset: number
  readonly leaderEpoch: number
}

export class SealedPages {
  readonly #storage: Pick<StorageService, 'offsets'>
  readonly #pages: GenerationCache<Sealed>

  constructor(storage: Pick<StorageService, 'offsets'>, limitBytes: number) {
    this.#storage = storage
    this.#pages = new GenerationCache(limitBytes)
  }

  /** The page kept under `key`, if its records are still to be had. */
  async find(key: string, topic: TopicImage, partition: number): Promise<ReadPage | undefined> {
    const sealed = this.#pages.get(key, sizeOf)
    if (sealed === undefined) return undefined
    const offsets = await this.#offsets(topic, partition)
    if (offsets === undefined) return undefined
    const isThere =
      offsets.logStartOffset <= sealed.offset && offsets.leaderEpoch === sealed.leaderEpoch
    return isThere ? sealed.page : undefined
  }

  /** Keeps a page that begins at `offset`; `key` must name the read completely. */
  async keep(
    key: string,
    page: ReadPage,
    topic: TopicImage,
    partition: number,
    offset: number,
  ): Promise<void> {
    const offsets = await this.#offsets(topic, partition)
    if (offsets === undefined) return
    const sealed = { page, offset, leaderEpoch: offsets.leaderEpoch }
    this.#pages.set(key, sealed, sizeOf(sealed))
  }

  /** Undefined if they cannot be had now: then the fetch will say why. */
  async #offsets(topic: TopicImage, partition: number): Promise<PartitionOffsets | undefined> {
    try {
      return await this.#storage.offsets(topic.id, partition)
    } catch {
      return undefined
    }
  }
}

function sizeOf({ page }: Sealed): number {
  return page.body.length
}
