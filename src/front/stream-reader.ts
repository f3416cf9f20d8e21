/**
 * Reads the log for one stream: fetches from where it stands, sends what is found, and tells the
 * reader of the stream what went wrong. A partition that fails is tried again; the others go on.
 */
import type { Clock } from '../env/clock.ts'
import { ServiceError } from '../lib/service-error.ts'
import type { FetchResult, Isolation, Refusal, StorageService } from '../wire/internal.ts'
import { HeldPartitions } from './held-partitions.ts'
import type { ReadPositions } from './read-positions.ts'
import { refusalError } from './refusal.ts'
import type { StreamOutlet } from './stream-outlet.ts'
import type { StreamRenderer } from './stream-renderer.ts'

export interface StreamReaderDeps {
  readonly clock: Clock
  readonly storage: StorageService
  /** Makes a renderer that begins at `positions` and moves them. */
  readonly rendererAt: (positions: ReadPositions) => StreamRenderer
  /** Where a partition starts whose position could not be resolved before. */
  readonly resolve: (partition: number) => Promise<{ offset: number; lastEpoch: number }>
}

/** Bytes of batches that one fetch asks for. */
const FETCH_BYTES = 256 * 1024
const PAUSE_MS = 100

export class StreamReader {
  readonly #deps: StreamReaderDeps
  readonly #outlet: StreamOutlet
  readonly #isolation: Isolation
  readonly #held: HeldPartitions
  #renderer: StreamRenderer
  #turn = 0

  /** `positions` of the `unresolved` partitions are placeholders. */
  constructor(
    deps: StreamReaderDeps,
    outlet: StreamOutlet,
    positions: ReadPositions,
    unresolved: ReadonlyMap<number, ServiceError>,
    isolation: Isolation,
  ) {
    this.#deps = deps
    this.#outlet = outlet
    this.#isolation = isolation
    this.#renderer = deps.rendererAt(positions)
    this.#held = new HeldPartitions(deps.clock)
    for (const [partition, error] of unresolved) {
      this.#held.hold(partition, true)
      outlet.error(error, undefined)
    }
  }

  get positions(): ReadPositions {
    return this.#renderer.positions
  }

  goTo(positions: ReadPositions): void {
    this.#renderer = this.#deps.rendererAt(positions)
  }

  /**
   * Sends what one fetch brings. `tail`: nothing is left in any partition. `over`: the stream was
   * ended. Rejects when the signal of the outlet aborts.
   */
  async step(): Promise<'sent' | 'tail' | 'over'> {
    await this.#resolveDue()
    const waitMs = this.#held.waitMs()
    const partitions = this.positions.partitions.filter(
      (partition) => !this.#held.isWaiting(partition) && !this.#held.isUnresolved(partition),
    )
    if (partitions.length === 0) {
      await this.#deps.clock.sleep(waitMs, this.#outlet.signal)
      return 'sent'
    }
    const results = await this.#fetch(partitions, waitMs)
    const isTail = results.length === 0 && this.#held.size === 0
    const refused = new Set<number>()
    for (const result of results) {
      if (result.ok) this.#renderer.add(result)
      else refused.add(result.partition)
    }
    for (const partition of partitions) if (!refused.has(partition)) this.#held.release(partition)
    await this.#send()
    for (const result of results) if (!result.ok && !this.#refused(result)) return 'over'
    return isTail ? 'tail' : 'sent'
  }

  /**
   * Sends the partitions `partitions` up to where `bound` is; false if that cannot be done now.
   * Rejects when the signal of the outlet aborts.
   */
  async catchUp(partitions: readonly number[], bound: ReadPositions): Promise<boolean> {
    const results = await this.#fetch(partitions, 0)
    if (results.length === 0) return false
    for (const result of results) {
      if (!result.ok) return false
      this.#renderer.add(result, bound.offsetOf(result.partition))
    }
    await this.#send()
    return true
  }

  /** Rejects when the signal of the outlet aborts. */
  pause(): Promise<void> {
    return this.#deps.clock.sleep(PAUSE_MS, this.#outlet.signal)
  }

  #fetch(partitions: readonly number[], waitMs: number): Promise<FetchResult[]> {
    const wanted = new Set(partitions)
    const positions = this.positions
      .fetchPositions(this.#turn++)
      .filter(({ partition }) => wanted.has(partition))
    const request = { positions, maxBytes: FETCH_BYTES, waitMs, isolation: this.#isolation }
    return this.#deps.storage.fetch(request, this.#outlet.signal)
  }

  async #send(): Promise<void> {
    const { signal } = this.#outlet
    for (const segment of this.#renderer.flush()) {
      signal.throwIfAborted()
      if (this.#outlet.write([segment.chunk])) continue
      await new Promise<void>((resolve, reject) => {
        const abort = () => reject(signal.reason)
        signal.addEventListener('abort', abort, { once: true })
        this.#outlet.whenDrained(() => {
          signal.removeEventListener('abort', abort)
          resolve()
        })
      })
    }
  }

  async #resolveDue(): Promise<void> {
    if (this.#held.size === 0) return
    for (const partition of this.positions.partitions) {
      if (!this.#held.isUnresolved(partition) || this.#held.isWaiting(partition)) continue
      try {
        const { offset, lastEpoch } = await this.#deps.resolve(partition)
        this.#move(partition, offset, lastEpoch)
        this.#held.release(partition)
      } catch (error) {
        if (!(error instanceof ServiceError)) throw error
        this.#held.hold(partition, true)
      }
    }
  }

  /** Tells the reader, and sees how the stream goes on; false if it does not. */
  #refused(refusal: Refusal & { readonly partition: number }): boolean {
    const { code, partition, members } = refusal
    const { topic } = this.positions
    if (code === 'topic-not-found') {
      this.#outlet.end('deleted')
      return false
    }
    const error = refusalError(refusal, topic, partition, this.positions)
    const earliest = members?.['earliest']
    const tail = members?.['tail']
    if (code === 'cursor-expired' && typeof earliest === 'number') {
      const data = { topic: topic.name, partition, offset: this.positions.offsetOf(partition) }
      this.#move(partition, earliest, -1)
      this.#outlet.event('gap', { ...data, earliest }, this.positions.cursor())
    } else if (code === 'offset-out-of-range' && typeof tail === 'number') {
      this.#move(partition, tail, -1)
      this.#outlet.error(error, this.positions.cursor())
    } else if (this.#held.hold(partition, false)) {
      this.#outlet.error(error, undefined)
    }
    return true
  }

  /** Jumps, which the cursors of the frames that follow must show. */
  #move(partition: number, offset: number, lastEpoch: number): void {
    const { positions } = this
    positions.restart(partition, offset)
    positions.set(partition, offset, lastEpoch)
    this.#renderer = this.#deps.rendererAt(positions)
  }
}
