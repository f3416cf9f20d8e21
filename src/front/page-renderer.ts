/** Renders the body of a read: the JSON document, or a line a record. */

import type { TopicName } from '../core/ids.ts'
import { GenerationCache } from '../lib/generation-cache.ts'
import type { TopicImage } from '../metadata/metadata-image.ts'
import { ByteWriter } from '../wire/byte-writer.ts'
import { RecordRenderer } from '../wire/render.ts'
import type { BatchSlice } from './read-selection.ts'

export type PageFormat = 'json' | 'ndjson'

const COMMA = 0x2c
const OPENING = '{"records":['
const closing = (cursor: string) => `],"cursor":"${cursor}"}`

/** The records of a page of JSON, with commas between them; shared memory. */
export function recordsOfPage(page: Buffer, cursor: string): Buffer {
  return page.subarray(OPENING.length, page.length - closing(cursor).length)
}

export class PageRenderer {
  readonly #cache: GenerationCache<Buffer>
  readonly #out = new ByteWriter()
  #records: RecordRenderer | undefined

  constructor(options: { readonly cacheBytes: number }) {
    this.#cache = new GenerationCache(options.cacheBytes)
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
    const out = this.#out
    const renderer = this.#recordsOf(topic.name, format)
    out.clear()
    if (format === 'json') out.ascii(OPENING)
    for (const [i, { partition, batch, from, records }] of slices.entries()) {
      if (i > 0 && format === 'json') out.byte(COMMA)
      renderer.render(out, partition, batch, { from, limit: records })
    }
    if (format === 'json') out.ascii(closing(cursor))
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
