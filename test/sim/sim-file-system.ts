/**
 * A disk that forgets what was not synced, with faults on demand. A process sees it through a
 * SimFileSystem; `crash` and `kill` end that process, for good, and give the next one its view.
 * Operations of an ended process never settle, like those of a machine without power.
 */
import type { Clock } from '../../src/env/clock.ts'
import type { DurableFile, FileHandle, FileSystem, WhenToGoOn } from '../../src/env/file-system.ts'
import type { Random } from '../../src/env/random.ts'
import { SeededRandom } from '../../src/env/seeded-random.ts'
import { SimDirectory } from './sim-directory.ts'
import type { Pending } from './sim-file.ts'
import { SimFile } from './sim-file.ts'

export type OperationKind =
  | 'open'
  | 'read'
  | 'write'
  | 'truncate'
  | 'sync'
  | 'durable-open'
  | 'durable-write'
  | 'make-directory'
  | 'sync-directory'
  | 'rename'
  | 'remove'

export interface Operation {
  readonly kind: OperationKind
  readonly path: string
  readonly position?: number
  readonly sizeBytes?: number
}

/** What is to happen to an operation: an error, a short write, or that the process ends in its midst. */
export type Fault = 'EIO' | 'ENOSPC' | 'short' | 'crash'

export interface SimFileSystemOptions {
  readonly random?: Random
  /** Completions wait for a random time on this clock; without it they come at once, as microtasks. */
  readonly clock?: Clock
  /** Longest of those times. */
  readonly latencyMs?: number
  /** Bytes that all files together may have. */
  readonly quotaBytes?: number
}

interface Disk {
  readonly root: SimDirectory
  readonly locks: Set<string>
}

/** Never settles; the fate of those who wait on a machine that lost power. */
const never = (): Promise<never> => new Promise(() => undefined)

export class SimFileSystem implements FileSystem {
  /** Asked before each operation. */
  fault: (operation: Operation) => Fault | undefined = () => undefined
  /** Bytes that all files together may have. */
  quotaBytes: number
  /** Longest time of an operation, in place of the one that it was made with. */
  latencyMs: number | undefined
  /** Every operation since the start, for tests that check which syncs were done. */
  readonly trace: Operation[] = []
  traced: boolean = false
  readonly #options: SimFileSystemOptions
  readonly #random: Random
  readonly #disk: Disk
  #ended: boolean = false
  #onEnd: () => void = () => undefined
  /** Resolves when a `crash` fault has struck; whoever drives the process stops waiting for it. */
  readonly ended: Promise<void> = new Promise((resolve) => {
    this.#onEnd = resolve
  })

  constructor(options: SimFileSystemOptions = {}, disk?: Disk) {
    this.#options = options
    this.#random = options.random ?? new SeededRandom(1)
    this.quotaBytes = options.quotaBytes ?? Number.POSITIVE_INFINITY
    this.#disk = disk ?? { root: new SimDirectory(), locks: new Set() }
  }

  /** Power fails and returns: synced bytes and names stay, of the others any part. */
  crash(random: Random = this.#random, next: SimFileSystemOptions = {}): SimFileSystem {
    this.#disk.root.crash(random)
    return this.kill(next)
  }

