/**
 * The calling side of the internal protocol: says who calls and whom, signs it, watches the deadline,
 * and tells apart what was certainly not done from what may have been.
 */
import type { Clock } from '../env/clock.ts'
import type { Logger } from '../env/logger.ts'
import type { InternalAnswer, Lane, Transport } from '../env/transport.ts'
import { TransportError } from '../env/transport.ts'
import { MAX_REFUSAL_BYTES } from '../wire/refusal-json.ts'
import type { CallScope } from './call-scope.ts'
import { CallScopes } from './call-scope.ts'
import { parseErrorAnswer } from './error-answer.ts'
import { gatherBody } from './gather-body.ts'
import type { CallTarget, InternalIdentity } from './identity.ts'
import { ANY_CLUSTER, HEADERS, PROTOCOL_VERSION, parseCount } from './identity.ts'
import { InternalCallError } from './internal-call-error.ts'
import { InternalRefusal } from './internal-refusal.ts'
import { OncePerPeer } from './once-per-peer.ts'
import type { RequestSignature } from './request-signature.ts'

export interface InternalClientDeps {
  readonly clock: Clock
  readonly logger: Logger
  readonly transport: Transport
  readonly signature: RequestSignature
  readonly identity: InternalIdentity
}

export interface CallOptions {
  readonly lane: Lane
  /** On this process's monotonic clock; for the whole call with its answer. */
  readonly deadlineMs: number
  readonly signal: AbortSignal
}

/** The body of an answer, while it comes. */
export interface AnswerBody {
  /** Undefined if the answer does not say. */
  readonly sizeBytes: number | undefined
  /** To be read once, to the end or until it is left. Rejects with InternalCallError. */
  readonly chunks: InternalAnswer['body']
}

/** Answers longer than this are not from a node of ours; bodies of calls are bounded alike. */
export const MAX_ANSWER_BYTES = 64 * 1024 * 1024

export class InternalClient {
  readonly #deps: InternalClientDeps
  readonly #refused = new OncePerPeer()
  readonly #scopes: CallScopes

  constructor(deps: InternalClientDeps) {
    this.#deps = deps
    this.#scopes = new CallScopes(deps.clock)
  }

  /**
   * Resolves with the head of the answer; the deadline and the signal hold for its body too.
   * @throws ServiceError as the node answered it
   * @throws InternalCallError for everything else, an abort included
   */
  async call(
    target: CallTarget,
    path: string,
    body: readonly Uint8Array[],
    options: CallOptions,
  ): Promise<AnswerBody> {
    const { clock, transport } = this.#deps
    const leftMs = Math.floor(options.deadlineMs - clock.monotonicMs())
    if (leftMs <= 0) throw tooLate()
    const headers = this.#headers(target, path, body, leftMs)
    const scope = this.#scopes.begin(options.signal, options.deadlineMs)
    try {
      const call = { path, headers, body }
      const answer = await transport.call(target.url, call, options.lane, scope.signal)
      if (answer.status !== 200) throw await this.#refusalOf(target, answer)
      const sizeBytes = parseCount(answer.headers['content-length'])
      return { sizeBytes, chunks: within(scope, answer.body) }
    } catch (error) {
      const failure = callError(error, scope)
      scope.end()
      throw failure
    }
  }

  /** As `call`, with the whole body in one piece. */
  async callWhole(
    target: CallTarget,
    path: string,
    body: readonly Uint8Array[],
    options: CallOptions,
  ): Promise<Uint8Array> {
    const { sizeBytes, chunks } = await this.call(target, path, body, options)
    try {
      return await gatherBody(chunks, {
        expectedBytes: sizeBytes,
        limitBytes: MAX_ANSWER_BYTES,
      })
    } catch (error) {
      throw error instanceof InternalRefusal ? brokenAnswer(error.message, error) : error
    }
  }

  #headers(
    target: CallTarget,
    path: string,
    body: readonly Uint8Array[],
    leftMs: number,
  ): Record<string, string> {
    const { identity, signature } = this.#deps
    const headers: Record<string, string> = {
      [HEADERS.cluster]: identity.clusterId ?? ANY_CLUSTER,
      [HEADERS.node]: String(identity.nodeId),
      [HEADERS.incarnation]: String(identity.incarnation),
      [HEADERS.target]: String(target.incarnation),
      [HEADERS.protocol]: PROTOCOL_VERSION,
      [HEADERS.deadline]: String(leftMs),
    }
    headers[HEADERS.auth] = signature.sign(path, headers, body)
    return headers
  }

  /** What an answer that is no success says. */
  async #refusalOf(target: CallTarget, answer: InternalAnswer): Promise<Error> {
    const body = await gatherBody(answer.body, {
      expectedBytes: parseCount(answer.headers['content-length']),
      limitBytes: MAX_REFUSAL_BYTES,
    })
    const error = parseErrorAnswer(body)
    if (error === undefined)
      return brokenAnswer(`An answer of status ${answer.status} is not ours.`)
    if (!(error instanceof InternalRefusal)) return error
    const { code, message } = error
    if (this.#refused.isFirst(`${code} ${target.url}`)) {
      this.#deps.logger.warn({ code, url: target.url }, `a node refuses our calls: ${message}`)
    }
    return new InternalCallError('refused', message, { definitelyNotDone: true, refusal: code })
  }
}

/** The scope ends with the body. */
function within(scope: CallScope, body: InternalAnswer['body']): InternalAnswer['body'] {
  if (!isWhole(body)) return scoped(body, scope)
  scope.end()
  return body
}

function isWhole(body: InternalAnswer['body']): body is readonly Uint8Array[] {
  return Array.isArray(body)
}

async function* scoped(
  body: AsyncIterable<Uint8Array>,
  scope: CallScope,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* body
  } catch (error) {
    throw callError(error, scope)
  } finally {
    scope.end()
  }
}

function callError(error: unknown, scope: CallScope): Error {
  if (error instanceof InternalRefusal) return brokenAnswer(error.message, error)
  if (!(error instanceof TransportError)) return error as Error
  const definitelyNotDone = !error.sent
  const reason = scope.stopped ?? (definitelyNotDone ? 'unreachable' : 'broken')
  return new InternalCallError(reason, error.message, { definitelyNotDone, cause: error })
}

function brokenAnswer(message: string, cause?: unknown): InternalCallError {
  return new InternalCallError('broken', message, { definitelyNotDone: false, cause })
}

function tooLate(): InternalCallError {
  return new InternalCallError('deadline', 'The deadline has passed; nothing was sent.', {
    definitelyNotDone: true,
  })
}
