/** What a caller meets when a node did not answer, or did not take the call. */
import type { InternalRefusalCode } from './internal-refusal.ts'

/**
 * `unreachable`: nobody took the call. `broken`: the connection was lost, or what came is no answer.
 * `deadline`, `aborted`: the caller stopped waiting. `refused`: by the code in `refusal`.
 */
export type CallFailure = 'unreachable' | 'broken' | 'deadline' | 'aborted' | 'refused'

export class InternalCallError extends Error {
  override readonly name = 'InternalCallError'
  readonly reason: CallFailure
  /** Whether it is certain that the call has done nothing and will do nothing. */
  readonly definitelyNotDone: boolean
  readonly refusal: InternalRefusalCode | undefined

  constructor(
    reason: CallFailure,
    message: string,
    options: {
      readonly definitelyNotDone: boolean
      readonly refusal?: InternalRefusalCode
      readonly cause?: unknown
    },
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.reason = reason
    this.definitelyNotDone = options.definitelyNotDone
    this.refusal = options.refusal
  }
}
