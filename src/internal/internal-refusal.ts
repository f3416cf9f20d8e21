/** Why a node does not take a call at all. None of these reaches a client; all are a definite no. */

/** Codes are contract between nodes; with the HTTP status of the answer. */
export const INTERNAL_REFUSALS = {
  'malformed-call': 400,
  /** The secrets differ, or something was changed on the way. */
  'bad-signature': 401,
  /** The clocks are too far apart, or the call was on its way for too long. */
  'stale-call': 401,
  'replayed-call': 401,
  'unknown-path': 404,
  'call-too-large': 413,
  'other-cluster': 421,
  /** The address belongs to another process now, or the registration was renewed. */
  'other-incarnation': 421,
  'deadline-passed': 504,
  'other-protocol': 505,
} as const satisfies Record<string, number>

export type InternalRefusalCode = keyof typeof INTERNAL_REFUSALS

export class InternalRefusal extends Error {
  override readonly name = 'InternalRefusal'
  readonly code: InternalRefusalCode

  constructor(code: InternalRefusalCode, detail: string) {
    super(detail)
    this.code = code
  }
}
