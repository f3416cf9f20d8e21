/**
 * The small, strongly consistent key space that holds what nodes must agree on. Implementations:
 * embedded (one process) and, for clusters, an external store with the same semantics as etcd v3.
 * Keys are printable ASCII, values JSON text. A revision counts the transactions of the whole store.
 */
export interface Entry {
  readonly key: string
  readonly value: string
  /** Revision of the transaction that created the key (since it last did not exist). */
  readonly createRevision: number
  /** Revision of the last transaction that wrote the key. */
  readonly modRevision: number
}

/** Equality on an entry; 0 stands for a key that does not exist. */
export interface Compare {
  readonly key: string
  readonly target: 'createRevision' | 'modRevision'
  readonly equals: number
}

export interface Transaction {
  /** All must hold, else nothing is written. */
  readonly compare: readonly Compare[]
  readonly put: readonly {
    readonly key: string
    readonly value: string
    readonly leaseId?: string
  }[]
  readonly remove?: readonly string[]
}

export interface TransactionOutcome {
  readonly succeeded: boolean
  readonly revision: number
}

/** All changes of one revision under the watched prefix, in one piece. `value` undefined: removed. */
export interface Change {
  readonly revision: number
  readonly events: readonly { readonly key: string; readonly entry: Entry | undefined }[]
}

export interface Lease {
  readonly id: string
  /** Prolongs the lease by its time to live; false when it is gone, and with it its keys. */
  keepAlive(signal: AbortSignal): Promise<boolean>
  revoke(): Promise<void>
}

/** `watch` was asked to start at a revision that is no longer kept: list again and watch from there. */
export class CompactedError extends Error {
  override readonly name = 'CompactedError'
}

/** A put named a lease that has expired or was revoked. Nothing was written. */
export class LeaseGoneError extends Error {
  override readonly name = 'LeaseGoneError'
}

/** The stored bytes are not what was written. The store refuses to guess. */
export class DamagedStoreError extends Error {
  override readonly name = 'DamagedStoreError'
}

/** The store cannot be opened as things are; the message says why and what to do. */
export class StoreRefusedError extends Error {
  override readonly name = 'StoreRefusedError'
}

export interface MetadataStore {
  /** Most compares, and most writes (puts and removals together), that one transaction may have. */
  readonly maxOperations: number
  get(key: string): Promise<Entry | undefined>
  /** Linearizable; `revision` is the store's at that moment. Entries in key order. */
  list(prefix: string): Promise<{ readonly entries: readonly Entry[]; readonly revision: number }>
  /**
   * Atomic. No key may be written twice. A transaction that changes nothing takes no revision.
   * Rejects with LeaseGoneError or ServiceError when certainly nothing was written; with any other
   * error the outcome is unknown: re-read before deciding.
   */
  transact(transaction: Transaction): Promise<TransactionOutcome>
  /** Yields every change with revision >= `fromRevision`, in order, without gaps, until the signal aborts (then it ends). Throws CompactedError. */
  watch(prefix: string, fromRevision: number, signal: AbortSignal): AsyncIterable<Change>
  lease(ttlMs: number): Promise<Lease>
  close(): Promise<void>
}

/** For those who own no keys that end with them. */
export type LeaselessStore = Omit<MetadataStore, 'lease'>
