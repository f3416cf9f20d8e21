/** What JSON strings mean, for those that are not kept as they are: names, keys, headers, base64. */

const BACKSLASH = 0x5c

/** The text of the JSON string at [start, end), quotes included, which the scanner found valid. */
export function decodeString(bytes: Uint8Array, start: number, end: number): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString()
  return text.includes('\\') ? (JSON.parse(text) as string) : text.slice(1, -1)
}

/**
 * The same as UTF-8; a view of `bytes` if the string has no escape sequence. Undefined if the
 * string has half a surrogate pair, which UTF-8 cannot express.
 */
export function decodeStringBytes(
  bytes: Uint8Array,
  start: number,
  end: number,
): Uint8Array | undefined {
  const content = bytes.subarray(start + 1, end - 1)
  if (!content.includes(BACKSLASH)) return content
  const text = decodeString(bytes, start, end)
  return text.isWellFormed() ? Buffer.from(text) : undefined
}

/** Standard base64 with padding (RFC 4648, section 4), in its one canonical form; else undefined. */
export function decodeBase64(
  bytes: Uint8Array,
  start: number,
  end: number,
): Uint8Array | undefined {
  const text = decodeString(bytes, start, end)
  const decoded = Buffer.from(text, 'base64')
  return decoded.toString('base64') === text ? decoded : undefined
}

/** The bytes of a short name, to compare with. */
export function asciiBytes(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'latin1'))
}

export function equalsAt(
  bytes: Uint8Array,
  start: number,
  end: number,
  other: Uint8Array,
): boolean {
  if (end - start !== other.length) return false
  for (let i = 0; i < other.length; i++) if (bytes[start + i] !== other[i]) return false
  return true
}
