/**
 * The SQLite file under the embedded store: rows with checksums, one transaction per revision.
 *
 * A rollback journal, not a write-ahead log: a damaged frame in the middle of a WAL makes SQLite
 * drop the transactions behind it without a word. Here every committed row is in the main file,
 * and a count and sum over all rows tell if one is missing or is an older version of itself.
 */
import type { SQLOutputValue, StatementSync } from 'node:sqlite'
import { DatabaseSync } from 'node:sqlite'
import { crc32c } from '../lib/crc32c.ts'
import { ServiceError } from '../lib/service-error.ts'
import type { Entry } from './metadata-store.ts'
import { DamagedStoreError, StoreRefusedError } from './metadata-store.ts'

export interface StoredEntry extends Entry {
  /** '' for none. */
  readonly leaseId: string
}

export interface DatabaseOptions {
  readonly path: string
  /** Whether a missing or empty file may be made into a new database; if not, it is refused. */
  readonly createIfMissing: boolean
  /** A transaction that would make the file larger is refused as if the disk were full. */
  readonly maxSizeBytes?: number
}

const PAGE_BYTES = 4096
const MAX_SIZE_BYTES = 1024 ** 3
/** "CRLW", in SQLite's header field for the kind of application. */
const APPLICATION_ID = 0x43524c57
/** Layout of the tables. Raise with every change; never reuse. */
const SCHEMA_VERSION = 1
const FIRST_REVISION = 1
const DIGEST_MODULUS = 2 ** 48

const TABLES = `
  CREATE TABLE entries (
    key TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL,
    createRevision INTEGER NOT NULL,
    modRevision INTEGER NOT NULL,
    leaseId TEXT NOT NULL,
    checksum INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE state (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    revision INTEGER NOT NULL,
    entries INTEGER NOT NULL,
    digest INTEGER NOT NULL,
    checksum INTEGER NOT NULL
  ) STRICT;
  PRAGMA application_id = ${APPLICATION_ID};
  PRAGMA user_version = ${SCHEMA_VERSION};
`
const COLUMNS = 'key, value, createRevision, modRevision, leaseId, checksum'

type Row = Record<string, SQLOutputValue>

export class EmbeddedDatabase {
  readonly #database: DatabaseSync
  readonly #path: string
  readonly #get: StatementSync
  readonly #list: StatementSync
  readonly #put: StatementSync
  readonly #remove: StatementSync
  readonly #putState: StatementSync
  #revision: number
  #entries: number
  #digest: number

  /**
   * @throws DamagedStoreError, also when the file is foreign or missing; StoreRefusedError when it
   * is in use, or newer; ServiceError `disk-full`
   */
  static open(options: DatabaseOptions): EmbeddedDatabase {
    const database = new DatabaseSync(options.path, { timeout: 0 })
    try {
      prepareFile(database, options)
      return new EmbeddedDatabase(database, options.path)
    } catch (error) {
      database.close()
      throw explain(error, options.path)
    }
  }

