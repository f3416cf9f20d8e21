/** Writes one record, where a cursor stands, as the JSON that readers get; stored bytes go in as they are. */
import type { TopicName } from '../core/ids.ts'
import { MEDIA } from '../core/record.ts'
import type { RecordCursor } from '../core/record-cursor.ts'
import type { ByteWriter } from './byte-writer.ts'
import { HeaderWriter } from './header-writer.ts'
import { asciiBytes } from './json-string.ts'
import { isText, writeBase64String, writeJsonOnOneLine, writeJsonString } from './text-writer.ts'
import { TimestampWriter } from './timestamp-writer.ts'

const MEDIA_MASK = 0x07
const QUOTE = 0x22
const CLOSE_OBJECT = 0x7d
const TIMESTAMP = asciiBytes(',"timestamp":"')
const KEY = asciiBytes(',"key":')
const KEY_BASE64 = asciiBytes(',"keyBase64":')
const VALUE = asciiBytes(',"value":')
const VALUE_BASE64 = asciiBytes(',"valueBase64":')
const TOMBSTONE = asciiBytes(',"value":null,"tombstone":true')

export class RecordWriter {
  readonly #topic: TopicName
  readonly #keepsLines: boolean
  readonly #timestamps = new TimestampWriter()
  readonly #headers = new HeaderWriter()
  #partition = -1
  #opening: Uint8Array = new Uint8Array(0)

  /** Unless `keepsLines`, a record takes one line. */
  constructor(topic: TopicName, keepsLines: boolean) {
    this.#topic = topic
    this.#keepsLines = keepsLines
  }

  writeRecord(out: ByteWriter, partition: number, cursor: RecordCursor): void {
    if (partition !== this.#partition) {
      this.#partition = partition
      this.#opening = asciiBytes(`{"topic":"${this.#topic}","partition":${partition},"offset":`)
    }
    out.put(this.#opening)
    out.decimal(cursor.offset)
    out.put(TIMESTAMP)
    this.#timestamps.write(out, cursor.timestampMs)
    out.byte(QUOTE)
    this.#writeKey(out, cursor)
    this.#writeValueMember(out, cursor)
    if (cursor.headerCount > 0) this.#headers.write(out, cursor)
    out.byte(CLOSE_OBJECT)
  }

  #writeKey(out: ByteWriter, cursor: RecordCursor): void {
    const { bytes, keyStart, keyEnd } = cursor
    if (keyStart === -1) return
    if (isText(bytes, keyStart, keyEnd)) {
      out.put(KEY)
      writeJsonString(out, bytes, keyStart, keyEnd)
    } else {
      out.put(KEY_BASE64)
      writeBase64String(out, bytes, keyStart, keyEnd)
    }
  }

  #writeValueMember(out: ByteWriter, cursor: RecordCursor): void {
    const { bytes, valueStart, valueEnd } = cursor
    if (valueStart === -1) {
      out.put(TOMBSTONE)
      return
    }
    switch (valueMedia(cursor)) {
      case MEDIA.json:
        out.put(VALUE)
        if (this.#keepsLines) out.putRange(bytes, valueStart, valueEnd)
        else writeJsonOnOneLine(out, bytes, valueStart, valueEnd)
        break
      case MEDIA.text:
        out.put(VALUE)
        writeJsonString(out, bytes, valueStart, valueEnd)
        break
      default:
        out.put(VALUE_BASE64)
        writeBase64String(out, bytes, valueStart, valueEnd)
    }
  }
}

/** How the value of the record reads: JSON and text as such, all else as bytes. */
export function valueMedia(
  cursor: RecordCursor,
): typeof MEDIA.json | typeof MEDIA.text | typeof MEDIA.bytes {
  const media = cursor.attributes & MEDIA_MASK
  if (media === MEDIA.json && cursor.valueEnd > cursor.valueStart) return MEDIA.json
  const isReadable =
    media === MEDIA.text && isText(cursor.bytes, cursor.valueStart, cursor.valueEnd)
  return isReadable ? MEDIA.text : MEDIA.bytes
}
