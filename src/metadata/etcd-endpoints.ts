/**
 * Calls to the members of an etcd cluster: one at a time until it fails, each try with a time limit,
 * the next member when it is safe to try again.
 */
import type { Clock } from '../env/clock.ts'
import type { Random } from '../env/random.ts'
import { assert } from '../lib/assert.ts'
import { ServiceError } from '../lib/service-error.ts'
import { EtcdError, etcdErrorOf } from './etcd-error.ts'
import type { GatewayRequest } from './etcd-gateway.ts'
import type { EtcdHttp, EtcdHttpAnswer } from './etcd-http.ts'
import { NotSentError } from './etcd-http.ts'
import type { EtcdUser } from './etcd-token.ts'
import { EtcdToken } from './etcd-token.ts'

export interface EtcdEndpointsDeps {
  readonly http: EtcdHttp
  readonly clock: Clock
  readonly random: Random
}

export interface EtcdEndpointsOptions {
  /** Origins of members, as `https://host:port`. */
  readonly endpoints: readonly string[]
  /** Of one try, from its start to the end of the answer. */
  readonly callTimeoutMs: number
  readonly user?: EtcdUser
}

export interface CallOptions {
  /** Doing it twice is as good as once, so another try is safe after one of unknown outcome. */
  readonly isRepeatable: boolean
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

export interface EtcdStream {
  readonly endpoint: string
  readonly body: AsyncIterable<Uint8Array>
}

/** The call may have had its effect, or may have it yet. */
export class UnknownOutcomeError extends Error {
  override readonly name = 'UnknownOutcomeError'
}

const ANSWER_BYTES_MAX = 256 * 1024 * 1024
const RETRY_PAUSE_MS = 100
const RETRY_AFTER_MS = 1_000

export class EtcdEndpoints {
  readonly #deps: EtcdEndpointsDeps
  readonly #options: EtcdEndpointsOptions
  readonly #token: EtcdToken | undefined
  readonly #closed = new AbortController()
  #current: number

  constructor(deps: EtcdEndpointsDeps, options: EtcdEndpointsOptions) {
    const { endpoints, user } = options
    assert(endpoints.length > 0, 'etcd has no endpoints')
    this.#deps = deps
    this.#options = options
    // Chance spreads the nodes of a cluster over the members.
    this.#current = Math.floor(deps.random.float() * endpoints.length)
    this.#token =
      user && new EtcdToken(user, (request, endpoint) => this.#post(endpoint, request, {}))
  }

  /** Aborts when this is closed; its reason says so. */
  get closed(): AbortSignal {
    return this.#closed.signal
  }

  /**
   * @throws EtcdError when etcd refused and nothing was done; ServiceError `metadata-unavailable` when
   *   nothing was done (or it is repeatable) and no member answered; UnknownOutcomeError
   */
  async call<Answer>(request: GatewayRequest<Answer>, options: CallOptions): Promise<Answer> {
    const { endpoints } = this.#options
    const { signal = this.closed } = options
    let failure: unknown
    let isTokenRenewed = false
    for (let attempt = 0; attempt <= endpoints.length; attempt++) {
      if (attempt === endpoints.length) await this.#pause(signal)
      const endpoint = this.#endpoint()
      try {
        return await this.#authorized(endpoint, request, options)
      } catch (error) {
        signal.throwIfAborted()
        this.closed.throwIfAborted()
        const fate = fateOf(error)
        if (fate === 'refused' || (fate === 'token' && isTokenRenewed)) throw error
        if (fate === 'token') isTokenRenewed = true
        else this.leave(endpoint)
        if (fate === 'unknown' && !options.isRepeatable) {
          throw new UnknownOutcomeError(`nobody knows what became of it: ${messageOf(error)}`, {
            cause: error,
          })
        }
        failure = error
      }
    }
    throw new ServiceError('metadata-unavailable', `etcd did not serve: ${messageOf(failure)}`, {
      retryAfterMs: RETRY_AFTER_MS,
      cause: failure,
    })
  }

  /** Opens a stream of the current member; no second try. @throws EtcdError, NotSentError and others */
  async open(request: GatewayRequest<unknown>, signal: AbortSignal): Promise<EtcdStream> {
    const endpoint = this.#endpoint()
    try {
      const { status, body } = await this.#send(endpoint, request, {
        isStream: true,
        signal: AbortSignal.any([this.closed, signal]),
        token: await this.#token?.get(endpoint),
      })
      if (status !== 200) throw etcdErrorOf(status, await readText(body))
      return { endpoint, body }
    } catch (error) {
      if (fateOf(error) === 'token') this.renewToken()
      else this.leave(endpoint)
      throw error
    }
  }

