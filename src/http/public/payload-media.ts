/** What a published body is: decided by its Content-Type, or, where that says nothing, by its bytes. */
import { isUtf8 } from 'node:buffer'
import type { Media, RecordHeader } from '../../core/record.ts'
import { CONTENT_TYPE_HEADER, MEDIA } from '../../core/record.ts'
import { ServiceError } from '../../lib/service-error.ts'
import { isJson } from '../../wire/json-slice.ts'

export interface Payload {
  readonly media: Media
  /** The media type as a record header, where `media` alone does not say it. */
  readonly header: RecordHeader | undefined
}

const JSON_TYPE = /^application\/json$/
const JSON_SUFFIX = /^[a-z]+\/[^;\s]+\+json$/
/** What curl sends unless told otherwise: it says nothing about the body. */
const CURL_DEFAULT = 'application/x-www-form-urlencoded'
const CHARSET = /;\s*charset\s*=\s*"?([^";\s]+)/i
const CONTENT_TYPE_MAX = 256

/** @throws ServiceError `invalid-json`, `invalid-parameter` */
export function payloadOf(contentType: string | undefined, body: Uint8Array): Payload {
  if (contentType === undefined || contentType === '') return sniffed(body)
  const type = (contentType.split(';', 1)[0] ?? '').trim().toLowerCase()
  if (type === CURL_DEFAULT) return sniffed(body)
  if (contentType.length > CONTENT_TYPE_MAX) {
    const detail = `must be at most ${CONTENT_TYPE_MAX} characters`
    throw new ServiceError('invalid-parameter', `header content-type ${detail}`, {
      errors: [{ pointer: 'content-type', detail }],
    })
  }
  const isPlainJson = JSON_TYPE.test(type)
  if (isPlainJson || JSON_SUFFIX.test(type)) {
    if (!isJson(body))
      throw new ServiceError('invalid-json', `the body is sent as ${type}, but is not JSON`)
    return { media: MEDIA.json, header: isPlainJson ? undefined : named(contentType) }
  }
  if (type === 'application/octet-stream') return { media: MEDIA.bytes, header: undefined }
  if (type.startsWith('text/') && isUtf8Text(contentType, body)) {
    return { media: MEDIA.text, header: type === 'text/plain' ? undefined : named(contentType) }
  }
  return { media: MEDIA.header, header: named(contentType) }
}

function isUtf8Text(contentType: string, body: Uint8Array): boolean {
  const charset = CHARSET.exec(contentType)?.[1]?.toLowerCase() ?? 'utf-8'
  return (charset === 'utf-8' || charset === 'utf8' || charset === 'us-ascii') && isUtf8(body)
}

function sniffed(body: Uint8Array): Payload {
  const media = isJson(body) ? MEDIA.json : isUtf8(body) ? MEDIA.text : MEDIA.bytes
  return { media, header: undefined }
}

function named(contentType: string): RecordHeader {
  return { name: CONTENT_TYPE_HEADER, value: Buffer.from(contentType, 'latin1') }
}
