/** The file system of the operating system. */
import { constants, open as openCallback } from 'node:fs'
import { mkdir, open as openDirectory, readdir, rename, rm, stat, statfs } from 'node:fs/promises'
import { DatabaseSync } from 'node:sqlite'
import { DirectWrites, isUnsupported, O_DIRECT } from './direct-writes.ts'
import { DurableWriter, ThreadedDurableFile } from './durable-file.ts'
import type { DurableFile, FileHandle, FileSystem, WhenToGoOn } from './file-system.ts'
import { NodeFileHandle } from './node-file-handle.ts'
import { zeroFill } from './zero-fill.ts'

const FILE_MODE = 0o640
const DIRECTORY_MODE = 0o750
const SQLITE_BUSY = 5

export interface NodeFileSystemOptions {
  /** Write and fdatasync in place of O_DSYNC, as is done where the system has no O_DSYNC. */
  readonly syncAfterWrite?: boolean
  /** Whether large and durable writes go past the page cache where the system can. Default true. */
  readonly directIo?: boolean
}

export class NodeFileSystem implements FileSystem {
  readonly #dsync: number
  readonly #writer = new DurableWriter()
  readonly #directWrites: DirectWrites | undefined

  constructor(options: NodeFileSystemOptions = {}) {
    this.#directWrites = (options.directIo ?? true) ? new DirectWrites() : undefined
    // Undefined on systems without it, whatever the type says.
    const dsync = constants.O_DSYNC as number | undefined
    this.#dsync = options.syncAfterWrite ? 0 : (dsync ?? 0)
  }

  async open(path: string, mode: 'read' | 'create'): Promise<FileHandle> {
    if (mode === 'read') return new NodeFileHandle(await openDescriptor(path, constants.O_RDONLY))
    const fd = await openDescriptor(path, constants.O_RDWR | constants.O_CREAT)
    const writes = this.#directWrites
    if (writes === undefined) return new NodeFileHandle(fd)
    const open = () => openDescriptor(path, constants.O_WRONLY | (O_DIRECT ?? 0))
    return new NodeFileHandle(fd, { writes, open })
  }

  async openDurable(path: string, sizeBytes: number, goOn?: WhenToGoOn): Promise<DurableFile> {
    const isNew = (await this.size(path)) === undefined
    const filler = await this.open(path, 'create')
    try {
      await zeroFill(filler, sizeBytes, goOn)
    } catch (error) {
      if (isNew) await this.remove(path).catch(() => undefined)
      throw error
    } finally {
      await filler.close()
    }
    const fd = await openDescriptor(path, constants.O_RDWR | this.#dsync)
    const directFd = await this.#openDirect(path)
    const handles = [fd, directFd]
      .filter((one) => one !== undefined)
      .map((one) => new NodeFileHandle(one))
    return new ThreadedDurableFile(this.#writer, {
      fd,
      directFd,
      synced: this.#dsync !== 0,
      close: async () => void (await Promise.all(handles.map((handle) => handle.close()))),
    })
  }

  async #openDirect(path: string): Promise<number | undefined> {
    if (this.#directWrites === undefined || O_DIRECT === undefined) return
    try {
      return await openDescriptor(path, constants.O_WRONLY | this.#dsync | O_DIRECT)
    } catch (error) {
      if (isUnsupported(error)) return
      throw error
    }
  }

  async makeDirectory(path: string): Promise<void> {
    await mkdir(path, { recursive: true, mode: DIRECTORY_MODE })
  }

  async syncDirectory(path: string): Promise<void> {
    const directory = await openDirectory(path, constants.O_RDONLY)
    try {
      await directory.sync()
    } finally {
      await directory.close()
    }
  }

  async list(path: string): Promise<string[]> {
    try {
      return (await readdir(path)).sort((a, b) => (a < b ? -1 : 1))
    } catch (error) {
      if (isMissing(error)) return []
      throw error
    }
  }

  async size(path: string): Promise<number | undefined> {
    try {
      return (await stat(path)).size
    } catch (error) {
      if (isMissing(error)) return undefined
      throw error
    }
  }

  rename(from: string, to: string): Promise<void> {
    return rename(from, to)
  }

  async remove(path: string): Promise<void> {
    await rm(path, { force: true })
  }

  async removeTree(path: string): Promise<void> {
    await rm(path, { force: true, recursive: true })
  }

  /**
   * Node has no flock; SQLite has one that the kernel drops with the process, and that also excludes
   * a second holder in the same process.
   */
  async lock(path: string): Promise<{ release(): Promise<void> } | undefined> {
    const database = new DatabaseSync(path)
    try {
      database.exec(
        'PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE',
      )
    } catch (error) {
      database.close()
      if ((error as { errcode?: number }).errcode === SQLITE_BUSY) return undefined
      throw error
    }
    return {
      release: async () => {
        if (database.isOpen) database.close()
      },
    }
  }

  async freeBytes(path: string): Promise<number> {
    const { bavail, bsize } = await statfs(path)
    return bavail * bsize
  }
}

function openDescriptor(path: string, flags: number): Promise<number> {
  return new Promise((resolve, reject) => {
    openCallback(path, flags, FILE_MODE, (error, fd) => (error ? reject(error) : resolve(fd)))
  })
}

function isMissing(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ENOENT'
}
