/** The token that etcd gives for a name and a password: asked for once, by whoever comes first. */
import { EtcdError } from './etcd-error.ts'
import type { GatewayRequest } from './etcd-gateway.ts'
import { authenticateRequest } from './etcd-gateway.ts'
import { NotSentError } from './etcd-http.ts'

export interface EtcdUser {
  readonly name: string
  readonly password: string
}

export class EtcdToken {
  readonly #user: EtcdUser
  readonly #post: (request: GatewayRequest<string>, endpoint: string) => Promise<string>
  #pending: Promise<string | undefined> | undefined
  #token: string | undefined

  /** @param post one try against one member, with a time limit */
  constructor(
    user: EtcdUser,
    post: (request: GatewayRequest<string>, endpoint: string) => Promise<string>,
  ) {
    this.#user = user
    this.#post = post
  }

  /**
   * undefined: the cluster has authentication switched off.
   * @throws EtcdError when the password is not right; else NotSentError, for what the token is for
   */
  get(endpoint: string): Promise<string | undefined> {
    this.#pending ??= this.#ask(endpoint)
    return this.#pending
  }

  /** @param token forgotten only if it is still the current one; whichever is, if left out */
  forget(token = this.#token): void {
    if (token === this.#token) this.#pending = undefined
  }

  async #ask(endpoint: string): Promise<string | undefined> {
    const { name, password } = this.#user
    this.#token = undefined
    try {
      this.#token = await this.#post(authenticateRequest(name, password), endpoint)
    } catch (error) {
      if (!(error instanceof EtcdError) || !error.isWithoutAuth) {
        this.#pending = undefined
        if (error instanceof EtcdError && error.fate === 'refused') throw error
        throw new NotSentError(`${endpoint} gave no token`, { cause: error })
      }
    }
    return this.#token
  }
}
