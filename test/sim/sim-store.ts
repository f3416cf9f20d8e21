/**
 * The metadata store of a simulated cluster: etcd's semantics in memory on virtual time. Each node
 * reaches it through a handle of its own, which has the faults; the store itself always agrees with
 * itself, like the quorum behind etcd.
 */
import type {
  Change,
  Entry,
  Transaction,
  TransactionOutcome,
} from '../../src/metadata/metadata-store.ts'
import { CompactedError, LeaseGoneError } from '../../src/metadata/metadata-store.ts'
import type { SimClock } from './sim-clock.ts'

interface StoredEntry extends Entry {
  readonly leaseId: string
}

interface LeaseState {
  readonly ttlMs: number
  readonly keys: Set<string>
  deadlineMs: number
}

/** A transaction that changed something, with what each of its keys was before. */
export interface Commit {
  readonly change: Change
  readonly before: ReadonlyMap<string, Entry | undefined>
  readonly author: string
}

/** As many as etcd takes by default. */
const MAX_OPERATIONS = 128

export class SimStore {
  readonly maxOperations = MAX_OPERATIONS
  /** Called for each transaction that changes something, before anybody else learns of it. */
  onCommit: (commit: Commit) => void = () => undefined
  readonly #clock: SimClock
  readonly #entries = new Map<string, StoredEntry>()
  readonly #leases = new Map<string, LeaseState>()
  readonly #watchers = new Set<() => void>()
  #history: Change[] = []
  #revision = 0
  #compacted = 0
  #leaseCount = 0
  /** Without a quorum no lease ends. */
  #isFrozen: boolean = false

  constructor(clock: SimClock) {
    this.#clock = clock
  }

  get revision(): number {
    return this.#revision
  }

  get(key: string): Entry | undefined {
    const entry = this.#entries.get(key)
    return entry && withoutLease(entry)
  }

  list(prefix: string): { entries: Entry[]; revision: number } {
    const entries = [...this.#entries.values()]
      .filter(({ key }) => key.startsWith(prefix))
      .sort((a, b) => (a.key < b.key ? -1 : 1))
      .map(withoutLease)
    return { entries, revision: this.#revision }
  }

  transact(transaction: Transaction, author: string): TransactionOutcome {
    checkForm(transaction)
    for (const { leaseId } of transaction.put) {
      if (leaseId !== undefined && !this.#leases.has(leaseId)) {
        throw new LeaseGoneError(`the lease ${leaseId} has ended`)
      }
    }
    const holds = transaction.compare.every(
      ({ key, target, equals }) => (this.#entries.get(key)?.[target] ?? 0) === equals,
    )
    if (holds) this.#write(transaction, author)
    return { succeeded: holds, revision: this.#revision }
  }

  /** @throws CompactedError */
  changeAt(revision: number): Change | undefined {
    if (revision > this.#revision) return undefined
    const change = this.#history[revision - this.#compacted - 1]
    if (change === undefined) throw new CompactedError(`revision ${revision} was compacted`)
    return change
  }

  /** Calls back after each change, until the returned function is called. */
  subscribe(wake: () => void): () => void {
    this.#watchers.add(wake)
    return () => this.#watchers.delete(wake)
  }

  /** Forgets the history up to now. */
  compact(): void {
    this.#history = []
    this.#compacted = this.#revision
  }

  grant(ttlMs: number): string {
    const id = `lease-${++this.#leaseCount}`
    const lease = { ttlMs, keys: new Set<string>(), deadlineMs: this.#clock.monotonicMs() + ttlMs }
    this.#leases.set(id, lease)
    this.#watchLease(id, lease)
    return id
  }

  keepAlive(id: string): boolean {
    const lease = this.#leases.get(id)
    if (lease === undefined) return false
    lease.deadlineMs = this.#clock.monotonicMs() + lease.ttlMs
    return true
  }

  revoke(id: string, author: string): void {
    const lease = this.#leases.get(id)
    if (lease === undefined) return
    this.#leases.delete(id)
    this.#write({ compare: [], put: [], remove: [...lease.keys] }, author)
  }

  /** The store loses its quorum: leases stand still. */
  freeze(): void {
    this.#isFrozen = true
  }

  /** A quorum is back under a new leader of the store, which gives every lease its whole time again. */
  thaw(): void {
    this.#isFrozen = false
    for (const lease of this.#leases.values()) {
      lease.deadlineMs = this.#clock.monotonicMs() + lease.ttlMs
    }
  }

  #watchLease(id: string, lease: LeaseState): void {
    const leftMs = lease.deadlineMs - this.#clock.monotonicMs()
    this.#clock.timer(Math.max(leftMs, 1), () => {
      if (!this.#leases.has(id)) return
      if (!this.#isFrozen && this.#clock.monotonicMs() >= lease.deadlineMs) this.revoke(id, 'store')
      else this.#watchLease(id, lease)
    })
  }

  #write({ put, remove = [] }: Transaction, author: string): void {
    const revision = this.#revision + 1
    const before = new Map<string, Entry | undefined>()
    const events: Change['events'][number][] = []
    for (const { key, value, leaseId = '' } of put) {
      const old = this.#entries.get(key)
      before.set(key, old)
      const createRevision = old?.createRevision ?? revision
      const entry = { key, value, createRevision, modRevision: revision, leaseId }
      this.#attach(key, old?.leaseId ?? '', leaseId)
      this.#entries.set(key, entry)
      events.push({ key, entry: withoutLease(entry) })
    }
    for (const key of remove) {
      const old = this.#entries.get(key)
      if (old === undefined) continue
      before.set(key, old)
      this.#attach(key, old.leaseId, '')
      this.#entries.delete(key)
      events.push({ key, entry: undefined })
    }
    if (events.length === 0) return
    this.#revision = revision
    const change: Change = { revision, events }
    this.#history.push(change)
    this.onCommit({ change, before, author })
    for (const wake of [...this.#watchers]) wake()
  }

  #attach(key: string, from: string, to: string): void {
    this.#leases.get(from)?.keys.delete(key)
    this.#leases.get(to)?.keys.add(key)
  }
}

function checkForm({ compare, put, remove = [] }: Transaction): void {
  if (compare.length > MAX_OPERATIONS || put.length + remove.length > MAX_OPERATIONS) {
    throw new Error(`a transaction has more than ${MAX_OPERATIONS} operations`)
  }
  const keys = new Set([...put.map(({ key }) => key), ...remove])
  if (keys.size !== put.length + remove.length) throw new Error('a transaction writes a key twice')
}

function withoutLease({ key, value, createRevision, modRevision }: StoredEntry): Entry {
  return { key, value, createRevision, modRevision }
}
