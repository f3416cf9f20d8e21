/**
 * The metadata store of a single process, on SQLite. Calls are synchronous inside: each transaction
 * is decided and written without a turn in between, so they never interleave.
 */
import type { Clock } from '../env/clock.ts'
import { assert } from '../lib/assert.ts'
import { ServiceError } from '../lib/service-error.ts'
import { ThresholdWaiters } from '../lib/threshold-waiters.ts'
import type { HistoryLimits } from './change-history.ts'
import { ChangeHistory } from './change-history.ts'
import type { DatabaseOptions, StoredEntry } from './embedded-database.ts'
import { EmbeddedDatabase } from './embedded-database.ts'
import { LeaseTable } from './lease-table.ts'
import type {
  Change,
  Entry,
  Lease,
  MetadataStore,
  Transaction,
  TransactionOutcome,
} from './metadata-store.ts'
import { DamagedStoreError, LeaseGoneError } from './metadata-store.ts'
import { checkTransactionForm } from './transaction-form.ts'

export interface EmbeddedStoreOptions extends DatabaseOptions {
  readonly history?: HistoryLimits
  /** Enough for the largest topic in one transaction, so that a crash leaves nothing half made. */
  readonly maxOperations?: number
}

export interface EmbeddedStoreDeps {
  readonly clock: Clock
  /** The file can no longer be trusted or written; every later call rejects. The process should end. */
  readonly onFatal: (error: Error) => void
}

const MAX_OPERATIONS = 16_384
const HISTORY: HistoryLimits = { events: 50_000, characters: 16 * 1024 * 1024 }
const MAX_WATCHERS = 1_000
const EXPIRY_RETRY_MS = 1_000

export class EmbeddedStore implements MetadataStore {
  readonly maxOperations: number
  readonly #clock: Clock
  readonly #database: EmbeddedDatabase
  readonly #history: ChangeHistory
  readonly #leases: LeaseTable
  readonly #revisions: ThresholdWaiters
  readonly #ended = new AbortController()
  readonly #onFatal: (error: Error) => void
  readonly #openedAt: number
  #leaseCount = 0

  /**
   * Takes the file for this process alone and reads all of it. The folder must exist.
   * @throws DamagedStoreError, also when the file is foreign or missing; StoreRefusedError when it is in use, or newer
   */
  static open(deps: EmbeddedStoreDeps, options: EmbeddedStoreOptions): EmbeddedStore {
    const database = EmbeddedDatabase.open(options)
    try {
      return new EmbeddedStore(deps, options, database)
    } catch (error) {
      database.close()
      throw error
    }
  }

  private constructor(
    deps: EmbeddedStoreDeps,
    options: EmbeddedStoreOptions,
    database: EmbeddedDatabase,
  ) {
    this.maxOperations = options.maxOperations ?? MAX_OPERATIONS
    this.#database = database
    this.#onFatal = deps.onFatal
    this.#openedAt = database.revision
    this.#history = new ChangeHistory(database.revision, options.history ?? HISTORY)
    this.#revisions = new ThresholdWaiters(database.revision, MAX_WATCHERS)
    this.#clock = deps.clock
    this.#leases = new LeaseTable(deps.clock, (id, keys) => this.#expire(id, keys))
    // Only this process holds leases here, so those in the file ended with the process before it.
    const leased = database.list('').filter((entry) => entry.leaseId !== '')
    this.#write({ put: [], remove: leased.map((entry) => entry.key) })
  }

  async get(key: string): Promise<Entry | undefined> {
    this.#checkOpen()
    const entry = this.#read(() => this.#database.get(key))
    return entry && withoutLease(entry)
  }

