/** A record's key and headers as HTTP headers, in both directions, byte for byte. */
import type { FastifyReply } from 'fastify'
import type { RecordHeader } from '../../core/record.ts'
import { RESERVED_HEADER_PREFIX } from '../../core/record.ts'
import { ServiceError } from '../../lib/service-error.ts'

const RECORD_PREFIX = 'record-'
const PREFIX = 'record-header-'
const TOKEN = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/
/** What a field value may hold (RFC 9110, 5.5), each byte a character; no space at its ends, which would be lost. */
const FIELD_VALUE = /^(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?$/
const LETTER_R = 0x72
const CASE_BIT = 0x20

/**
 * The headers `Record-Header-<name>` of a request; names are lower case, as HTTP does not tell them apart.
 * @throws ServiceError `invalid-parameter` for a header of a record that is given twice, or has no name
 */
export function recordHeadersOf(rawHeaders: readonly string[]): RecordHeader[] {
  const headers: RecordHeader[] = []
  const seen: string[] = []
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string
    // Hardly any header begins with an R.
    if ((name.charCodeAt(0) | CASE_BIT) !== LETTER_R) continue
    const lower = name.toLowerCase()
    if (!lower.startsWith(RECORD_PREFIX)) continue
    // Node would join the two values to one that nobody sent.
    if (seen.includes(lower)) throw badHeader(lower, 'is given twice')
    seen.push(lower)
    if (!lower.startsWith(PREFIX)) continue
    if (lower.length === PREFIX.length) throw badHeader(lower, 'names no header of the record')
    headers.push({
      name: lower.slice(PREFIX.length),
      value: fieldBytes(rawHeaders[i + 1] as string),
    })
  }
  return headers
}

/** Node gives the bytes of a header as characters. */
export function fieldBytes(value: string): Buffer {
  return Buffer.from(value, 'latin1')
}

/** Sets `name` to the bytes; under `<name>-Base64` if a header cannot hold them. */
export function setBytes(reply: FastifyReply, name: string, bytes: Uint8Array): void {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  const latin1 = text.toString('latin1')
  if (FIELD_VALUE.test(latin1)) reply.header(name, latin1)
  else reply.header(`${name}-base64`, text.toString('base64'))
}

/** Sets `Record-Header-<name>`; returns false for a header whose name or value HTTP cannot carry. */
export function setRecordHeader(reply: FastifyReply, name: string, value: Uint8Array): boolean {
  if (name.startsWith(RESERVED_HEADER_PREFIX)) return true
  const latin1 = Buffer.from(value.buffer, value.byteOffset, value.length).toString('latin1')
  if (!TOKEN.test(name) || !FIELD_VALUE.test(latin1)) return false
  reply.header(`${PREFIX}${name.toLowerCase()}`, latin1)
  return true
}

/** The bytes of `Record-Key`, or of `Record-Key-Base64`; undefined if there is neither. */
export function recordKeyOf(headers: NodeJS.Dict<string | string[]>): Buffer | undefined {
  const key = headers['record-key']
  if (typeof key === 'string') return fieldBytes(key)
  const encoded = headers['record-key-base64']
  if (typeof encoded !== 'string') return undefined
  const bytes = Buffer.from(encoded, 'base64')
  if (bytes.toString('base64') === encoded) return bytes
  throw badHeader('Record-Key-Base64', 'must be base64, with padding')
}

function badHeader(name: string, detail: string): ServiceError {
  return new ServiceError('invalid-parameter', `header ${name} ${detail}`, {
    errors: [{ pointer: name, detail }],
  })
}
