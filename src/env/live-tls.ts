/** Certificates and keys that may be replaced while the process runs; connections that are open keep theirs. */
import { buildConnector } from 'undici'

export class LiveTls<T extends object> {
  readonly #listeners = new Set<(now: T) => void>()
  #current: T

  constructor(current: T) {
    this.#current = current
  }

  get current(): T {
    return this.#current
  }

  /** Calls back after each change until the returned function is called. */
  onChange(listener: (now: T) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  replace(next: T): void {
    this.#current = next
    for (const listener of this.#listeners) listener(next)
  }
}

/** Opens each connection with what is current then. */
export function liveConnector(
  tls: Pick<LiveTls<object>, 'current'>,
  options: { readonly timeout?: number } = {},
): buildConnector.connector {
  let builtFor: object | undefined
  let connect: buildConnector.connector | undefined
  return (target, callback) => {
    const { current } = tls
    // One for all connections of the same certificates, as it remembers their sessions.
    if (connect === undefined || builtFor !== current) {
      connect = buildConnector({ allowH2: false, ...options, ...current })
      builtFor = current
    }
    connect(target, callback)
  }
}
