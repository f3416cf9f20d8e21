/** Leases of the embedded store: who is alive until when, and which keys end with it. In memory. */
import type { Clock, Timer } from '../env/clock.ts'

interface LeaseState {
  readonly ttlMs: number
  readonly keys: Set<string>
  /** On the monotonic clock. */
  deadlineMs: number
  timer: Timer
}

export class LeaseTable {
  readonly #clock: Clock
  readonly #expire: (id: string, keys: readonly string[]) => void
  readonly #leases = new Map<string, LeaseState>()

  /** Calls `expire` once for each lease that ends without being revoked. */
  constructor(clock: Clock, expire: (id: string, keys: readonly string[]) => void) {
    this.#clock = clock
    this.#expire = expire
  }

  grant(id: string, ttlMs: number): void {
    const deadlineMs = this.#clock.monotonicMs() + ttlMs
    const timer = this.#clock.timer(ttlMs, () => this.#check(id))
    this.#leases.set(id, { ttlMs, keys: new Set(), deadlineMs, timer })
  }

  /** False when the lease is gone; one whose time has passed ends here even if its timer is late. */
  keepAlive(id: string): boolean {
    if (!this.isAlive(id)) return false
    const lease = this.#leases.get(id) as LeaseState
    lease.deadlineMs = this.#clock.monotonicMs() + lease.ttlMs
    return true
  }

  isAlive(id: string): boolean {
    const lease = this.#leases.get(id)
    if (lease === undefined) return false
    if (this.#clock.monotonicMs() < lease.deadlineMs) return true
    this.#end(id, lease)
    return false
  }

  /** Ends the lease without calling `expire`; gives the keys that must end with it. */
  revoke(id: string): readonly string[] {
    const lease = this.#leases.get(id)
    if (lease === undefined) return []
    lease.timer.cancel()
    this.#leases.delete(id)
    return [...lease.keys]
  }

  /** A key belongs to the lease that it was last written with; '' for none. */
  attach(key: string, from: string, to: string): void {
    if (from === to) return
    this.#leases.get(from)?.keys.delete(key)
    this.#leases.get(to)?.keys.add(key)
  }

  close(): void {
    for (const lease of this.#leases.values()) lease.timer.cancel()
    this.#leases.clear()
  }

  /** A kept-alive lease does not move its timer; it is looked at again when the old one fires. */
  #check(id: string): void {
    const lease = this.#leases.get(id)
    if (lease === undefined || !this.isAlive(id)) return
    const leftMs = lease.deadlineMs - this.#clock.monotonicMs()
    lease.timer = this.#clock.timer(leftMs, () => this.#check(id))
  }

  #end(id: string, lease: LeaseState): void {
    lease.timer.cancel()
    this.#leases.delete(id)
    this.#expire(id, [...lease.keys])
  }
}
