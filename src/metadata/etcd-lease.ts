/** A lease of etcd's. Its id is text, as it exceeds what a number holds. */
import type { EtcdEndpoints } from './etcd-endpoints.ts'
import { EtcdError, serviceErrorOf } from './etcd-error.ts'
import { grantLeaseRequest, keepAliveRequest, revokeLeaseRequest } from './etcd-gateway.ts'
import type { Lease } from './metadata-store.ts'

/** Tries of a renewal that fit into the time to live. */
const TRIES_PER_TTL = 4

export class EtcdLease implements Lease {
  readonly id: string
  readonly #endpoints: EtcdEndpoints
  readonly #tryTimeoutMs: number

  /** etcd counts whole seconds, and grants no fewer than its election takes. */
  static async grant(
    endpoints: EtcdEndpoints,
    ttlMs: number,
    callTimeoutMs: number,
  ): Promise<EtcdLease> {
    // One that was granted without our knowledge holds no key, and ends by itself.
    const granted = await endpoints.call(grantLeaseRequest(Math.ceil(ttlMs / 1_000)), {
      isRepeatable: true,
    })
    const tryTimeoutMs = Math.min(callTimeoutMs, (granted.ttlSeconds * 1_000) / TRIES_PER_TTL)
    return new EtcdLease(endpoints, granted.id, tryTimeoutMs)
  }

  private constructor(endpoints: EtcdEndpoints, id: string, tryTimeoutMs: number) {
    this.id = id
    this.#endpoints = endpoints
    this.#tryTimeoutMs = tryTimeoutMs
  }

  /** @throws ServiceError `metadata-unavailable` when no member answered: the lease may live or not */
  async keepAlive(signal: AbortSignal): Promise<boolean> {
    try {
      return await this.#endpoints.call(keepAliveRequest(this.id), {
        isRepeatable: true,
        timeoutMs: this.#tryTimeoutMs,
        signal,
      })
    } catch (error) {
      if (isGone(error)) return false
      throw serviceErrorOf(error)
    }
  }

  /** @throws ServiceError as above */
  async revoke(): Promise<void> {
    try {
      await this.#endpoints.call(revokeLeaseRequest(this.id), { isRepeatable: true })
    } catch (error) {
      if (!isGone(error)) throw serviceErrorOf(error)
    }
  }
}

function isGone(error: unknown): boolean {
  return error instanceof EtcdError && error.isLeaseGone
}
