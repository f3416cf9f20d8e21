/** Runs async jobs one at a time, in order of arrival; bounded. */
import { ServiceError } from './service-error.ts'

export class Serial {
  readonly #limit: number
  #tail: Promise<unknown> = Promise.resolve()
  #pending = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  get pending(): number {
    return this.#pending
  }

  /** @throws ServiceError `overloaded` when `limit` jobs are unfinished */
  async run<T>(job: () => Promise<T> | T): Promise<T> {
    if (this.#pending >= this.#limit) {
      throw new ServiceError('overloaded', `${this.#limit} operations wait here already`, {
        retryAfterMs: 1000,
      })
    }
    this.#pending++
    const result = this.#tail.then(job)
    this.#tail = result.catch(() => undefined)
    try {
      return await result
    } finally {
      this.#pending--
    }
  }
}
