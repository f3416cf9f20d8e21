/** Errors on their way between nodes: a JSON body of code, detail, committed and members. */
import type { Committed, ErrorCode } from '../lib/service-error.ts'
import { ERRORS, ServiceError } from '../lib/service-error.ts'
import type { RefusalText } from '../wire/refusal-json.ts'
import { parseRefusal, refusalJson } from '../wire/refusal-json.ts'
import type { InternalRefusalCode } from './internal-refusal.ts'
import { INTERNAL_REFUSALS, InternalRefusal } from './internal-refusal.ts'

export interface ErrorAnswer {
  readonly status: number
  readonly body: Uint8Array
}

export function errorAnswer(error: ServiceError | InternalRefusal): ErrorAnswer {
  if (error instanceof InternalRefusal) {
    const { code, message: detail } = error
    const body = refusalJson({ code, detail, committed: 'no' })
    return { status: INTERNAL_REFUSALS[code], body }
  }
  return { status: ERRORS[error.code].status, body: refusalJson(refusalTextOf(error)) }
}

export function refusalTextOf({ code, message, committed, options }: ServiceError): RefusalText {
  const { members, retryAfterMs } = options
  return {
    code,
    detail: message,
    committed,
    ...(members !== undefined && { members }),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  }
}

/** Undefined if it is not what a node of this protocol answers. */
export function parseErrorAnswer(body: Uint8Array): ServiceError | InternalRefusal | undefined {
  const refusal = parseRefusal(body)
  if (refusal === undefined) return undefined
  const { code, detail } = refusal
  if (isInternal(code)) return new InternalRefusal(code, detail)
  return isPublic(code) ? serviceErrorOf(refusal) : undefined
}

/** A code that this version does not know becomes an `internal-error`. */
export function serviceErrorOf(refusal: RefusalText): ServiceError {
  const { code, detail, committed, members, retryAfterMs } = refusal
  return new ServiceError(isPublic(code) ? code : 'internal-error', detail, {
    committed: committed satisfies Committed,
    ...(members !== undefined && { members }),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  })
}

function isInternal(code: string): code is InternalRefusalCode {
  return Object.hasOwn(INTERNAL_REFUSALS, code)
}

function isPublic(code: string): code is ErrorCode {
  return Object.hasOwn(ERRORS, code)
}
