/**
 * Frames of an event stream (WHATWG HTML, section 9.2), in the order `id`, `event`, `data`. Nothing
 * that a payload holds can end a line but as a line of `data`.
 */
import { assert } from '../lib/assert.ts'
import type { ByteWriter } from './byte-writer.ts'
import { asciiBytes } from './json-string.ts'

/** What a stream says besides records, which are events without a name. */
export type ControlEvent = 'gap' | 'assignment' | 'error' | 'end'

const LINE_FEED = 0x0a
const CARRIAGE_RETURN = 0x0d
const ID = asciiBytes('id: ')
const DATA = asciiBytes('data: ')
const LINE_BREAK = /[\r\n]/

/** Text without effect on the reader; keeps a quiet connection open. */
export function commentFrame(text = ''): Uint8Array {
  return oneLineFrame('', text)
}

/** Tells the reader how long to wait before it connects again. */
export function retryFrame(delayMs: number): Uint8Array {
  assert(Number.isSafeInteger(delayMs) && delayMs >= 0, 'a delay is a whole number')
  return oneLineFrame('retry', String(delayMs))
}

/** `data` goes out as JSON; with `id`, a reader that connects again goes on from there. */
export function controlFrame(event: ControlEvent, data: unknown, id?: string): Uint8Array {
  assert(id === undefined || !LINE_BREAK.test(id), 'an id has no line break')
  const idLine = id === undefined ? '' : `id: ${id}\n`
  return Buffer.from(`${idLine}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`)
}

/** Names the reader's place without an event, as before the first record. */
export function idFrame(id: string): Uint8Array {
  return oneLineFrame('id', id)
}

function oneLineFrame(field: string, text: string): Uint8Array {
  assert(!LINE_BREAK.test(text), 'a frame of one line has no line break')
  return Buffer.from(`${field}: ${text}\n\n`)
}

/** Begins a frame with its id, which is ASCII without line breaks. */
export function writeId(out: ByteWriter, id: Uint8Array): void {
  out.put(ID)
  out.put(id)
  out.byte(LINE_FEED)
}

/** Begins a line of data, which `endFrame` or another line ends. */
export function beginData(out: ByteWriter): void {
  out.put(DATA)
}

export function endFrame(out: ByteWriter): void {
  out.byte(LINE_FEED)
  out.byte(LINE_FEED)
}

/** Writes text as the data of a frame: each CR, LF or CRLF begins another line. */
export function writeDataLines(
  out: ByteWriter,
  bytes: Uint8Array,
  start: number,
  end: number,
): void {
  beginData(out)
  let at = start
  for (let lineStart = start; ; lineStart = at) {
    while (at < end && bytes[at] !== LINE_FEED && bytes[at] !== CARRIAGE_RETURN) at++
    out.putRange(bytes, lineStart, at)
    if (at === end) return
    at += bytes[at] === CARRIAGE_RETURN && at + 1 < end && bytes[at + 1] === LINE_FEED ? 2 : 1
    out.byte(LINE_FEED)
    beginData(out)
  }
}
