/**
 * Reads request bodies in the way the route asks for with `config.body`: whole as bytes (`raw`), in
 * pieces (`stream`), or as JSON. Whole bodies are bounded, inflated ones while they inflate.
 */
import { isUtf8 } from 'node:buffer'
import type { IncomingMessage } from 'node:http'
import type { Transform } from 'node:stream'
import type { FastifyRequest } from 'fastify'
import { assert } from '../lib/assert.ts'
import type { ByteBudget } from '../lib/byte-budget.ts'
import { ServiceError } from '../lib/service-error.ts'
import { duplicateMember } from '../wire/json-duplicates.ts'
import { BodySlabs } from './body-slabs.ts'
import { decoderFor, inflateError } from './content-decoding.ts'
import type { RequestEnd } from './request-end.ts'
import type { StallWatch, WatchedBody } from './stall-watch.ts'
import { bodyTooLarge, WholeBody } from './whole-body.ts'

/** How a route takes its body: see `rawBody`, `streamedBody`; JSON where it says nothing. */
export type BodyMode = 'raw' | 'stream'

const JSON_MEDIA_TYPE = /^application\/(?:[\w.!#$&^-]+\+)?json\s*(?:;|$)/i
const EMPTY = Buffer.alloc(0)
const NOTHING: AsyncIterable<Buffer> = { [Symbol.asyncIterator]: nothing }

async function* nothing(): AsyncGenerator<Buffer> {}

/** The body of a route with `config: { body: 'raw' }`; empty when there was none. */
export function rawBody(request: FastifyRequest): Buffer {
  const { body } = request
  if (body === undefined) return EMPTY
  assert(Buffer.isBuffer(body), 'the route does not say body: raw')
  return body
}

/** The body of a route with `config: { body: 'stream' }`, inflated; pulls only as it is iterated. */
export function streamedBody(request: FastifyRequest): AsyncIterable<Buffer> {
  const { body } = request
  if (body === undefined) return NOTHING
  assert(typeof body === 'object' && body !== null && Symbol.asyncIterator in body, 'not streamed')
  return body as AsyncIterable<Buffer>
}

type Done = (error: Error | null, body?: unknown) => void

export interface BodyReaderDeps {
  readonly budget: ByteBudget
  readonly stalls: StallWatch
  readonly requestEnd: RequestEnd
  readonly parseJson: (request: FastifyRequest, text: string, done: Done) => void
}

export class BodyReader {
  readonly #deps: BodyReaderDeps
  readonly #slabs = new BodySlabs()

  /** `FastifyRequest.releaseBody`, which says when it may be called. */
  readonly release: (this: FastifyRequest) => void

  constructor(deps: BodyReaderDeps) {
    this.#deps = deps
    const slabs = this.#slabs
    this.release = function release() {
      const { body } = this
      if (!Buffer.isBuffer(body)) return
      this.body = undefined
      slabs.give(body)
    }
  }

  /** A content type parser for every type. */
  read(request: FastifyRequest, source: IncomingMessage, done: Done): void {
    if (request.is404) {
      this.#deps.requestEnd.watchUnread(request.raw, request.response)
      done(null)
      return
    }
    const { config, bodyLimit } = request.routeOptions
    try {
      const mode = typeof config.body === 'function' ? config.body(request) : config.body
      if (mode === 'raw') {
        this.#readWhole(request, source, bodyLimit, done)
      } else if (mode === 'stream') {
        done(null, this.#stream(request, source))
      } else {
        this.#readJson(request, source, bodyLimit, done)
      }
    } catch (error) {
      done(error as Error)
    }
  }

  #readWhole(
    request: FastifyRequest,
    source: IncomingMessage,
    limitBytes: number,
    done: Done,
  ): void {
    const { budget, stalls, requestEnd } = this.#deps
    const { headers } = request.raw
    const length = headers['content-length']
    const declaredBytes = length === undefined ? -1 : Number(length)
    if (declaredBytes > limitBytes) throw bodyTooLarge(limitBytes)
    const decoder = decoderFor(request.raw.headers['content-encoding'])
    const memory = { budget, slabs: this.#slabs }
    const body = new WholeBody(memory, limitBytes, decoder === undefined ? declaredBytes : -1)
    continueIfExpected(request)
    const reading = new Reading(source, decoder, body, stalls, (error) => {
      requestEnd.holds(request.response, body.heldBytes)
      if (error === undefined) done(null, body.bytes())
      else done(error)
    })
    reading.start()
  }

  #readJson(
    request: FastifyRequest,
    source: IncomingMessage,
    limitBytes: number,
    done: Done,
  ): void {
    const type = request.headers['content-type']
    if (type !== undefined && !JSON_MEDIA_TYPE.test(type)) {
      throw new ServiceError(
        'unsupported-media-type',
        'the body of this operation is JSON; send it with content-type: application/json (curl: --json)',
      )
    }
    this.#readWhole(request, source, limitBytes, (error, body) => {
      if (error) done(error)
      else if (!Buffer.isBuffer(body) || body.length === 0) done(null, undefined)
      else if (isUtf8(body)) this.#parse(request, body.toString('utf8'), done)
      else done(new ServiceError('malformed-request', 'the body is not UTF-8'))
    })
  }

  #parse(request: FastifyRequest, text: string, done: Done): void {
    this.#deps.parseJson(request, text, (error, body) => {
      const pointer = error === null ? duplicateMember(text) : undefined
      if (pointer === undefined) done(error, body)
      else {
        const fault = { pointer, detail: 'is given twice' }
        const detail = `${pointer} ${fault.detail}`
        done(new ServiceError('invalid-request', detail, { errors: [fault] }))
      }
    })
  }

  #stream(request: FastifyRequest, source: IncomingMessage): AsyncIterable<Buffer> {
    const decoder = decoderFor(request.raw.headers['content-encoding'])
    this.#deps.requestEnd.watchUnread(request.raw, request.response)
    continueIfExpected(request)
    return decoder === undefined ? piecesOf(source) : inflatedPiecesOf(source, decoder)
  }
}

