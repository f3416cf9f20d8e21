/**
 * Writes the headers of a record as members of its JSON: `headers` for values that are text,
 * `headersBase64` for the others. Those that belong to Curlew itself are left out; of those that
 * share a name the last counts.
 */

import { RESERVED_HEADER_PREFIX } from '../core/record.ts'
import type { RecordCursor } from '../core/record-cursor.ts'
import type { ByteWriter } from './byte-writer.ts'
import { asciiBytes } from './json-string.ts'
import { isText, writeBase64String, writeJsonString } from './text-writer.ts'

const COLON = 0x3a
const COMMA = 0x2c
const CLOSE_OBJECT = 0x7d
const HEADERS = asciiBytes(',"headers":{')
const HEADERS_BASE64 = asciiBytes(',"headersBase64":{')
const RESERVED = asciiBytes(RESERVED_HEADER_PREFIX)
/** Name start and end, value start and end. */
const PLACES = 4

export class HeaderWriter {
  #places = new Int32Array(PLACES * 16)
  #count = 0

  /** The cursor stands on a record whose headers were not walked yet. */
  write(out: ByteWriter, cursor: RecordCursor): void {
    this.#collect(cursor)
    if (this.#count === 0) return
    const { bytes } = cursor
    const binary = this.#writeThose(out, bytes, HEADERS, true)
    if (binary > 0) this.#writeThose(out, bytes, HEADERS_BASE64, false)
  }

  #collect(cursor: RecordCursor): void {
    this.#count = 0
    while (cursor.nextHeader()) {
      const { bytes, headerNameStart: start, headerNameEnd: end } = cursor
      if (isReserved(bytes, start, end)) continue
      const at = this.#placeOf(bytes, start, end) * PLACES
      if (at === this.#places.length) this.#grow()
      const places = this.#places
      places[at] = start
      places[at + 1] = end
      // A header without a value reads as an empty one.
      places[at + 2] = cursor.headerValueStart === -1 ? 0 : cursor.headerValueStart
      places[at + 3] = cursor.headerValueStart === -1 ? 0 : cursor.headerValueEnd
    }
  }

  /** The index of an earlier header of the same name, else of a new one. */
  #placeOf(bytes: Uint8Array, start: number, end: number): number {
    const places = this.#places
    for (let i = 0; i < this.#count; i++) {
      const other = places[i * PLACES] as number
      if ((places[i * PLACES + 1] as number) - other !== end - start) continue
      let same = 0
      while (same < end - start && bytes[other + same] === bytes[start + same]) same++
      if (same === end - start) return i
    }
    return this.#count++
  }

  #grow(): void {
    const grown = new Int32Array(this.#places.length * 2)
    grown.set(this.#places)
    this.#places = grown
  }

  /** Writes those whose value is text, or is not; returns how many were left over. */
  #writeThose(out: ByteWriter, bytes: Uint8Array, opening: Uint8Array, areText: boolean): number {
    const places = this.#places
    let written = 0
    for (let i = 0; i < this.#count; i++) {
      const valueStart = places[i * PLACES + 2] as number
      const valueEnd = places[i * PLACES + 3] as number
      if (isText(bytes, valueStart, valueEnd) !== areText) continue
      if (written++ === 0) out.put(opening)
      else out.byte(COMMA)
      writeJsonString(out, bytes, places[i * PLACES] as number, places[i * PLACES + 1] as number)
      out.byte(COLON)
      if (areText) writeJsonString(out, bytes, valueStart, valueEnd)
      else writeBase64String(out, bytes, valueStart, valueEnd)
    }
    if (written > 0) out.byte(CLOSE_OBJECT)
    return this.#count - written
  }
}

function isReserved(bytes: Uint8Array, start: number, end: number): boolean {
  return end - start >= RESERVED.length && RESERVED.every((byte, i) => bytes[start + i] === byte)
}
