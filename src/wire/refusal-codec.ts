/** A refusal of one partition inside a binary message: its JSON, with only the codes of clients. */
import type { ErrorCode } from '../lib/service-error.ts'
import { ERRORS } from '../lib/service-error.ts'
import type { Refusal } from './internal.ts'
import { MalformedMessage } from './message.ts'
import { parseRefusal, refusalJson } from './refusal-json.ts'

export function encodeRefusal({ code, detail, committed, members }: Refusal): Uint8Array {
  return refusalJson({ code, detail, committed, ...(members !== undefined && { members }) })
}

/** @throws MalformedMessage */
export function decodeRefusal(bytes: Uint8Array): Refusal {
  const refusal = parseRefusal(bytes)
  if (refusal === undefined) throw new MalformedMessage('a refusal cannot be read')
  const { code, detail, committed, members } = refusal
  if (!isErrorCode(code)) throw new MalformedMessage(`the code ${code} is not known`)
  return { ok: false, code, detail, committed, ...(members !== undefined && { members }) }
}

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERRORS, code)
}
