/** The lease of one registration: renewed in time, and known to be lost as soon as that can be known. */
import type { Clock } from '../env/clock.ts'
import type { Logger } from '../env/logger.ts'
import { whyOf } from '../lib/why.ts'
import type { AwaitableMetadataView, MetadataImage } from '../metadata/metadata-image.ts'
import type { Lease } from '../metadata/metadata-store.ts'

export interface HeldLeaseDeps {
  readonly metadata: AwaitableMetadataView
  readonly clock: Clock
  readonly logger: Logger
}

export interface HeldLeaseOptions {
  readonly nodeId: number
  readonly incarnation: number
  readonly lease: Lease
  readonly ttlMs: number
  /** When the lease was asked for, on the monotonic clock: it lasts from then on, not from the answer. */
  readonly grantedMs: number
}

const RENEWALS_PER_TTL = 3
/** How often a renewal that fails at once, and one that nobody answers, is tried in that time. */
const RETRIES_PER_TTL = 10
const TIMEOUTS_PER_TTL = 5
/** Share of the time to live after which a lease that was not renewed vouches for nothing. */
const FRESH_SHARE = 0.6

export class HeldLease {
  readonly lease: Lease
  readonly #deps: HeldLeaseDeps
  readonly #options: HeldLeaseOptions
  readonly #lost = new AbortController()
  #renewedMs: number

  constructor(deps: HeldLeaseDeps, options: HeldLeaseOptions) {
    this.#deps = deps
    this.#options = options
    this.lease = options.lease
    this.#renewedMs = options.grantedMs
  }

  /** Aborts when the registration has ended. */
  get lost(): AbortSignal {
    return this.#lost.signal
  }

  /** The registration is to end, whatever the lease has left. */
  surrender(): void {
    this.#lost.abort()
  }

  /** On the monotonic clock: when the last renewal that succeeded was sent. */
  get renewedMs(): number {
    return this.#renewedMs
  }

  /** `nowMs` is on the monotonic clock. */
  isFresh(nowMs: number): boolean {
    return !this.lost.aborted && nowMs - this.#renewedMs <= FRESH_SHARE * this.#options.ttlMs
  }

  /**
   * Renews until the registration has ended, and then resolves; rejects with the signal's reason on
   * abort. A store that does not answer ends nothing: it may well keep the lease meanwhile.
   */
  async run(signal: AbortSignal): Promise<void> {
    const unfollow = this.#deps.metadata.onChange((image) => this.#look(image))
    try {
      this.#look(this.#deps.metadata.image)
      await this.#renew(AbortSignal.any([signal, this.lost]))
    } catch (error) {
      if (signal.aborted || !this.lost.aborted) throw error
    } finally {
      unfollow()
    }
  }

  async #renew(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#deps
    const { ttlMs } = this.#options
    let failures = 0
    for (let dueMs = this.#renewedMs + ttlMs / RENEWALS_PER_TTL; ; ) {
      await clock.sleep(Math.max(0, dueMs - clock.monotonicMs()), signal)
      const sentMs = clock.monotonicMs()
      const isAlive = await this.#keepAlive(signal).catch((error: unknown) => {
        signal.throwIfAborted()
        const why = whyOf(error)
        if (failures++ === 0) logger.warn({ why }, 'the lease of this node was not renewed')
        return undefined
      })
      if (isAlive === false) {
        this.#lost.abort()
        return
      }
      if (isAlive === true) {
        if (failures > 0) logger.info({ failures }, 'the lease of this node is renewed again')
        failures = 0
        this.#renewedMs = sentMs
        dueMs = sentMs + ttlMs / RENEWALS_PER_TTL
      } else dueMs = sentMs + ttlMs / RETRIES_PER_TTL
    }
  }

  async #keepAlive(signal: AbortSignal): Promise<boolean> {
    const { clock } = this.#deps
    const late = new AbortController()
    const timer = clock.timer(this.#options.ttlMs / TIMEOUTS_PER_TTL, () =>
      late.abort(new Error('the metadata store did not answer in time')),
    )
    try {
      return await this.lease.keepAlive(AbortSignal.any([signal, late.signal]))
    } finally {
      timer.cancel()
    }
  }

  /** A key that was removed ends the registration as well, whatever becomes of the lease. */
  #look({ version, nodes }: MetadataImage): void {
    const { nodeId, incarnation } = this.#options
    if (version >= incarnation && nodes.get(nodeId)?.incarnation !== incarnation) {
      this.#lost.abort()
    }
  }
}