/** The server leaves `Expect: 100-continue` to us, so that a refused body is never sent. */
function continueIfExpected(request: FastifyRequest): void {
  if (request.raw.headers.expect?.toLowerCase() === '100-continue') {
    request.response.writeContinue()
  }
}

/** Leaving the loop early must not destroy the connection: the answer is still to be sent. */
async function* piecesOf(source: IncomingMessage): AsyncGenerator<Buffer> {
  try {
    yield* source.iterator({ destroyOnReturn: false })
  } catch (cause) {
    throw cutOff(cause)
  }
}

async function* inflatedPiecesOf(
  source: IncomingMessage,
  decoder: Transform,
): AsyncGenerator<Buffer> {
  const onSourceError = (cause: Error) => decoder.destroy(cutOff(cause))
  source.on('error', onSourceError)
  source.pipe(decoder)
  try {
    yield* decoder
  } catch (cause) {
    throw cause instanceof ServiceError ? cause : inflateError(cause)
  } finally {
    source.unpipe(decoder)
    source.off('error', onSourceError)
  }
}

function cutOff(cause: unknown): ServiceError {
  return new ServiceError('request-timeout', 'the body stopped half-way', { cause })
}

/** The reading of one whole body, from the first byte to the last or the first fault. */
class Reading implements WatchedBody {
  readonly #source: IncomingMessage
  readonly #decoder: Transform | undefined
  readonly #body: WholeBody
  readonly #stalls: StallWatch
  readonly #settle: (error?: Error) => void
  readonly firstSweep: number
  lastSweep: number
  seat = -1

  constructor(
    source: IncomingMessage,
    decoder: Transform | undefined,
    body: WholeBody,
    stalls: StallWatch,
    settle: (error?: Error) => void,
  ) {
    this.#source = source
    this.#decoder = decoder
    this.#body = body
    this.#stalls = stalls
    this.#settle = settle
    this.firstSweep = stalls.sweep
    this.lastSweep = stalls.sweep
  }

  start(): void {
    this.#stalls.watch(this)
    const bytes = this.#decoder ?? this.#source
    bytes.on('data', this.#onData)
    bytes.on('end', this.#onEnd)
    this.#source.on('error', this.#onSourceError)
    if (this.#decoder === undefined) return
    this.#decoder.on('error', this.#onDecoderError)
    this.#source.pipe(this.#decoder)
  }

  stalled(): void {
    this.#finish(cutOff(undefined))
  }

  readonly #onData = (chunk: Buffer): void => {
    this.lastSweep = this.#stalls.sweep
    try {
      this.#body.push(chunk)
    } catch (error) {
      this.#finish(error as Error)
    }
  }

  readonly #onEnd = (): void => this.#finish(undefined)
  readonly #onSourceError = (cause: Error): void => this.#finish(cutOff(cause))
  readonly #onDecoderError = (cause: Error): void => this.#finish(inflateError(cause))

  #finish(error: Error | undefined): void {
    const source = this.#source
    this.#stalls.unwatch(this)
    source.off('data', this.#onData)
    source.off('end', this.#onEnd)
    source.off('error', this.#onSourceError)
    const decoder = this.#decoder
    if (decoder !== undefined) {
      source.unpipe(decoder)
      decoder.off('data', this.#onData)
      decoder.off('end', this.#onEnd)
      // A destroyed decoder may still report the fault that ended it.
      decoder.off('error', this.#onDecoderError)
      decoder.on('error', ignore)
      decoder.destroy()
      // What follows the end of the compressed data is not read by anybody else.
      source.resume()
    }
    this.#settle(error)
  }
}

function ignore(): void {}
