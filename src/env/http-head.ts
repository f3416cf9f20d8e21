/** The header lines of HTTP/1.1 (RFC 9112), as strictly as nodes write them to each other. */

/** Of a head, and of any other line. */
export const HEAD_BYTES_MAX = 16 * 1024
const HEADER = /^([\w-]+):[ \t]*(.*?)[ \t]*$/

/** Names in lower case, each once. */
export type Headers = Readonly<Record<string, string | undefined>>

interface Field {
  readonly line: string
  readonly name: string
  readonly value: string
}

/** Reads the headers of one head after the other over a connection. */
export class HeaderReader {
  /** Of the head before: most lines are the same in each, and need not be read again. */
  #fields: readonly Field[] = []

  /** Undefined if they cannot be read. */
  read(lines: readonly string[]): Headers | undefined {
    const headers: Record<string, string | undefined> = Object.create(null)
    const fields: Field[] = []
    for (const line of lines) {
      const known = this.#fields[fields.length]
      const field = known?.line === line ? known : fieldOf(line)
      if (field === undefined || headers[field.name] !== undefined) return undefined
      headers[field.name] = field.value
      fields.push(field)
    }
    this.#fields = fields
    return headers
  }
}

function fieldOf(line: string): Field | undefined {
  const header = HEADER.exec(line)
  if (header === null) return undefined
  const [, name = '', value = ''] = header
  return { line, name: name.toLowerCase(), value }
}

/** Undefined for what is no length. */
export function readLength(text: string): number | undefined {
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined
}
