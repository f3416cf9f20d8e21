/**
 * Renders the records of batches for readers: members of a JSON array, lines of NDJSON, or frames
 * of an event stream. The one place on the way of a read where batches are opened.
 */
import type { TopicName } from '../core/ids.ts'
import { MEDIA } from '../core/record.ts'
import {
  BATCH_CONTROL,
  batchAttributes,
  batchBaseOffset,
  batchLastOffset,
  batchLeaderEpoch,
} from '../core/record-batch.ts'
import { RecordCursor } from '../core/record-cursor.ts'
import { assert } from '../lib/assert.ts'
import { ServiceError } from '../lib/service-error.ts'
import type { ByteWriter } from './byte-writer.ts'
import type { TopicCursor } from './cursor-writer.ts'
import { asciiBytes } from './json-string.ts'
import { RecordWriter, valueMedia } from './record-writer.ts'
import { beginData, endFrame, writeDataLines, writeId } from './sse.ts'
import { writeBase64, writeJsonOnOneLine } from './text-writer.ts'

/**
 * `json`: records with commas between them. `ndjson`: each with a line feed behind it. `sse`: each
 * a frame. `sse-value`: frames of the bare value.
 */
export type RecordFormat = 'json' | 'ndjson' | 'sse' | 'sse-value'

export interface RenderWindow {
  /** Offsets [from, upTo) are rendered. */
  readonly from: number
  readonly upTo?: number
  /** Of records, at least 1. */
  readonly limit?: number
  /** Of an event stream: follows the records; its text is the id of each frame. */
  readonly cursor?: TopicCursor
}

export interface RenderedBatch {
  /** How many were written. */
  readonly records: number
  /** Where reading goes on: behind the batch, unless the window cut it. */
  readonly nextOffset: number
  readonly lastEpoch: number
}

const COMMA = 0x2c
const LINE_FEED = 0x0a
const NULL = asciiBytes('null')

export class RecordRenderer {
  readonly topic: TopicName
  readonly format: RecordFormat
  readonly #records: RecordWriter
  readonly #cursor = new RecordCursor()

  constructor(topic: TopicName, format: RecordFormat) {
    this.topic = topic
    this.format = format
    this.#records = new RecordWriter(topic, format === 'json')
  }

  /**
   * Appends the records of one batch to `out`. What comes out for a whole batch depends on nothing
   * else, but for the ids of frames.
   * @throws ServiceError `partition-damaged` when the batch cannot be read
   */
  render(
    out: ByteWriter,
    partition: number,
    batch: Uint8Array,
    window: RenderWindow,
  ): RenderedBatch {
    const lastEpoch = batchLeaderEpoch(batch)
    const { from, upTo = Number.MAX_SAFE_INTEGER, limit = Number.MAX_SAFE_INTEGER } = window
    const behind = Math.max(from, Math.min(upTo, batchLastOffset(batch) + 1))
    if ((batchAttributes(batch) & BATCH_CONTROL) !== 0) {
      return { records: 0, nextOffset: behind, lastEpoch }
    }
    const cursor = this.#cursor
    cursor.reset(batch)
    let records = 0
    while (cursor.next() && cursor.offset < upTo) {
      if (cursor.offset < from) continue
      if (records === limit) return { records, nextOffset: cursor.offset, lastEpoch }
      if (this.format === 'json' && records > 0) out.byte(COMMA)
      window.cursor?.set(partition, lastEpoch, cursor.offset + 1)
      this.#write(out, partition, window.cursor)
      records++
    }
    if (cursor.fault !== undefined) throw unreadable(partition, batch, cursor.fault)
    return { records, nextOffset: behind, lastEpoch }
  }

  #write(out: ByteWriter, partition: number, ids: TopicCursor | undefined): void {
    const cursor = this.#cursor
    if (this.format === 'json' || this.format === 'ndjson') {
      this.#records.writeRecord(out, partition, cursor)
      if (this.format === 'ndjson') out.byte(LINE_FEED)
      return
    }
    assert(ids !== undefined, 'the frames of a stream have ids')
    writeId(out, ids.bytes())
    if (this.format === 'sse-value') writeValue(out, cursor)
    else {
      beginData(out)
      this.#records.writeRecord(out, partition, cursor)
    }
    endFrame(out)
  }
}

/** JSON on one line, text as its lines, other bytes as base64, a tombstone as `null`. */
function writeValue(out: ByteWriter, cursor: RecordCursor): void {
  const { bytes, valueStart, valueEnd } = cursor
  if (valueStart === -1) {
    writeDataLines(out, NULL, 0, NULL.length)
    return
  }
  switch (valueMedia(cursor)) {
    case MEDIA.json:
      beginData(out)
      writeJsonOnOneLine(out, bytes, valueStart, valueEnd)
      break
    case MEDIA.text:
      writeDataLines(out, bytes, valueStart, valueEnd)
      break
    default:
      beginData(out)
      writeBase64(out, bytes, valueStart, valueEnd)
  }
}

function unreadable(partition: number, batch: Uint8Array, fault: string): ServiceError {
  const where = `the batch at offset ${batchBaseOffset(batch)} of partition ${partition}`
  const why = fault === 'compressed' ? 'is compressed, which is not supported' : 'does not parse'
  return new ServiceError('partition-damaged', `${where} ${why}`)
}
