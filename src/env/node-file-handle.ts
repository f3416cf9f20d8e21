/**
 * A file of the operating system: callbacks of node:fs on a numeric descriptor, which cost a fifth
 * less than FileHandle. The descriptor outlives every call on it, as its number is reused after.
 */
import { close, fdatasync, fstat, ftruncate, read, writev } from 'node:fs'
import { closedError } from './durable-file.ts'
import type { FileHandle } from './file-system.ts'

type Done<T> = (error: NodeJS.ErrnoException | null, value?: T) => void

export class NodeFileHandle implements FileHandle {
  readonly #fd: number
  #running = 0
  #closing: Promise<void> | undefined
  #drained: (() => void) | undefined

  constructor(fd: number) {
    this.#fd = fd
  }

  async readAt(target: Uint8Array, position: number): Promise<number> {
    let filled = 0
    while (filled < target.length) {
      const got = await this.#call<number>((done) =>
        read(this.#fd, target, filled, target.length - filled, position + filled, done),
      )
      if (got === 0) break
      filled += got
    }
    return filled
  }

  writeAt(parts: readonly Uint8Array[], position: number): Promise<number> {
    return this.#call<number>((done) => writev(this.#fd, parts, position, done))
  }

  truncate(sizeBytes: number): Promise<void> {
    return this.#call<void>((done) => ftruncate(this.#fd, sizeBytes, done))
  }

  syncData(): Promise<void> {
    return this.#call<void>((done) => fdatasync(this.#fd, done))
  }

  async sizeBytes(): Promise<number> {
    return (await this.#call<{ size: number }>((done) => fstat(this.#fd, done))).size
  }

  close(): Promise<void> {
    this.#closing ??= new Promise((resolve, reject) => {
      const run = () => close(this.#fd, (error) => (error ? reject(error) : resolve()))
      if (this.#running === 0) run()
      else this.#drained = run
    })
    return this.#closing
  }

  #call<T>(start: (done: Done<T>) => void): Promise<T> {
    if (this.#closing !== undefined) return Promise.reject(closedError())
    return new Promise((resolve, reject) => {
      this.#running++
      start((error, value) => {
        if (--this.#running === 0) this.#drained?.()
        if (error) reject(error)
        else resolve(value as T)
      })
    })
  }
}
