/** Inflates request bodies: which encodings are taken, and by what. */
import type { Transform } from 'node:stream'
import { constants, createGunzip, createZstdDecompress } from 'node:zlib'
import { ServiceError } from '../lib/service-error.ts'

/** For `Accept-Encoding` of a refusal (RFC 9110, section 12.5.3). */
export const ACCEPTED_ENCODINGS = 'gzip, zstd'

/**
 * RFC 9659: a window of 8 MiB is all that a zstd body in HTTP may ask for. Without this bound a
 * body of a few bytes could make its decoder allocate 128 MiB.
 */
const ZSTD_WINDOW_LOG = 23

/**
 * A decoder for the `Content-Encoding`, or undefined when the bytes come as they are.
 * @throws ServiceError `unsupported-content-encoding`
 */
export function decoderFor(contentEncoding: string | undefined): Transform | undefined {
  if (contentEncoding === undefined) return undefined
  switch (contentEncoding.trim().toLowerCase()) {
    case '':
    case 'identity':
      return undefined
    case 'gzip':
    case 'x-gzip':
      return createGunzip()
    case 'zstd':
      return createZstdDecompress({
        params: { [constants.ZSTD_d_windowLogMax]: ZSTD_WINDOW_LOG },
      })
    default:
      throw new ServiceError(
        'unsupported-content-encoding',
        `bodies are taken with content-encoding ${ACCEPTED_ENCODINGS} or none`,
      )
  }
}

/** What a client hears when its compressed body cannot be inflated. */
export function inflateError(cause: unknown): ServiceError {
  return new ServiceError(
    'malformed-request',
    'the body is not what its content-encoding says, or it was cut off',
    { cause },
  )
}