  async list(prefix: string): Promise<{ entries: readonly Entry[]; revision: number }> {
    this.#checkOpen()
    const entries = this.#read(() => this.#database.list(prefix)).map(withoutLease)
    return { entries, revision: this.#database.revision }
  }

  async transact(transaction: Transaction): Promise<TransactionOutcome> {
    this.#checkOpen()
    checkTransactionForm(transaction, this.maxOperations)
    for (const { leaseId } of transaction.put) {
      if (leaseId !== undefined && !this.#leases.isAlive(leaseId)) {
        throw new LeaseGoneError(`the lease ${leaseId} has ended`)
      }
    }
    for (const { key, target, equals } of transaction.compare) {
      const entry = this.#read(() => this.#database.get(key))
      if ((entry?.[target] ?? 0) !== equals) {
        return { succeeded: false, revision: this.#database.revision }
      }
    }
    this.#write(transaction)
    return { succeeded: true, revision: this.#database.revision }
  }

  async *watch(prefix: string, fromRevision: number, signal: AbortSignal): AsyncIterable<Change> {
    const stop = AbortSignal.any([signal, this.#ended.signal])
    for (let revision = fromRevision; !signal.aborted; revision++) {
      this.#checkOpen()
      try {
        await this.#revisions.reached(revision, stop)
      } catch (error) {
        if (signal.aborted) return
        throw error
      }
      const change = this.#history.at(revision) as Change
      const events = change.events.filter(({ key }) => key.startsWith(prefix))
      if (events.length > 0) yield { revision, events }
    }
  }

  async lease(ttlMs: number): Promise<Lease> {
    this.#checkOpen()
    assert(ttlMs > 0, 'a lease needs a time to live')
    const id = `${this.#openedAt}-${++this.#leaseCount}`
    this.#leases.grant(id, ttlMs)
    return {
      id,
      keepAlive: async () => {
        this.#checkOpen()
        return this.#leases.keepAlive(id)
      },
      revoke: async () => {
        this.#checkOpen()
        this.#removeLeased(id, this.#leases.revoke(id))
      },
    }
  }

  async close(): Promise<void> {
    this.#end(new Error('the metadata store is closed'))
  }

  #write(transaction: Pick<Transaction, 'put' | 'remove'>): void {
    const revision = this.#database.revision + 1
    const replaced: StoredEntry[] = []
    const puts = transaction.put.map(({ key, value, leaseId = '' }): StoredEntry => {
      const before = this.#read(() => this.#database.get(key))
      if (before !== undefined) replaced.push(before)
      const createRevision = before?.createRevision ?? revision
      return { key, value, createRevision, modRevision: revision, leaseId }
    })
    const removed: StoredEntry[] = []
    for (const key of transaction.remove ?? []) {
      const before = this.#read(() => this.#database.get(key))
      if (before !== undefined) removed.push(before)
    }
    if (puts.length === 0 && removed.length === 0) return
    replaced.push(...removed)
    this.#commit(puts, removed, replaced)
    const leaseOf = new Map(replaced.map((entry) => [entry.key, entry.leaseId]))
    for (const { key, leaseId } of puts) this.#leases.attach(key, leaseOf.get(key) ?? '', leaseId)
    for (const { key, leaseId } of removed) this.#leases.attach(key, leaseId, '')
    this.#history.add({
      revision,
      events: [
        ...puts.map((entry) => ({ key: entry.key, entry: withoutLease(entry) })),
        ...removed.map(({ key }) => ({ key, entry: undefined })),
      ],
    })
    this.#revisions.advance(revision)
  }

  #commit(
    puts: readonly StoredEntry[],
    removed: readonly StoredEntry[],
    replaced: readonly StoredEntry[],
  ): void {
    try {
      this.#database.write(
        puts,
        removed.map(({ key }) => key),
        replaced,
      )
    } catch (error) {
      throw error instanceof ServiceError ? error : this.#fail(error)
    }
  }

  /** Leaves alone what was written anew, under another lease or none, since the lease ended. */
  #removeLeased(id: string, keys: readonly string[]): void {
    const remove = keys.filter((key) => this.#read(() => this.#database.get(key))?.leaseId === id)
    this.#write({ put: [], remove })
  }

  #expire(id: string, keys: readonly string[]): void {
    if (this.#ended.signal.aborted) return
    try {
      this.#removeLeased(id, keys)
    } catch (error) {
      // A full disk is the one failure after which the store goes on.
      if (error instanceof ServiceError) {
        this.#clock.timer(EXPIRY_RETRY_MS, () => this.#expire(id, keys))
      }
    }
  }

  #read<T>(read: () => T): T {
    try {
      return read()
    } catch (error) {
      throw this.#fail(error)
    }
  }

  /** After a failed write or a damaged read nobody knows what the file holds: no further call. */
  #fail(cause: unknown): Error {
    const error =
      cause instanceof DamagedStoreError ? cause : new Error('the metadata store failed', { cause })
    this.#end(error)
    this.#onFatal(error)
    return error
  }

  #end(reason: Error): void {
    if (this.#ended.signal.aborted) return
    this.#ended.abort(reason)
    this.#leases.close()
    this.#database.close()
  }

  #checkOpen(): void {
    if (this.#ended.signal.aborted) throw this.#ended.signal.reason
  }
}

function withoutLease({ key, value, createRevision, modRevision }: StoredEntry): Entry {
  return { key, value, createRevision, modRevision }
}
