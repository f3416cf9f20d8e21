/** The metadata store of a cluster: etcd v3, by its JSON gateway. */
import type { Clock } from '../env/clock.ts'
import type { Logger } from '../env/logger.ts'
import type { Random } from '../env/random.ts'
import { assert } from '../lib/assert.ts'
import type { CallOptions } from './etcd-endpoints.ts'
import { EtcdEndpoints } from './etcd-endpoints.ts'
import { EtcdError, serviceErrorOf } from './etcd-error.ts'
import type { GatewayRequest } from './etcd-gateway.ts'
import { EtcdKeys, getRequest, listRequest, transactRequest } from './etcd-gateway.ts'
import type { EtcdHttp } from './etcd-http.ts'
import { EtcdLease } from './etcd-lease.ts'
import type { EtcdUser } from './etcd-token.ts'
import { EtcdWatch } from './etcd-watch.ts'
import type {
  Change,
  Entry,
  Lease,
  MetadataStore,
  Transaction,
  TransactionOutcome,
} from './metadata-store.ts'
import { LeaseGoneError } from './metadata-store.ts'
import { checkTransactionForm } from './transaction-form.ts'

export interface EtcdStoreDeps {
  /** Closed with the store. */
  readonly http: EtcdHttp
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

export interface EtcdStoreOptions {
  /** Origins of members, as `https://host:port`. */
  readonly endpoints: readonly string[]
  /** Before every key, so that clusters can share an etcd; begins with a slash, or is empty. */
  readonly prefix?: string
  readonly user?: EtcdUser
  /** Limit of one try of a call against one member. */
  readonly callTimeoutMs?: number
  /** How often the members are told to send progress on watches; three times that is silence. */
  readonly progressIntervalMs?: number
  /** Keys that one answer of a list has at most: it is parsed in one piece. */
  readonly pageSize?: number
}

/** etcd's own limit, --max-txn-ops, unless it is set otherwise. */
const MAX_OPERATIONS = 128
const DEFAULTS = {
  prefix: '/curlew',
  callTimeoutMs: 5_000,
  progressIntervalMs: 5_000,
  pageSize: 500,
}
const SILENT_INTERVALS = 3
const RETRY_MS = 100
const RETRY_MAX_MS = 5_000
/** Lists that begin anew because history was compacted between two pages. */
const LIST_ATTEMPTS = 3
const PREFIX = /^(\/[\x21-\x2e\x30-\x7d]+)*$/

export class EtcdStore implements MetadataStore {
  readonly maxOperations = MAX_OPERATIONS
  readonly #deps: EtcdStoreDeps
  readonly #options: EtcdStoreOptions & typeof DEFAULTS
  readonly #keys: EtcdKeys
  readonly #endpoints: EtcdEndpoints

  /** Connects with the first call. */
  constructor(deps: EtcdStoreDeps, options: EtcdStoreOptions) {
    this.#deps = deps
    this.#options = { ...DEFAULTS, ...options }
    assert(PREFIX.test(this.#options.prefix), 'the prefix of keys is not a path')
    this.#keys = new EtcdKeys(this.#options.prefix)
    this.#endpoints = new EtcdEndpoints(deps, this.#options)
  }

  /** Linearizable. @throws ServiceError */
  async get(key: string): Promise<Entry | undefined> {
    const { entries } = await this.#read(getRequest(this.#keys, key))
    return entries[0]
  }

  /** Linearizable; all pages show the revision of the first. @throws ServiceError */
  async list(prefix: string): Promise<{ entries: readonly Entry[]; revision: number }> {
    checkPrefix(prefix)
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#listPages(prefix)
      } catch (error) {
        const isCompacted = error instanceof EtcdError && error.isCompacted
        if (!isCompacted || attempt === LIST_ATTEMPTS) throw serviceErrorOf(error)
      }
    }
  }

  /** @throws UnknownOutcomeError, besides what the interface says */
  async transact(transaction: Transaction): Promise<TransactionOutcome> {
    this.#endpoints.closed.throwIfAborted()
    checkTransactionForm(transaction, this.maxOperations)
    try {
      return await this.#endpoints.call(transactRequest(this.#keys, transaction), {
        isRepeatable: false,
      })
    } catch (error) {
      if (error instanceof EtcdError && error.isLeaseGone) {
        throw new LeaseGoneError('a lease of the transaction has ended', { cause: error })
      }
      throw serviceErrorOf(error)
    }
  }

  async *watch(prefix: string, fromRevision: number, signal: AbortSignal): AsyncIterable<Change> {
    checkPrefix(prefix)
    const { callTimeoutMs, progressIntervalMs } = this.#options
    const watch = new EtcdWatch(
      { ...this.#deps, keys: this.#keys, endpoints: this.#endpoints },
      {
        openTimeoutMs: callTimeoutMs,
        silenceMs: progressIntervalMs * SILENT_INTERVALS,
        retryMs: RETRY_MS,
        retryMaxMs: RETRY_MAX_MS,
      },
      { prefix, fromRevision },
    )
    yield* watch.changes(signal)
  }

  /** @throws ServiceError */
  async lease(ttlMs: number): Promise<Lease> {
    assert(ttlMs > 0, 'a lease needs a time to live')
    try {
      return await EtcdLease.grant(this.#endpoints, ttlMs, this.#options.callTimeoutMs)
    } catch (error) {
      throw serviceErrorOf(error)
    }
  }

  /** Leases go on until their time has passed. */
  async close(): Promise<void> {
    await this.#endpoints.close(new Error('the metadata store is closed'))
  }

  async #listPages(prefix: string): Promise<{ entries: readonly Entry[]; revision: number }> {
    const entries: Entry[] = []
    let revision = 0
    for (;;) {
      const page = await this.#endpoints.call(
        listRequest(this.#keys, {
          prefix,
          after: entries.at(-1)?.key,
          limit: this.#options.pageSize,
          revision,
        }),
        READ,
      )
      if (revision === 0) revision = page.revision
      for (const entry of page.entries) entries.push(entry)
      if (!page.more) return { entries, revision }
      assert(page.entries.length > 0, 'a page of a list is empty, and yet not the last')
    }
  }

  async #read<Answer>(request: GatewayRequest<Answer>): Promise<Answer> {
    try {
      return await this.#endpoints.call(request, READ)
    } catch (error) {
      throw serviceErrorOf(error)
    }
  }
}

const READ: CallOptions = { isRepeatable: true }

function checkPrefix(prefix: string): void {
  assert(prefix.startsWith('/'), 'a prefix of keys begins with a slash')
}
