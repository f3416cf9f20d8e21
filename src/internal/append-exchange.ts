/**
 * One append call towards a node: settles each request as its result comes. Whatever goes wrong,
 * each settles once, with the truth about whether its records may have been written.
 */
import type { Committed } from '../lib/service-error.ts'
import { ServiceError } from '../lib/service-error.ts'
import { encodeAppend } from '../wire/append-codec.ts'
import { AppendFrameReader } from '../wire/append-frames.ts'
import type { Appended, AppendRequest, Refusal } from '../wire/internal.ts'
import { MalformedMessage } from '../wire/message.ts'
import type { CallTarget } from './identity.ts'
import { InternalCallError } from './internal-call-error.ts'
import type { AnswerBody, InternalClient } from './internal-client.ts'
import { PATHS } from './paths.ts'

type Result = Appended | Refusal

export class AppendExchange {
  readonly #settlers: ((result: Result) => void)[] = []
  readonly #isOpen: boolean[] = []
  #open: number
  readonly #admitted = Promise.withResolvers<void>()
  /** One for each request, in order; they never reject. */
  readonly results: readonly Promise<Result>[]
  /**
   * Resolves when the node has given each request its offset or refused it, or when the call has
   * failed: what is sent to this node from then on comes behind. Never rejects.
   */
  readonly admitted: Promise<void> = this.#admitted.promise

  constructor(count: number) {
    this.#open = count
    const results: Promise<Result>[] = []
    for (let i = 0; i < count; i++) {
      const { promise, resolve } = Promise.withResolvers<Result>()
      results.push(promise)
      this.#settlers.push(resolve)
      this.#isOpen.push(true)
    }
    this.results = results
  }

  async run(
    client: InternalClient,
    target: CallTarget,
    requests: readonly AppendRequest[],
    options: { readonly deadlineMs: number; readonly signal: AbortSignal },
  ): Promise<void> {
    try {
      const parts = encodeAppend(requests)
      await this.#read(
        await client.call(target, PATHS.append, parts, { lane: 'append', ...options }),
      )
    } catch (error) {
      this.#fail(error)
    } finally {
      this.#admitted.resolve()
    }
  }

  async #read({ chunks }: AnswerBody): Promise<void> {
    this.#admitted.resolve()
    const reader = new AppendFrameReader()
    for await (const chunk of chunks) {
      for (const { index, result } of reader.push(chunk)) {
        if (this.#isOpen[index] !== true)
          throw new MalformedMessage('a result belongs to no request')
        this.#settle(index, result)
      }
    }
    if (this.#open > 0) throw new MalformedMessage('the answer ended before all results had come')
  }

  #settle(index: number, result: Result): void {
    this.#isOpen[index] = false
    this.#open--
    this.#settlers[index]?.(result)
  }

  #fail(error: unknown): void {
    if (this.#open === 0) return
    const refusal = refusalOfFailure(error)
    this.#isOpen.forEach((isOpen, index) => {
      if (isOpen) this.#settle(index, refusal)
    })
  }
}

function refusalOfFailure(error: unknown): Refusal {
  if (error instanceof ServiceError) {
    const { code, message: detail, committed, options } = error
    const { members } = options
    return { ok: false, code, detail, committed, ...(members !== undefined && { members }) }
  }
  if (error instanceof InternalCallError && error.definitelyNotDone) {
    return refusal(
      'partition-unavailable',
      `The leader did not take the call: ${error.message}`,
      'no',
    )
  }
  const why = error instanceof Error ? error.message : 'the call failed'
  return refusal('outcome-unknown', `The leader did not answer to the end: ${why}`, 'unknown')
}

function refusal(code: Refusal['code'], detail: string, committed: Committed): Refusal {
  return { ok: false, code, detail, committed }
}
