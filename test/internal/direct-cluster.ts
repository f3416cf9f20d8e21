/** A node and a caller of it with nothing but function calls in between, where tests can meddle. */
import type { Clock } from '../../src/env/clock.ts'
import { nullLogger } from '../../src/env/logger.ts'
import { SeededRandom } from '../../src/env/seeded-random.ts'
import type { InternalAnswer, InternalCall, Transport } from '../../src/env/transport.ts'
import { TransportError } from '../../src/env/transport.ts'
import type { CallTarget, InternalIdentity } from '../../src/internal/identity.ts'
import { InternalClient } from '../../src/internal/internal-client.ts'
import type { OutgoingAnswer } from '../../src/internal/internal-handler.ts'
import type { InternalServiceOptions } from '../../src/internal/internal-service.ts'
import { InternalService } from '../../src/internal/internal-service.ts'
import type { RequestSignatureOptions } from '../../src/internal/request-signature.ts'
import { RequestSignature } from '../../src/internal/request-signature.ts'

export const CLUSTER = 'cluster-of-tests'
export const SECRET = 'a secret of tests'

export interface DirectOptions {
  readonly clock: Clock
  readonly caller?: Partial<InternalIdentity>
  readonly callerSignature?: Partial<RequestSignatureOptions>
  readonly nodeSignature?: Partial<RequestSignatureOptions>
  readonly service?: InternalServiceOptions
}

export class DirectCluster {
  readonly service: InternalService
  readonly client: InternalClient
  readonly target: CallTarget = { url: 'direct:', incarnation: 7 }
  /** All that were delivered. */
  readonly calls: InternalCall[] = []
  /** Changes calls on their way. */
  meddle: (call: InternalCall) => InternalCall = (call) => call
  /** How the next call fails on its way instead of arriving. */
  failure: TransportError | undefined
  /** What becomes of the pieces of an answer on its way. */
  onAnswer: (body: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array> = (body) => body

  constructor({ clock, caller, callerSignature, nodeSignature, service }: DirectOptions) {
    const logger = nullLogger
    const sign = (seed: number, options: Partial<RequestSignatureOptions> = {}) => {
      const random = new SeededRandom(seed)
      return new RequestSignature({ clock, random }, { secret: SECRET, ...options })
    }
    const node = { clusterId: CLUSTER, nodeId: 2, incarnation: 7 }
    const signature = sign(1, nodeSignature)
    this.service = new InternalService({ clock, logger, signature, identity: node }, service)
    this.client = new InternalClient({
      clock,
      logger,
      transport: { call: this.#call, close: async () => undefined },
      signature: sign(2, callerSignature),
      identity: { clusterId: CLUSTER, nodeId: 1, incarnation: 5, ...caller },
    })
  }

  /** Delivers a call as it was. */
  async deliver(call: InternalCall, signal: AbortSignal): Promise<InternalAnswer> {
    const aborted = abortOf(signal)
    const answer = await Promise.race([this.service.handle({ ...call, signal }), aborted])
    return { ...answer, body: this.onAnswer(breakable(answer.body, aborted)) }
  }

  readonly #call: Transport['call'] = async (_url, call, _lane, signal) => {
    const { failure } = this
    this.failure = undefined
    if (failure !== undefined) throw failure
    const changed = this.meddle(call)
    this.calls.push(changed)
    return this.deliver(changed, signal)
  }
}

function abortOf(signal: AbortSignal): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>()
  signal.addEventListener('abort', () => reject(new TransportError('aborted', true)))
  promise.catch(() => undefined)
  return promise
}

async function* breakable(
  body: OutgoingAnswer['body'],
  aborted: Promise<never>,
): AsyncGenerator<Uint8Array, void, undefined> {
  if (Symbol.iterator in body) {
    yield* body
    return
  }
  const chunks = body[Symbol.asyncIterator]()
  try {
    for (;;) {
      const { value, done } = await Promise.race([chunks.next(), aborted])
      if (done === true) return
      yield value
    }
  } finally {
    void chunks.return?.()
  }
}
