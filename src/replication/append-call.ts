/** One call of append: its requests settle one by one, and all that is left when the caller goes away. */
import type { Committed, ErrorCode } from '../lib/service-error.ts'
import { ERRORS, ServiceError } from '../lib/service-error.ts'
import type { Refusal } from '../wire/internal.ts'
import type { AppendResult } from './pending-acks.ts'

export class AppendCall {
  readonly #signal: AbortSignal
  readonly #unsettled = new Set<(result: AppendResult) => void>()
  #listening: boolean = false

  constructor(signal: AbortSignal) {
    this.#signal = signal
  }

  /** A promise, and the function that settles it: the first call counts. */
  open(): { promise: Promise<AppendResult>; settle: (result: AppendResult) => void } {
    const { promise, resolve } = Promise.withResolvers<AppendResult>()
    const settle = (result: AppendResult) => {
      if (!this.#unsettled.delete(settle)) return
      resolve(result)
      if (this.#unsettled.size === 0) this.#signal.removeEventListener('abort', this.#abort)
    }
    this.#unsettled.add(settle)
    return { promise, settle }
  }

  /** Begins to heed the signal, if anything is still to be waited for. */
  listen(): void {
    if (this.#listening || this.#unsettled.size === 0) return
    this.#listening = true
    if (this.#signal.aborted) this.#abort()
    else this.#signal.addEventListener('abort', this.#abort, { once: true })
  }

  readonly #abort = (): void => {
    const refusal = refuse('outcome-unknown', 'the wait for the acknowledgement was given up')
    for (const settle of [...this.#unsettled]) settle(refusal)
  }
}

export function refuse(
  code: ErrorCode,
  detail: string,
  members?: Readonly<Record<string, string | number>>,
): Refusal {
  const committed: Committed = ERRORS[code].committed
  return members === undefined
    ? { ok: false, code, detail, committed }
    : { ok: false, code, detail, committed, members }
}

/** What an error says, as an answer; undefined for errors that are no answers. */
export function refusalOf(error: unknown): Refusal | undefined {
  if (!(error instanceof ServiceError)) return undefined
  const { code, message, committed, options } = error
  const base = { ok: false, code, detail: message, committed } as const
  return options.members === undefined ? base : { ...base, members: options.members }
}