  /** What comes next asks another member, unless that is so already. */
  leave(endpoint: string): void {
    if (this.#endpoint() !== endpoint) return
    this.#current = (this.#current + 1) % this.#options.endpoints.length
  }

  /** The token is asked for anew before it is used again. */
  renewToken(): void {
    this.#token?.forget()
  }

  async close(reason: Error): Promise<void> {
    this.#closed.abort(reason)
    await this.#deps.http.close()
  }

  #endpoint(): string {
    return this.#options.endpoints[this.#current] as string
  }

  async #authorized<Answer>(
    endpoint: string,
    request: GatewayRequest<Answer>,
    options: CallOptions,
  ): Promise<Answer> {
    const token = await this.#token?.get(endpoint)
    try {
      return await this.#post(endpoint, request, { ...options, token })
    } catch (error) {
      if (fateOf(error) === 'token') this.#token?.forget(token)
      throw error
    }
  }

  async #post<Answer>(
    endpoint: string,
    request: GatewayRequest<Answer>,
    options: Partial<CallOptions> & { readonly token?: string | undefined },
  ): Promise<Answer> {
    const { timeoutMs = this.#options.callTimeoutMs, signal = this.closed, token } = options
    const late = new AbortController()
    const timer = this.#deps.clock.timer(timeoutMs, () =>
      late.abort(new Error(`${endpoint} did not answer within ${timeoutMs} ms`)),
    )
    try {
      const { status, body } = await this.#send(endpoint, request, {
        isStream: false,
        signal: AbortSignal.any([this.closed, signal, late.signal]),
        token,
      })
      const text = await readText(body)
      if (status !== 200) throw etcdErrorOf(status, text)
      return decode(request, text)
    } finally {
      timer.cancel()
    }
  }

  #send(
    endpoint: string,
    request: GatewayRequest<unknown>,
    options: {
      readonly isStream: boolean
      readonly signal: AbortSignal
      readonly token: string | undefined
    },
  ): Promise<EtcdHttpAnswer> {
    const { isStream, signal, token } = options
    signal.throwIfAborted()
    // A member that has lost its cluster must say so instead of keeping us waiting.
    const headers = {
      'grpc-metadata-hasleader': 'true',
      ...(token === undefined ? {} : { authorization: token }),
    }
    const { path, body } = request
    return this.#deps.http.post({ endpoint, path, headers, body, isStream }, signal)
  }

  #pause(signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#deps
    const pauseMs = RETRY_PAUSE_MS * (0.5 + random.float())
    return clock.sleep(pauseMs, AbortSignal.any([signal, this.closed]))
  }
}

function fateOf(error: unknown): EtcdError['fate'] {
  if (error instanceof EtcdError) return error.fate
  return error instanceof NotSentError ? 'refused-here' : 'unknown'
}

/** The answer to a call may also be a stream of one message, in which an error comes with status 200. */
function decode<Answer>(request: GatewayRequest<Answer>, text: string): Answer {
  const answer: unknown = JSON.parse(text)
  if (typeof answer === 'object' && answer !== null && 'error' in answer) {
    throw etcdErrorOf(200, text)
  }
  return request.decode(answer)
}

async function readText(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of body) {
    bytes += chunk.length
    if (bytes > ANSWER_BYTES_MAX) throw new Error('the answer is too large')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
