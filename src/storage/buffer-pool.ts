/** A few buffers of one size, which at once bounds how many readers of disks run at a time. */
import { ServiceError } from '../lib/service-error.ts'

const WAITING_MAX = 1024

interface Waiter {
  grant(buffer: Uint8Array): void
  fail(reason: unknown): void
}

export class BufferPool {
  readonly #sizeBytes: number
  readonly #free: Uint8Array[] = []
  readonly #waiting: Waiter[] = []
  #unmade: number
  #isClosed: boolean = false

  constructor(buffers: number, sizeBytes: number) {
    this.#unmade = buffers
    this.#sizeBytes = sizeBytes
  }

  get waiting(): number {
    return this.#waiting.length
  }

  /**
   * Runs `job` with a buffer, in order of arrival; what the buffer holds afterwards is void.
   * @throws ServiceError `overloaded` when too many wait, `draining` once it is closed; the signal's
   * reason on abort
   */
  async use<T>(signal: AbortSignal, job: (buffer: Uint8Array) => Promise<T>): Promise<T> {
    const buffer = await this.#take(signal)
    try {
      return await job(buffer)
    } finally {
      const next = this.#waiting.shift()
      if (next === undefined) this.#free.push(buffer)
      else next.grant(buffer)
    }
  }

  /** Nobody begins any more, also of those who wait. */
  close(): void {
    this.#isClosed = true
    for (const waiter of this.#waiting.splice(0)) waiter.fail(closedError())
  }

  #take(signal: AbortSignal): Promise<Uint8Array> {
    signal.throwIfAborted()
    if (this.#isClosed) throw closedError()
    const buffer = this.#free.pop() ?? this.#make()
    if (buffer !== undefined) return Promise.resolve(buffer)
    if (this.#waiting.length >= WAITING_MAX) {
      throw new ServiceError('overloaded', `${WAITING_MAX} reads of the disk wait already`, {
        retryAfterMs: 1000,
      })
    }
    return new Promise((resolve, reject) => {
      const abort = () => {
        this.#waiting.splice(this.#waiting.indexOf(waiter), 1)
        reject(signal.reason)
      }
      const leave = () => signal.removeEventListener('abort', abort)
      const waiter: Waiter = {
        grant: (free) => {
          leave()
          resolve(free)
        },
        fail: (reason) => {
          leave()
          reject(reason)
        },
      }
      this.#waiting.push(waiter)
      signal.addEventListener('abort', abort, { once: true })
    })
  }

  #make(): Uint8Array | undefined {
    if (this.#unmade === 0) return undefined
    this.#unmade--
    return new Uint8Array(this.#sizeBytes)
  }
}

function closedError(): ServiceError {
  return new ServiceError('draining', 'the storage is closed')
}
