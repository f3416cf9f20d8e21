/**
 * Descriptors of segment files: opened when needed, kept while there is room, closed longest unused
 * first. A file that was written to is synced before it is closed, since the error of a failed
 * write-back can be lost with its last descriptor.
 */
import type { FileHandle, FileSystem } from '../env/file-system.ts'
import { assert } from '../lib/assert.ts'

const EVICTION_CANDIDATES = 64

type Mode = 'read' | 'create'

interface PooledFile {
  readonly path: string
  readonly mode: Mode
  readonly opened: Promise<FileHandle>
  users: number
  /** Writes begun and ended, and how many of them the last sync has seen. */
  writes: number
  synced: number
  /** Closed as soon as nobody uses it. */
  forgotten: boolean
}

export interface FilePoolOptions {
  readonly maxOpenFiles: number
  /** A sync failed: what the file holds can no longer be known. */
  readonly onFatal: (error: unknown) => void
}

export class FilePool {
  readonly #fileSystem: FileSystem
  readonly #options: FilePoolOptions
  /** Longest unused first. */
  readonly #files = new Map<string, PooledFile>()
  readonly #removals = new Map<string, Promise<void>>()

  constructor(deps: { fileSystem: FileSystem }, options: FilePoolOptions) {
    this.#fileSystem = deps.fileSystem
    this.#options = options
  }

  get openFiles(): number {
    return this.#files.size
  }

  /** Runs `job` on an open file, which stays open meanwhile. `create` is for writing. */
  async use<T>(path: string, mode: Mode, job: (file: FileHandle) => Promise<T>): Promise<T> {
    const file = this.#take(path, mode)
    file.users++
    if (mode === 'create') file.writes++
    try {
      return await job(await file.opened)
    } finally {
      if (mode === 'create') file.writes++
      file.users--
      if (file.forgotten) await this.#close(file)
      else await this.#shrink()
    }
  }

  /** Makes what was written to the file so far durable. */
  async sync(path: string): Promise<void> {
    const file = this.#files.get(keyOf(path, 'create'))
    if (file === undefined) return
    file.users++
    try {
      await this.#sync(file)
    } finally {
      file.users--
      if (file.forgotten) await this.#close(file)
    }
  }

  /** Closes the file, once nobody uses it, without syncing it: it goes away, or to another place. */
  async forget(path: string): Promise<void> {
    const closed = (['read', 'create'] as const).map(async (mode) => {
      const file = this.#files.get(keyOf(path, mode))
      if (file === undefined) return
      this.#files.delete(keyOf(path, mode))
      file.forgotten = true
      await this.#close(file)
    })
    await Promise.all(closed)
  }

  /** Removes the file. Who uses it from the call on waits until it is gone: what is written is another one. */
  remove(path: string): Promise<void> {
    let removal = this.#removals.get(path)
    if (removal === undefined) {
      removal = this.#remove(path).finally(() => this.#removals.delete(path))
      this.#removals.set(path, removal)
    }
    return removal
  }

  /** Closes all files; those that were written to must have been synced. */
  async close(): Promise<void> {
    for (const file of [...this.#files.values()]) await this.forget(file.path)
  }

  #take(path: string, mode: Mode): PooledFile {
    const writable = this.#files.get(keyOf(path, 'create'))
    const known = mode === 'read' ? (this.#files.get(keyOf(path, 'read')) ?? writable) : writable
    const file = known ?? {
      path,
      mode,
      opened: this.#open(path, mode),
      users: 0,
      writes: 0,
      synced: 0,
      forgotten: false,
    }
    const key = keyOf(path, file.mode)
    this.#files.delete(key)
    this.#files.set(key, file)
    if (known === undefined) {
      file.opened.catch(() => {
        if (this.#files.get(key) === file) this.#files.delete(key)
      })
    }
    return file
  }

  async #open(path: string, mode: Mode): Promise<FileHandle> {
    // If it could not be removed, it is there as it was.
    await this.#removals.get(path)?.catch(() => undefined)
    return await this.#fileSystem.open(path, mode)
  }

  async #remove(path: string): Promise<void> {
    await this.forget(path)
    await this.#fileSystem.remove(path)
  }

  async #sync(file: PooledFile): Promise<void> {
    const handle = await file.opened
    const { writes } = file
    if (writes === file.synced) return
    try {
      await handle.syncData()
    } catch (error) {
      this.#options.onFatal(error)
      throw error
    }
    file.synced = Math.max(file.synced, writes)
  }

  async #shrink(): Promise<void> {
    if (this.#files.size <= this.#options.maxOpenFiles) return
    const file = this.#leastMissed()
    if (file === undefined) return
    if (file.writes !== file.synced) {
      file.users++
      await this.#sync(file).finally(() => file.users--)
      if (file.users > 0 || file.writes !== file.synced) return
    }
    this.#files.delete(keyOf(file.path, file.mode))
    file.forgotten = true
    await this.#close(file)
  }

  /** Among the longest unused: the first one that needs no sync, else the first that nobody uses. */
  #leastMissed(): PooledFile | undefined {
    let idle: PooledFile | undefined
    let seen = 0
    for (const file of this.#files.values()) {
      if (file.users > 0) continue
      if (file.writes === file.synced) return file
      idle ??= file
      if (++seen === EVICTION_CANDIDATES) break
    }
    return idle
  }

  async #close(file: PooledFile): Promise<void> {
    assert(file.forgotten, 'only a file that left the pool is closed')
    if (file.users > 0) return
    const handle = await file.opened.catch(() => undefined)
    await handle?.close()
  }
}

function keyOf(path: string, mode: Mode): string {
  return `${mode}:${path}`
}
