/** Renders the body of a read: the JSON document, or a line a record. */

import type { TopicId, TopicName } from '../core/ids.ts'
import { GenerationCache } from '../lib/generation-cache.ts'
import type { TopicImage } from '../metadata/metadata-image.ts'
import { ByteWriter } from '../wire/byte-writer.ts'
import { RecordRenderer } from '../wire/render.ts'
import type { BatchSlice } from './read-selection.ts'

export type PageFormat = 'json' | 'ndjson'

const COMMA = 0x2c

export class PageRenderer {
  readonly #cache: GenerationCache<Buffer>
  readonly #out = new ByteWriter()
  #records: RecordRenderer | undefined

  /** Bytes of pages that `cached` keeps; none if absent. */
  constructor({ cacheBytes = 0 }: { readonly cacheBytes?: number } = {}) {
    this.#cache = new GenerationCache(cacheBytes)
  }

  /** `range` names the records for all time: where they start and end in every partition. */
  cached(
    range: string,
    topic: TopicImage,
    slices: readonly BatchSlice[],
    cursor: string,
    format: PageFormat,
  ): Buffer {
    const key = `${format} ${range}`
    const known = this.#cache.get(key, ({ length }) => length)
    if (known !== undefined) return known
    const body = this.render(topic, slices, cursor, format)
    this.#cache.set(key, body, body.length)
    return body
  }

  render(
    topic: TopicImage,
    slices: readonly BatchSlice[],
    cursor: string,
    format: PageFormat,
  ): Buffer {
    if (format === 'json') {
      return this.renderJson(slices, () => topic, `"cursor":"${cursor}"}`)
    }
    const out = this.#out
    const renderer = this.#recordsOf(topic.name, format)
    out.clear()
    for (const { partition, batch, from, records } of slices) {
      renderer.render(out, partition, batch, { from, limit: records })
    }
    return out.copy()
  }

  /** A document with the records of any topics; `members` are its other ones, and what closes it. */
  renderJson(
    slices: readonly BatchSlice[],
    topicOf: (topicId: TopicId) => TopicImage,
    members: string,
  ): Buffer {
    const out = this.#out
    out.clear()
    out.ascii('{"records":[')
    for (const [i, { topicId, partition, batch, from, records }] of slices.entries()) {
      if (i > 0) out.byte(COMMA)
      const renderer = this.#recordsOf(topicOf(topicId).name, 'json')
      renderer.render(out, partition, batch, { from, limit: records })
    }
    out.ascii('],')
    out.put(Buffer.from(members))
    return out.copy()
  }

  /** Pages of one topic mostly follow each other, and share what is prepared. */
  #recordsOf(topic: TopicName, format: PageFormat): RecordRenderer {
    const known = this.#records
    if (known?.topic === topic && known.format === format) return known
    this.#records = new RecordRenderer(topic, format)
    return this.#records
  }
}
