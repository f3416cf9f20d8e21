/** Writes stored bytes as parts of JSON text. */
import { isUtf8 } from '../lib/utf8.ts'
import type { ByteWriter } from './byte-writer.ts'

const QUOTE = 0x22
const BACKSLASH = 0x5c
const SPACE = 0x20
const LINE_FEED = 0x0a
const CARRIAGE_RETURN = 0x0d
const HEX = Uint8Array.from(Buffer.from('0123456789abcdef', 'latin1'))
/** Below this a loop is faster than a native call. */
const SHORT_BYTES = 64

/** For each byte: 0 to copy it, 1 for \u00XX, else the letter behind the backslash. */
const ESCAPES = new Uint8Array(256).fill(1, 0, SPACE)
for (const [byte, letter] of [
  [0x08, 'b'],
  [0x09, 't'],
  [LINE_FEED, 'n'],
  [0x0c, 'f'],
  [CARRIAGE_RETURN, 'r'],
  [QUOTE, '"'],
  [BACKSLASH, '\\'],
] as const) {
  ESCAPES[byte] = letter.charCodeAt(0)
}

/** Whether bytes [start, end) are UTF-8. */
export function isText(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start > SHORT_BYTES) return isUtf8(bytes, start, end)
  for (let at = start; at < end; at++) {
    if ((bytes[at] as number) >= 0x80) return isUtf8(bytes, at, end)
  }
  return true
}

/** UTF-8 text as a JSON string with its quotes. */
export function writeJsonString(
  out: ByteWriter,
  bytes: Uint8Array,
  start: number,
  end: number,
): void {
  out.byte(QUOTE)
  let at = start
  while (at < end) {
    const runStart = at
    while (at < end && ESCAPES[bytes[at] as number] === 0) at++
    out.putRange(bytes, runStart, at)
    if (at < end) writeEscape(out, bytes[at++] as number)
  }
  out.byte(QUOTE)
}

function writeEscape(out: ByteWriter, byte: number): void {
  const letter = ESCAPES[byte] as number
  out.byte(BACKSLASH)
  if (letter !== 1) {
    out.byte(letter)
    return
  }
  out.ascii('u00')
  out.byte(HEX[byte >>> 4] as number)
  out.byte(HEX[byte & 15] as number)
}

/** Bytes as a JSON string of base64. */
export function writeBase64String(
  out: ByteWriter,
  bytes: Uint8Array,
  start: number,
  end: number,
): void {
  out.byte(QUOTE)
  writeBase64(out, bytes, start, end)
  out.byte(QUOTE)
}

export function writeBase64(out: ByteWriter, bytes: Uint8Array, start: number, end: number): void {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start)
  out.ascii(view.toString('base64'))
}

/**
 * JSON text with line breaks turned into spaces, which changes nothing: within strings JSON has
 * none, and between tokens both are whitespace.
 */
export function writeJsonOnOneLine(
  out: ByteWriter,
  bytes: Uint8Array,
  start: number,
  end: number,
): void {
  const from = out.length
  out.putRange(bytes, start, end)
  const written = out.bytes
  let at = from
  if (out.length - from > SHORT_BYTES) {
    const view = written.subarray(from, out.length)
    const feed = view.indexOf(LINE_FEED)
    const carriageReturn = view.indexOf(CARRIAGE_RETURN)
    if (feed === -1 && carriageReturn === -1) return
    at += Math.min(
      feed === -1 ? view.length : feed,
      carriageReturn === -1 ? view.length : carriageReturn,
    )
  }
  for (; at < out.length; at++) {
    if (written[at] === LINE_FEED || written[at] === CARRIAGE_RETURN) written[at] = SPACE
  }
}