  /** The process ends but the machine goes on: all it wrote stays, whether synced or not. */
  kill(next: SimFileSystemOptions = {}): SimFileSystem {
    void this.#end()
    return new SimFileSystem(
      { ...this.#options, quotaBytes: this.quotaBytes, ...next },
      { root: this.#disk.root, locks: new Set() },
    )
  }

  /** Decay of the medium: turns one bit over. */
  flipBit(path: string, position: number, bit: number): void {
    this.#file(path).flipBit(position, bit)
  }

  /** Contents as a process reads them, outside of any fault or delay. */
  contents(path: string): Uint8Array {
    const file = this.#file(path)
    const bytes = new Uint8Array(file.sizeBytes)
    file.read(bytes, 0)
    return bytes
  }

  /** Of all files. */
  paths(): string[] {
    return pathsIn(this.#disk.root, '')
  }

  get usedBytes(): number {
    return usedBytes(this.#disk.root)
  }

  async open(path: string, mode: 'read' | 'create'): Promise<FileHandle> {
    await this.#begin({ kind: 'open', path })
    const file = this.#find(path)
    if (file instanceof SimDirectory) throw failure('EISDIR', path)
    if (file !== undefined) return this.#handle(path, file)
    if (mode === 'read') throw failure('ENOENT', path)
    const made = new SimFile()
    this.#link(path, made)
    return this.#handle(path, made)
  }

  async openDurable(path: string, sizeBytes: number, _goOn?: WhenToGoOn): Promise<DurableFile> {
    await this.#begin({ kind: 'durable-open', path, sizeBytes })
    let file = this.#find(path)
    if (file instanceof SimDirectory) throw failure('EISDIR', path)
    const missing = sizeBytes - (file?.sizeBytes ?? 0)
    if (missing > 0 && missing > this.quotaBytes - this.usedBytes) throw failure('ENOSPC', path)
    if (file === undefined) {
      file = new SimFile()
      this.#link(path, file)
    }
    if (missing > 0) {
      file.truncate(sizeBytes)
      file.harden(file.pending)
    }
    return this.#durableFile(path, file)
  }

  async makeDirectory(path: string): Promise<void> {
    await this.#begin({ kind: 'make-directory', path })
    let directory = this.#disk.root
    for (const name of segments(path)) {
      let next = directory.get(name)
      if (next instanceof SimFile) throw failure('ENOTDIR', path)
      if (next === undefined) {
        next = new SimDirectory()
        SimDirectory.change({ moves: [{ directory, name, node: next }] })
      }
      directory = next
    }
  }

  async syncDirectory(path: string): Promise<void> {
    await this.#begin({ kind: 'sync-directory', path })
    this.#directory(path).sync()
  }

  async list(path: string): Promise<string[]> {
    await this.#settle()
    const node = this.#find(path)
    if (node instanceof SimFile) throw failure('ENOTDIR', path)
    return node?.names() ?? []
  }

  async size(path: string): Promise<number | undefined> {
    await this.#settle()
    const node = this.#find(path)
    return node instanceof SimDirectory ? 4096 : node?.sizeBytes
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#begin({ kind: 'rename', path: from })
    const node = this.#find(from)
    if (node === undefined) throw failure('ENOENT', from)
    const source = this.#place(from)
    const target = this.#place(to)
    SimDirectory.change({
      moves: [
        { ...source, node: undefined },
        { ...target, node },
      ],
    })
  }

  async remove(path: string): Promise<void> {
    await this.#begin({ kind: 'remove', path })
    const node = this.#find(path)
    if (node instanceof SimDirectory) throw failure('EISDIR', path)
    if (node !== undefined) this.#unlink(path)
  }

  async removeTree(path: string): Promise<void> {
    await this.#begin({ kind: 'remove', path })
    if (this.#find(path) !== undefined) this.#unlink(path)
  }

  async lock(path: string): Promise<{ release(): Promise<void> } | undefined> {
    await this.#settle()
    const { locks } = this.#disk
    this.#place(path)
    if (locks.has(path)) return undefined
    locks.add(path)
    let held = true
    return {
      release: async () => {
        if (held) locks.delete(path)
        held = false
      },
    }
  }

  async freeBytes(_path: string): Promise<number> {
    await this.#settle()
    return Math.max(0, Math.min(2 ** 50, this.quotaBytes - this.usedBytes))
  }

  #handle(path: string, file: SimFile): FileHandle {
    let open = true
    const begin = (operation: Operation) => {
      if (!open) return Promise.reject(failure('EBADF', path))
      return this.#begin(operation)
    }
    return {
      readAt: async (target, position) => {
        await begin({ kind: 'read', path, position, sizeBytes: target.length })
        return file.read(target, position)
      },
      writeAt: async (parts, position) => {
        const bytes = concat(parts)
        const operation: Operation = { kind: 'write', path, position, sizeBytes: bytes.length }
        if (!open) throw failure('EBADF', path)
        if (this.#ended) return never()
        const fault = this.#ask(operation)
        if (fault === 'EIO' || fault === 'ENOSPC') return this.#fail(fault, path)
        let size = bytes.length
        if (this.quotaBytes !== Number.POSITIVE_INFINITY) {
          const room = this.quotaBytes - this.usedBytes + file.sizeBytes - position
          size = Math.min(size, Math.max(0, room))
        }
        if (size === 0 && bytes.length > 0) return this.#fail('ENOSPC', path)
        if (fault === 'short') size = 1 + (this.#random.uint32() % size)
        file.write(bytes.subarray(0, size), position)
        if (fault === 'crash') return this.#end()
        await this.#settle()
        return size
      },
      truncate: async (sizeBytes) => {
        await begin({ kind: 'truncate', path, sizeBytes })
        file.truncate(sizeBytes)
      },
      syncData: async () => {
        if (!open) throw failure('EBADF', path)
        if (this.#ended) return never()
        const changes = file.pending.slice()
        const fault = this.#ask({ kind: 'sync', path })
        if (fault === 'crash') return this.#end()
        await this.#settle()
        if (fault === 'EIO') {
          file.forget(changes)
          throw failure('EIO', path)
        }
        file.harden(changes)
      },
      sizeBytes: async () => {
        if (!open) throw failure('EBADF', path)
        await this.#settle()
        return file.sizeBytes
      },
      close: async () => {
        open = false
        await this.#settle()
      },
    }
  }

  #durableFile(path: string, file: SimFile): DurableFile {
    let open = true
    return {
      write: async (parts, position) => {
        const bytes = concat(parts)
        if (!open) throw failure('EBADF', path)
        if (this.#ended) return never()
        if (position % 4096 !== 0 || bytes.length % 4096 !== 0) throw failure('EINVAL', path)
        const operation = {
          kind: 'durable-write',
          path,
          position,
          sizeBytes: bytes.length,
        } as const
        const fault = this.#ask(operation)
        const change: Pending = file.write(bytes, position)
        if (fault === 'crash') return this.#end()
        await this.#settle()
        if (fault === 'EIO' || fault === 'ENOSPC') {
          file.tear(change, this.#random)
          throw failure(fault, path)
        }
        file.harden([change])
      },
      close: async () => {
        open = false
        await this.#settle()
      },
    }
  }

  /** Notes the operation, lets its fault strike, and waits as long as it takes. */
  async #begin(operation: Operation): Promise<void> {
    if (this.#ended) return never()
    const fault = this.#ask(operation)
    if (fault === 'crash') return this.#end()
    if (fault === 'EIO' || fault === 'ENOSPC') return this.#fail(fault, operation.path)
    await this.#settle()
  }

  #ask(operation: Operation): Fault | undefined {
    if (this.traced) this.trace.push(operation)
    return this.fault(operation)
  }

  async #fail(code: 'EIO' | 'ENOSPC', path: string): Promise<never> {
    await this.#settle()
    throw failure(code, path)
  }

  #settle(): Promise<void> {
    if (this.#ended) return never()
    const { clock } = this.#options
    const latencyMs = this.latencyMs ?? this.#options.latencyMs ?? 1
    if (clock === undefined) return Promise.resolve()
    return new Promise((resolve) => {
      clock.timer(this.#random.float() * latencyMs, () => {
        if (!this.#ended) resolve()
      })
    })
  }

  #end(): Promise<never> {
    this.#ended = true
    this.#onEnd()
    return never()
  }

  #find(path: string): SimFile | SimDirectory | undefined {
    let node: SimFile | SimDirectory | undefined = this.#disk.root
    for (const name of segments(path)) {
      if (!(node instanceof SimDirectory)) return undefined
      node = node.get(name)
    }
    return node
  }

  #file(path: string): SimFile {
    const node = this.#find(path)
    if (!(node instanceof SimFile)) throw failure('ENOENT', path)
    return node
  }

  #directory(path: string): SimDirectory {
    const node = this.#find(path)
    if (!(node instanceof SimDirectory)) throw failure('ENOENT', path)
    return node
  }

  #place(path: string): { directory: SimDirectory; name: string } {
    const names = segments(path)
    const name = names.pop() ?? ''
    return { directory: this.#directory(names.join('/')), name }
  }

  #link(path: string, node: SimFile): void {
    SimDirectory.change({ moves: [{ ...this.#place(path), node }] })
  }

  #unlink(path: string): void {
    SimDirectory.change({ moves: [{ ...this.#place(path), node: undefined }] })
  }
}

function segments(path: string): string[] {
  return path.split('/').filter((name) => name !== '' && name !== '.')
}

function pathsIn(directory: SimDirectory, path: string): string[] {
  return directory.names().flatMap((name) => {
    const node = directory.get(name)
    const inner = `${path}/${name}`
    return node instanceof SimDirectory ? pathsIn(node, inner) : [inner]
  })
}

function usedBytes(directory: SimDirectory): number {
  let sum = 0
  for (const node of directory.nodes()) {
    sum += node instanceof SimDirectory ? usedBytes(node) : node.sizeBytes
  }
  return sum
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  return parts.length === 1 ? (parts[0] as Uint8Array) : new Uint8Array(Buffer.concat(parts))
}

function failure(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: simulated, '${path}'`), { code })
}
