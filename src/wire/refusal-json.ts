/** A refusal as nodes tell it each other, in JSON: `{code, detail, committed, members?, retryAfterMs?}`. */
import type { Committed } from '../lib/service-error.ts'

export interface RefusalText {
  /** Not checked here: nodes know more codes than clients. */
  readonly code: string
  readonly detail: string
  readonly committed: Committed
  readonly members?: Readonly<Record<string, string | number>>
  readonly retryAfterMs?: number
}

/** Longer ones are not from a node of ours. */
export const MAX_REFUSAL_BYTES = 64 * 1024
const MAX_DETAIL = 4096

export function refusalJson(refusal: RefusalText): Uint8Array {
  const detail = refusal.detail.slice(0, MAX_DETAIL)
  return Buffer.from(JSON.stringify({ ...refusal, detail }))
}

/** Undefined if the bytes are not a refusal. */
export function parseRefusal(bytes: Uint8Array): RefusalText | undefined {
  if (bytes.length > MAX_REFUSAL_BYTES) return undefined
  let value: unknown
  try {
    value = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8'))
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  const { code, detail, committed, members, retryAfterMs } = value as Record<string, unknown>
  if (typeof code !== 'string' || typeof detail !== 'string') return undefined
  if (committed !== 'no' && committed !== 'yes' && committed !== 'unknown') return undefined
  if (members !== undefined && !areMembers(members)) return undefined
  if (retryAfterMs !== undefined && !isFiniteNumber(retryAfterMs)) return undefined
  return {
    code,
    detail,
    committed,
    ...(members !== undefined && { members }),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  }
}

function areMembers(value: unknown): value is Record<string, string | number> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  return Object.values(value).every((item) => typeof item === 'string' || isFiniteNumber(item))
}

/** JSON can say numbers that are too large for one, and could not say them again. */
function isFiniteNumber(value: unknown): value is number {
  return Number.isFinite(value)
}
