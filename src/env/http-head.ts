/** The header lines of HTTP/1.1 (RFC 9112), as strictly as nodes write them to each other. */

/** Of a head, and of any other line. */
export const HEAD_BYTES_MAX = 16 * 1024
const HEADER = /^([\w-]+):[ \t]*(.*?)[ \t]*$/

/** Names in lower case, each once; undefined if they cannot be read. */
export function readHeaders(
  lines: readonly string[],
): Readonly<Record<string, string | undefined>> | undefined {
  const headers: Record<string, string | undefined> = Object.create(null)
  for (const line of lines) {
    const header = HEADER.exec(line)
    if (header === null) return undefined
    const [, given = '', value = ''] = header
    const name = given.toLowerCase()
    if (headers[name] !== undefined) return undefined
    headers[name] = value
  }
  return headers
}

/** Undefined for what is no length. */
export function readLength(text: string): number | undefined {
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined
}
