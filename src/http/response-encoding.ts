/** Compresses answers for clients that take it: whole bodies only, off the main thread, bounded. */
import { constants, gzip, zstdCompress } from 'node:zlib'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { addVary } from './vary.ts'

type Encoding = 'gzip' | 'zstd'
type Payload = string | Buffer

/** Below this the headers cost more than compression saves. */
const WORTHWHILE_BYTES = 1024
/** Answers in the thread pool at once; beyond it they go out as they are. */
const AT_ONCE = 8
const HEADER_LENGTH = 512
const GZIP_LEVEL = 3
const ZSTD_LEVEL = 1

/** The encoding that the client likes best; zstd where it has no preference. */
export function chooseEncoding(acceptEncoding: string | undefined): Encoding | undefined {
  if (acceptEncoding === undefined) return undefined
  const weightOf = weights(acceptEncoding)
  const zstd = weightOf('zstd')
  const gz = Math.max(weightOf('gzip'), weightOf('x-gzip'))
  if (zstd <= 0 && gz <= 0) return undefined
  return zstd >= gz ? 'zstd' : 'gzip'
}

export function takesGzip(acceptEncoding: string | undefined): boolean {
  return weights(acceptEncoding)('gzip') > 0
}

function weights(acceptEncoding = ''): (name: string) => number {
  const known = new Map<string, number>()
  if (acceptEncoding.length > HEADER_LENGTH) return () => 0
  for (const item of acceptEncoding.toLowerCase().split(',')) {
    const [name = '', ...parameters] = item.split(';').map((part) => part.trim())
    const q = parameters.find((parameter) => parameter.startsWith('q='))
    const weight = q === undefined ? 1 : Number(q.slice(2))
    known.set(name, Number.isFinite(weight) ? weight : 0)
  }
  return (name) => known.get(name) ?? (name === 'x-gzip' ? 0 : (known.get('*') ?? 0))
}

/** An `onSend` hook for the routes that say `config: { compress: true }`. */
export class ResponseEncoder {
  #running = 0

  readonly onSend = (
    request: FastifyRequest,
    reply: FastifyReply,
    payload: unknown,
    done: (error: Error | null, payload?: unknown) => void,
  ): void => {
    addVary(reply, 'Accept-Encoding')
    const encoding = chooseEncoding(request.headers['accept-encoding'])
    if (encoding === undefined || !isWorthwhile(payload) || reply.hasHeader('content-encoding')) {
      done(null, payload)
      return
    }
    if (this.#running >= AT_ONCE) {
      done(null, payload)
      return
    }
    this.#running += 1
    compress(encoding, payload, (error, compressed) => {
      this.#running -= 1
      if (error !== null) {
        done(error)
        return
      }
      reply.header('content-encoding', encoding)
      reply.removeHeader('content-length')
      weakenETag(reply)
      done(null, compressed)
    })
  }
}

function isWorthwhile(payload: unknown): payload is Payload {
  if (typeof payload !== 'string' && !Buffer.isBuffer(payload)) return false
  return payload.length >= WORTHWHILE_BYTES
}

function compress(
  encoding: Encoding,
  payload: Payload,
  done: (error: Error | null, compressed: Buffer) => void,
): void {
  if (encoding === 'gzip') gzip(payload, { level: GZIP_LEVEL }, done)
  else {
    zstdCompress(payload, { params: { [constants.ZSTD_c_compressionLevel]: ZSTD_LEVEL } }, done)
  }
}

/** A strong tag speaks of exact bytes, which these no longer are (RFC 9110, section 8.8.1). */
function weakenETag(reply: FastifyReply): void {
  const tag = reply.getHeader('etag')
  if (typeof tag === 'string' && !tag.startsWith('W/')) reply.header('etag', `W/${tag}`)
}