  private constructor(database: DatabaseSync, path: string) {
    this.#database = database
    this.#path = path
    this.#get = database.prepare(`SELECT ${COLUMNS} FROM entries WHERE key = ?`)
    this.#list = database.prepare(
      `SELECT ${COLUMNS} FROM entries WHERE key >= ? AND key < ? ORDER BY key`,
    )
    this.#put = database.prepare(`INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?)`)
    this.#remove = database.prepare('DELETE FROM entries WHERE key = ?')
    this.#putState = database.prepare('INSERT OR REPLACE INTO state VALUES (1, ?, ?, ?, ?)')
    const state = readState(database, path)
    this.#revision = state.revision
    this.#entries = state.entries
    this.#digest = state.digest
    this.#verify()
  }

  get revision(): number {
    return this.#revision
  }

  get(key: string): StoredEntry | undefined {
    const row = this.#guard(() => this.#get.get(key))
    return row === undefined ? undefined : this.#decode(row)
  }

  /** In key order. */
  list(prefix: string): StoredEntry[] {
    // Keys are printable ASCII, so DEL sorts behind all that follows the prefix.
    const rows = this.#guard(() => this.#list.all(prefix, `${prefix}\x7f`))
    return rows.map((row) => this.#decode(row))
  }

  /**
   * Writes the next revision; durable when it returns. `replaced` are the present rows of all keys
   * of `puts` and `removed`.
   * @throws ServiceError `disk-full`, then nothing was written; after any other error it is unknown
   */
  write(
    puts: readonly StoredEntry[],
    removed: readonly string[],
    replaced: readonly StoredEntry[],
  ) {
    const revision = this.#revision + 1
    const entries = this.#entries + puts.length - replaced.length
    let digest = this.#digest
    for (const entry of replaced) digest = wrap(digest - checksumOf(entry))
    this.#database.exec('BEGIN IMMEDIATE')
    try {
      for (const entry of puts) {
        const checksum = checksumOf(entry)
        digest = wrap(digest + checksum)
        const { key, value, createRevision, modRevision, leaseId } = entry
        this.#put.run(key, value, createRevision, modRevision, leaseId, checksum)
      }
      for (const key of removed) this.#remove.run(key)
      this.#putState.run(revision, entries, digest, stateChecksum(revision, entries, digest))
      this.#database.exec('COMMIT')
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK')
      throw explain(error, this.#path)
    }
    this.#revision = revision
    this.#entries = entries
    this.#digest = digest
  }

  close(): void {
    if (this.#database.isOpen) this.#database.close()
  }

  #verify(): void {
    const check = this.#database.prepare('PRAGMA integrity_check(1)').get()
    if (check?.['integrity_check'] !== 'ok') {
      throw damaged(this.#path, String(check?.['integrity_check']))
    }
    let entries = 0
    let digest = 0
    for (const row of this.#database.prepare(`SELECT ${COLUMNS} FROM entries`).iterate()) {
      const entry = this.#decode(row)
      if (entry.modRevision > this.#revision) {
        throw damaged(this.#path, `the entry ${entry.key} is newer than the store`)
      }
      entries++
      digest = wrap(digest + checksumOf(entry))
    }
    if (entries !== this.#entries || digest !== this.#digest) {
      throw damaged(this.#path, `its ${entries} entries are not the ${this.#entries} last written`)
    }
  }

  #decode(row: Row): StoredEntry {
    const { key, value, createRevision, modRevision, leaseId, checksum } = row
    const entry = { key, value, createRevision, modRevision, leaseId } as unknown as StoredEntry
    if (checksumOf(entry) !== checksum) {
      throw damaged(this.#path, `the entry ${String(key)} does not match its checksum`)
    }
    return entry
  }

  #guard<T>(read: () => T): T {
    try {
      return read()
    } catch (error) {
      throw explain(error, this.#path)
    }
  }
}

function prepareFile(database: DatabaseSync, options: DatabaseOptions): void {
  const { path, createIfMissing, maxSizeBytes = MAX_SIZE_BYTES } = options
  // Exclusive mode keeps the lock that the first write transaction takes until the file is closed.
  database.exec(`
    PRAGMA page_size = ${PAGE_BYTES};
    PRAGMA max_page_count = ${Math.ceil(maxSizeBytes / PAGE_BYTES)};
    PRAGMA locking_mode = EXCLUSIVE;
    PRAGMA journal_mode = PERSIST;
    PRAGMA synchronous = FULL;
    PRAGMA journal_size_limit = 1048576;
    BEGIN EXCLUSIVE;
  `)
  const applicationId = pragma(database, 'application_id')
  const version = pragma(database, 'user_version')
  if (applicationId === 0 && version === 0 && pragma(database, 'schema_version') === 0) {
    if (!createIfMissing) {
      throw damaged(path, 'it is missing or empty, though this node has been used before')
    }
    database.exec(TABLES)
    database
      .prepare('INSERT INTO state VALUES (1, ?, 0, 0, ?)')
      .run(FIRST_REVISION, stateChecksum(FIRST_REVISION, 0, 0))
  } else if (applicationId !== APPLICATION_ID) {
    throw damaged(path, 'it is not a metadata store of Curlew')
  } else if (version !== SCHEMA_VERSION) {
    throw new StoreRefusedError(
      `the metadata store ${path} has layout ${version}; this version reads layout ${SCHEMA_VERSION}`,
    )
  }
  database.exec('COMMIT')
}

function pragma(database: DatabaseSync, name: string): number {
  return Number(database.prepare(`PRAGMA ${name}`).get()?.[name])
}

function readState(database: DatabaseSync, path: string) {
  const row = database.prepare('SELECT revision, entries, digest, checksum FROM state').get()
  const [revision, entries, digest] = [row?.['revision'], row?.['entries'], row?.['digest']].map(
    Number,
  ) as [number, number, number]
  if (row?.['checksum'] !== stateChecksum(revision, entries, digest)) {
    throw damaged(path, 'its state does not match its checksum')
  }
  return { revision, entries, digest }
}

function checksumOf({ key, value, createRevision, modRevision, leaseId }: StoredEntry): number {
  return crc32c(Buffer.from(`${key}\0${value}\0${createRevision}\0${modRevision}\0${leaseId}`))
}

/** After every step, so that no sum ever leaves the integers that are exact. */
function wrap(digest: number): number {
  return (digest + DIGEST_MODULUS) % DIGEST_MODULUS
}

function stateChecksum(revision: number, entries: number, digest: number): number {
  return crc32c(Buffer.from(`${revision}\0${entries}\0${digest}`))
}

function damaged(path: string, what: string, cause?: unknown): DamagedStoreError {
  return new DamagedStoreError(
    `the metadata store ${path} is damaged: ${what}`,
    cause === undefined ? undefined : { cause },
  )
}

/** SQLite's primary result codes, https://www.sqlite.org/rescode.html */
const SQLITE = { error: 1, busy: 5, corrupt: 11, full: 13, notADatabase: 26 } as const

function sqliteCode(error: unknown): number | undefined {
  const code = error instanceof Error && 'errcode' in error ? error.errcode : undefined
  // The low byte is the primary code, the rest says more.
  return typeof code === 'number' ? code & 0xff : undefined
}

function explain(error: unknown, path: string): unknown {
  switch (sqliteCode(error)) {
    case SQLITE.busy:
      return new StoreRefusedError(
        `another process uses the metadata store ${path}: stop it, or use another data folder`,
        { cause: error },
      )
    case SQLITE.full:
      return new ServiceError('disk-full', 'no space is left for metadata', { cause: error })
    // A statement that no longer fits the tables: what they are made of was altered.
    case SQLITE.error:
    case SQLITE.corrupt:
    case SQLITE.notADatabase:
      return damaged(path, error instanceof Error ? error.message : 'unknown', error)
    default:
      return error
  }
}
