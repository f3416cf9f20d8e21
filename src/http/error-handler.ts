/** Turns whatever a route throws into a problem document, and logs what is our fault, once. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Logger } from '../env/logger.ts'
import type { ErrorCode } from '../lib/service-error.ts'
import { ERRORS, ServiceError } from '../lib/service-error.ts'
import { PROBLEM_MEDIA_TYPE, problemOf, retryAfterMsOf } from '../wire/problem.ts'
import { ACCEPTED_ENCODINGS } from './content-decoding.ts'
import type { RequestEnd } from './request-end.ts'
import { traceIdOf } from './trace-context.ts'

/** Fastify's own errors, by their code; every other one below 500 is a malformed request. */
const FRAMEWORK_CODES: Readonly<Record<string, ErrorCode>> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported-media-type',
  FST_ERR_NOT_FOUND: 'route-not-found',
  FST_ERR_MAX_PARAM_LENGTH: 'invalid-parameter',
}

/** Where the framework's own words say nothing. */
const DETAILS: Partial<Record<ErrorCode, string>> = {
  'invalid-parameter': 'a part of the path is too long',
  'unsupported-media-type': 'the content-type is not a media type',
}

export interface ErrorAnswersDeps {
  readonly logger: Logger
  readonly requestEnd: RequestEnd
}

export class ErrorAnswers {
  readonly #deps: ErrorAnswersDeps

  constructor(deps: ErrorAnswersDeps) {
    this.#deps = deps
  }

  /** Fastify's error handler. */
  handle(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
    const problem = toServiceError(error)
    if (problem.code === 'internal-error' && !reply.raw.destroyed) {
      this.#deps.logger.error(
        { err: error, method: request.method, url: request.url, traceId: traceIdOf(request) },
        'a request failed',
      )
    }
    this.send(request, reply, problem)
  }

  /** Answers with the problem document of `error`. Headers that were set before stay. */
  send(request: FastifyRequest, reply: FastifyReply, error: ServiceError): void {
    if (!request.raw.complete) {
      // Closing at once, as fastify asks for after a fault in the body, would reset the connection
      // under a client that still sends; it might never read the answer.
      if (error.code === 'request-timeout') {
        this.#deps.requestEnd.watchUnread(request.raw, reply.raw)
      } else {
        if (reply.hasHeader('connection')) reply.removeHeader('connection')
        this.#deps.requestEnd.answersEarly(request.raw, reply.raw)
      }
    }
    const retryAfterMs = retryAfterMsOf(error)
    if (retryAfterMs !== undefined) reply.header('retry-after', retryAfterSeconds(retryAfterMs))
    if (error.code === 'unsupported-content-encoding') {
      reply.header('accept-encoding', ACCEPTED_ENCODINGS)
    }
    reply.removeHeader('content-encoding')
    reply.removeHeader('content-length')
    reply
      .code(ERRORS[error.code].status)
      .header('content-type', PROBLEM_MEDIA_TYPE)
      .header('cache-control', 'no-store')
      .send(Buffer.from(JSON.stringify(problemOf(error, traceIdOf(request)))))
  }
}

/** Whole seconds, at least one: `Retry-After: 0` would ask for a storm. */
export function retryAfterSeconds(retryAfterMs: number): string {
  return String(Math.max(1, Math.ceil(retryAfterMs / 1000)))
}

function toServiceError(error: unknown): ServiceError {
  if (error instanceof ServiceError) return error
  const { statusCode, code, message } = (error ?? {}) as Partial<
    Record<'statusCode' | 'code' | 'message', unknown>
  >
  if (typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500) {
    const known = FRAMEWORK_CODES[String(code)] ?? 'malformed-request'
    return new ServiceError(known, DETAILS[known] ?? String(message), { cause: error })
  }
  return new ServiceError('internal-error', 'something broke in the server', { cause: error })
}
