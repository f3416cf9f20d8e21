/**
 * Durable writes through one thread per file system. The journal has one write in flight whatever
 * file it is in, so a second thread would only sleep: writes are done one after the other.
 */
import { Worker } from 'node:worker_threads'
import type { DurableFailure } from './durable-file-thread.ts'
import type { DurableFile } from './file-system.ts'
import type { DurableWrite } from './write-slot.ts'
import { WriteSlot } from './write-slot.ts'

interface Waiter {
  readonly write: DurableWrite
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

/** The thread; it runs while a file that uses it is open and keeps the process alive only during writes. */
export class DurableWriter {
  #thread: WriteThread | undefined
  #files = 0

  acquire(): void {
    this.#files++
  }

  async release(): Promise<void> {
    this.#files--
    if (this.#files > 0) return
    const thread = this.#thread
    this.#thread = undefined
    await thread?.end()
  }

  write(write: DurableWrite): Promise<void> {
    this.#thread ??= new WriteThread((ended) => {
      if (this.#thread === ended) this.#thread = undefined
    })
    return this.#thread.write(write)
  }
}

class WriteThread {
  readonly #worker: Worker
  readonly #slot = new WriteSlot()
  /** In the order of their writes; the thread has that of the first. */
  readonly #waiters: Waiter[] = []

  constructor(onEnd: (thread: WriteThread) => void) {
    // In the checkout this file and the thread's are .ts, in a package both are .js.
    const extension = import.meta.url.slice(import.meta.url.lastIndexOf('.'))
    const url = new URL(`./durable-file-thread${extension}`, import.meta.url)
    const workerData = this.#slot.thread
    const transferList = [workerData.port]
    const worker = new Worker(url, {
      execArgv: [],
      name: 'durable-writes',
      workerData,
      transferList,
    })
    this.#worker = worker
    worker.unref()
    const fail = (cause?: unknown) => {
      const error = Object.assign(new Error('the thread for durable writes ended', { cause }), {
        code: 'EIO',
      })
      onEnd(this)
      for (const waiter of this.#waiters.splice(0)) waiter.reject(error)
    }
    worker.on('error', fail)
    worker.on('exit', () => fail())
  }

  write(write: DurableWrite): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiters.push({ write, resolve, reject })
      if (this.#waiters.length > 1) return
      this.#worker.ref()
      this.#give(write)
    })
  }

  async end(): Promise<void> {
    await this.#worker.terminate()
    this.#slot.close()
  }

  #give(write: DurableWrite): void {
    void this.#slot.give(write).then((failure) => this.#settle(failure))
  }

  #settle(failure: DurableFailure | undefined): void {
    const waiter = this.#waiters.shift()
    const [next] = this.#waiters
    if (next === undefined) this.#worker.unref()
    else this.#give(next.write)
    if (failure === undefined) waiter?.resolve()
    else waiter?.reject(Object.assign(new Error(failure.message), failure))
  }
}

export interface DurableDescriptor {
  readonly fd: number
  /** Of the same file, past the page cache, where the system can. */
  readonly directFd: number | undefined
  /** Whether the descriptors themselves make writes durable (O_DSYNC). */
  readonly synced: boolean
  close(): Promise<void>
}

export class ThreadedDurableFile implements DurableFile {
  readonly #writer: DurableWriter
  readonly #descriptor: DurableDescriptor
  #inFlight: Promise<unknown> = Promise.resolve()
  #closing: Promise<void> | undefined

  constructor(writer: DurableWriter, descriptor: DurableDescriptor) {
    this.#writer = writer
    this.#descriptor = descriptor
    writer.acquire()
  }

  write(parts: readonly Uint8Array[], position: number): Promise<void> {
    if (this.#closing !== undefined) return Promise.reject(closedError())
    const { fd, directFd, synced } = this.#descriptor
    const done = this.#writer.write({ fd, directFd, parts, position, syncAfter: !synced })
    this.#inFlight = done.catch(() => undefined)
    return done
  }

  close(): Promise<void> {
    this.#closing ??= this.#finish()
    return this.#closing
  }

  async #finish(): Promise<void> {
    await this.#inFlight
    try {
      await this.#descriptor.close()
    } finally {
      await this.#writer.release()
    }
  }
}

export function closedError(): Error {
  return Object.assign(new Error('EBADF: the file is closed'), { code: 'EBADF' })
}
