/** The body of every error (RFC 9457), made from the one table of errors. */
import type { Static } from 'typebox'
import { Type } from 'typebox'
import type { ErrorCode, ErrorEntry, ServiceError } from '../lib/service-error.ts'
import { ERRORS } from '../lib/service-error.ts'
import { Words } from './schema.ts'

export const PROBLEM_MEDIA_TYPE = 'application/problem+json'

const CODES = Object.keys(ERRORS) as ErrorCode[]

/** Further members, such as `limit`, `tail` and `earliest`, depend on the code. */
export const Problem = Type.Object(
  {
    type: Type.String({
      format: 'uri-reference',
      description: 'The page that explains this error: `/problems/{code}`.',
    }),
    title: Type.String(),
    status: Type.Integer({ minimum: 400, maximum: 599 }),
    code: Words(CODES, { description: 'Stable name of the error; programs decide by it.' }),
    detail: Type.String({ description: 'What went wrong this time, for people.' }),
    retryable: Type.Boolean({
      description: 'Whether the same request may succeed later without a change.',
    }),
    committed: Words(['no', 'yes', 'unknown'], {
      description: 'Whether what was asked for has happened, over all attempts made for it.',
    }),
    traceId: Type.String({ description: 'Finds this request in the log of the server.' }),
    retryAfterMs: Type.Optional(Type.Integer({ minimum: 0 })),
    action: Type.Optional(
      Words(['rejoin'], {
        description: 'What a program does now: a member joins its group again.',
      }),
    ),
    errors: Type.Optional(
      Type.Array(
        Type.Object({
          pointer: Type.String({
            description: 'JSON pointer into the body, the name of a parameter, or an NDJSON line.',
          }),
          detail: Type.String(),
        }),
      ),
    ),
  },
  { $id: 'Problem', additionalProperties: true },
)
export type Problem = Static<typeof Problem>

/** How long a client should stay away when nothing better is known. */
const RETRY_AFTER_MS = 1000
const ASKS_TO_WAIT: ReadonlySet<number> = new Set([429, 503, 507])

/** Milliseconds after which a repetition makes sense, or undefined when there is nothing to say. */
export function retryAfterMsOf(error: ServiceError): number | undefined {
  if (error.options.retryAfterMs !== undefined) return error.options.retryAfterMs
  return ASKS_TO_WAIT.has(ERRORS[error.code].status) ? RETRY_AFTER_MS : undefined
}

/** The problem document of an error; also an item of an answer in which only some things failed. */
export function problemOf(error: ServiceError, traceId: string): Problem {
  const entry: ErrorEntry = ERRORS[error.code]
  const { errors, members } = error.options
  const retryAfterMs = retryAfterMsOf(error)
  return {
    type: `/problems/${error.code}`,
    title: entry.title,
    status: entry.status,
    code: error.code,
    detail: error.message,
    retryable: entry.retryable,
    committed: error.committed,
    traceId,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    ...(entry.action && { action: entry.action }),
    ...(errors === undefined ? {} : { errors: [...errors] }),
    ...members,
  }
}
