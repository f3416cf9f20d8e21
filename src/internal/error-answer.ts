/** Errors on their way between nodes: a JSON body of code, detail, committed and members. */
import type { Committed, ErrorCode } from '../lib/service-error.ts'
import { ERRORS, ServiceError } from '../lib/service-error.ts'
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
  const { code, message: detail, committed, options } = error
  const { members, retryAfterMs } = options
  return {
    status: ERRORS[code].status,
    body: refusalJson({
      code,
      detail,
      committed,
      ...(members !== undefined && { members }),
      ...(retryAfterMs !== undefined && { retryAfterMs }),
    }),
  }
}

/** Undefined if it is not what a node of this protocol answers. */
export function parseErrorAnswer(body: Uint8Array): ServiceError | InternalRefusal | undefined {
  const refusal = parseRefusal(body)
  if (refusal === undefined) return undefined
  const { code, detail, committed, members, retryAfterMs } = refusal
  if (isInternal(code)) return new InternalRefusal(code, detail)
  if (!isPublic(code)) return undefined
  return new ServiceError(code, detail, {
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
