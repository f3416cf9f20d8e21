/** One call towards the coordinators of a node: settles each of its group calls as the result comes. */
import { ServiceError } from '../lib/service-error.ts'
import type { GroupCallMessage } from '../wire/group-call-codec.ts'
import { encodeGroupCalls, readGroupReply } from '../wire/group-call-codec.ts'
import type { GroupReply } from '../wire/group-calls.ts'
import { isRepeatable } from '../wire/group-calls.ts'
import type { GroupFrame } from '../wire/group-frames.ts'
import { GroupFrameReader } from '../wire/group-frames.ts'
import { MalformedMessage } from '../wire/message.ts'
import { serviceErrorOf } from './error-answer.ts'
import type { CallTarget } from './identity.ts'
import { InternalCallError } from './internal-call-error.ts'
import type { CallOptions, InternalClient } from './internal-client.ts'
import { PATHS } from './paths.ts'

export interface GroupCallResults {
  /** One for each call, in order. They reject with ServiceError. */
  readonly results: readonly Promise<GroupReply>[]
}

type Settler = PromiseWithResolvers<GroupReply>

export class GroupExchange implements GroupCallResults {
  readonly #messages: readonly GroupCallMessage[]
  readonly #settlers: (Settler | undefined)[]
  #open: number
  readonly results: readonly Promise<GroupReply>[]

  constructor(messages: readonly GroupCallMessage[]) {
    const settlers = messages.map(() => Promise.withResolvers<GroupReply>())
    this.#messages = messages
    this.#settlers = settlers
    this.#open = settlers.length
    this.results = settlers.map(({ promise }) => promise)
  }

  async run(client: InternalClient, target: CallTarget, options: CallOptions): Promise<void> {
    try {
      const body = [encodeGroupCalls(this.#messages)]
      const { chunks } = await client.call(target, PATHS.groupCalls, body, options)
      const reader = new GroupFrameReader()
      for await (const chunk of chunks) {
        for (const frame of reader.push(chunk)) this.#settle(frame)
      }
      if (this.#open > 0) throw new MalformedMessage('the answer ended before all results had come')
    } catch (error) {
      this.#fail(error)
    }
  }

  #settle({ index, result }: GroupFrame): void {
    const settler = this.#settlers[index]
    const message = this.#messages[index]
    if (settler === undefined || message === undefined) {
      throw new MalformedMessage('a result belongs to no call')
    }
    if ('refusal' in result) settler.reject(serviceErrorOf(result.refusal))
    else settler.resolve(readGroupReply(message.call.kind, result.reply))
    this.#settlers[index] = undefined
    this.#open--
  }

  /** What is open ends with the truth about whether it may have been carried out. */
  #fail(error: unknown): void {
    for (const [index, settler] of this.#settlers.entries()) {
      const kind = this.#messages[index]?.call.kind
      settler?.reject(failureOf(error, kind !== undefined && isRepeatable(kind)))
    }
  }
}

function failureOf(error: unknown, mayRepeat: boolean): ServiceError {
  if (error instanceof ServiceError) return error
  const notDone = error instanceof InternalCallError && error.definitelyNotDone
  const code = notDone || mayRepeat ? 'partition-unavailable' : 'outcome-unknown'
  const why = error instanceof Error ? error.message : 'the call failed'
  return new ServiceError(code, `the coordinator did not answer: ${why}`, { cause: error })
}
