/**
 * Reads the log for one stream: fetches from where it stands, sends what is found, and tells the
 * reader of the stream what went wrong. A partition that fails is tried again; the others go on.
 */
import type { Clock } from '../env/clock.ts'
import type { Gate } from '../lib/gate.ts'
import type { GenerationCache } from '../lib/generation-cache.ts'
import { ServiceError } from '../lib/service-error.ts'
import type { FetchResult, Isolation, Refusal, StorageService } from '../wire/internal.ts'
import { HeldPartitions } from './held-partitions.ts'
import type { ReadPositions } from './read-positions.ts'
import { refusalError } from './refusal.ts'
import type { StreamOutlet } from './stream-outlet.ts'
import type { StreamRenderer } from './stream-renderer.ts'
import type { StreamStart } from './stream-start.ts'
import type { TailSegment } from './tail-ring.ts'

export interface StreamReaderDeps {
  readonly clock: Clock
  readonly storage: StorageService
  /** Bounds how many readers hold what they have fetched. */
  readonly gate: Gate
  /** Makes a renderer that begins at `positions` and moves them. */
  readonly rendererAt: (positions: ReadPositions) => StreamRenderer
  /** Segments by where they begin, for the readers of the same stream. */
  readonly shared?: {
    readonly segments: GenerationCache<TailSegment>
    /** What those readers have in common. */
    readonly streamKey: string
  }
  /** Is asked before each segment is sent; the stream fails where it rejects. */
  readonly admit?: (segment: TailSegment) => Promise<void>
  readonly isolation: Isolation
}

/** Partitions whose positions are placeholders yet, and how to ask for them again. */
export type UnresolvedStart = Pick<StreamStart, 'unresolved' | 'resolve'>

/** Bytes of batches that one fetch asks for. */
const FETCH_BYTES = 256 * 1024
const PAUSE_MS = 100

export class StreamReader {
  readonly #deps: StreamReaderDeps
  readonly #outlet: StreamOutlet
  readonly #signal: AbortSignal
  readonly #resolve: UnresolvedStart['resolve'] | undefined
  readonly #held: HeldPartitions
  #renderer: StreamRenderer
  #turn = 0

  /** Reads from `positions`, which it moves, until `signal` aborts. */
  constructor(
    deps: StreamReaderDeps,
    outlet: StreamOutlet,
    signal: AbortSignal,
    positions: ReadPositions,
    start?: UnresolvedStart,
  ) {
    this.#deps = deps
    this.#outlet = outlet
    this.#signal = signal
    this.#resolve = start?.resolve
    this.#renderer = deps.rendererAt(positions)
    this.#held = new HeldPartitions(deps.clock)
    for (const [partition, error] of start?.unresolved ?? []) {
      this.#held.hold(partition, true)
      outlet.error(error, undefined)
    }
  }

  get positions(): ReadPositions {
    return this.#renderer.positions
  }

  /**
   * Sends what one fetch brings, which waits for so long. `tail`: nothing is left in any partition.
   * `over`: the stream was ended. Rejects when the signal aborts.
   */
  async step(maxWaitMs = 0): Promise<'sent' | 'tail' | 'over'> {
    await this.#resolveDue()
    const waitMs = this.#held.size === 0 ? maxWaitMs : this.#held.waitMs()
    const partitions = this.positions.partitions.filter(
      (partition) => !this.#held.isWaiting(partition) && !this.#held.isUnresolved(partition),
    )
    if (partitions.length === 0) {
      await this.#deps.clock.sleep(waitMs, this.#signal)
      return 'sent'
    }
    const results = await this.#send(partitions, waitMs, undefined)
    const refused = results.filter((result) => !result.ok)
    for (const partition of partitions) {
      if (!refused.some((refusal) => refusal.partition === partition)) {
        this.#held.release(partition)
      }
    }
    for (const refusal of refused) if (!this.#refused(refusal)) return 'over'
    return results.length === 0 && this.#held.size === 0 ? 'tail' : 'sent'
  }

  /**
   * Sends what `partitions` have below where `bound` is; false if that cannot be done now. Rejects
   * when the signal aborts.
   */
  async catchUp(partitions: readonly number[], bound: ReadPositions): Promise<boolean> {
    const results = await this.#send(partitions, 0, bound)
    return results.length > 0 && results.every((result) => result.ok)
  }

  /** Rejects when the signal aborts. */
  pause(): Promise<void> {
    return this.#deps.clock.sleep(PAUSE_MS, this.#signal)
  }

  /** Fetches, and sends what came as far as the connection takes it: the rest stays in the log. */
  async #send(
    partitions: readonly number[],
    waitMs: number,
    bound: ReadPositions | undefined,
  ): Promise<FetchResult[]> {
    const { gate } = this.#deps
    // One that waits for data holds nothing.
    if (waitMs > 0) {
      const results = await this.#fetch(partitions, waitMs)
      if (!(await this.#write(results, bound))) await this.#drained()
      return results
    }
    await gate.enter(this.#signal)
    let results: FetchResult[]
    let isTaken: boolean
    try {
      results = await this.#fetch(partitions, 0)
      isTaken = await this.#write(results, bound)
    } finally {
      gate.leave()
    }
    if (!isTaken) await this.#drained()
    return results
  }

  #fetch(partitions: readonly number[], waitMs: number): Promise<FetchResult[]> {
    const wanted = new Set(partitions)
    const positions = this.positions
      .fetchPositions(this.#turn++)
      .filter(({ partition }) => wanted.has(partition))
    const { storage, isolation } = this.#deps
    return storage.fetch({ positions, maxBytes: FETCH_BYTES, waitMs, isolation }, this.#signal)
  }

  /** False: the connection is full, and what is left was let go. */
  async #write(
    results: readonly FetchResult[],
    bound: ReadPositions | undefined,
  ): Promise<boolean> {
    const { admit } = this.#deps
    for (const result of results) {
      if (result.ok) this.#renderer.load(result, bound?.offsetOf(result.partition))
    }
    // Others write to it, too.
    if (this.#outlet.isFull) {
      this.#renderer.unload()
      return false
    }
    const isShared = bound === undefined
    let segment = this.#nextSegment(isShared)
    for (; segment !== undefined; segment = this.#nextSegment(isShared)) {
      if (admit !== undefined) await admit(segment)
      this.#signal.throwIfAborted()
      if (this.#outlet.write([segment.chunk])) continue
      this.#renderer.unload()
      return false
    }
    return true
  }

  #nextSegment(isShared: boolean): TailSegment | undefined {
    const { shared } = this.#deps
    if (shared === undefined || !isShared || !this.#renderer.isLoaded) return this.#renderer.next()
    const { segments, streamKey } = shared
    const key = `${streamKey} ${this.positions.cursor()}`
    const known = segments.get(key, sizeOf)
    if (known !== undefined) {
      this.#renderer.skipTo(known.after)
      return known
    }
    const segment = this.#renderer.next()
    if (segment !== undefined) segments.set(key, segment, sizeOf(segment))
    return segment
  }

  #drained(): Promise<void> {
    const signal = this.#signal
    return new Promise((resolve, reject) => {
      const abort = () => reject(signal.reason)
      signal.addEventListener('abort', abort, { once: true })
      this.#outlet.whenDrained(() => {
        signal.removeEventListener('abort', abort)
        resolve()
      })
    })
  }

  async #resolveDue(): Promise<void> {
    const resolve = this.#resolve
    if (resolve === undefined || this.#held.size === 0) return
    for (const partition of this.positions.partitions) {
      if (!this.#held.isUnresolved(partition) || this.#held.isWaiting(partition)) continue
      try {
        const { offset, lastEpoch } = await resolve(partition)
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
    const { earliest, tail, leaderEpoch = -1 } = members ?? {}
    if (code === 'cursor-expired' && typeof earliest === 'number') {
      const data = { topic: topic.name, partition, offset: this.positions.offsetOf(partition) }
      this.#move(partition, earliest, -1)
      this.#outlet.event('gap', { ...data, earliest }, this.#renderer.cursor)
    } else if (code === 'offset-out-of-range' && typeof tail === 'number') {
      this.#move(partition, tail, Number(leaderEpoch))
      this.#outlet.error(error, this.#renderer.cursor)
    } else if (this.#held.hold(partition, false)) {
      this.#outlet.error(error, undefined)
    }
    return true
  }

  /** Jumps, which the cursors of the frames that follow must show. */
  #move(partition: number, offset: number, lastEpoch: number): void {
    const { positions } = this
    positions.restart(partition, { offset, leaderEpoch: lastEpoch })
    this.#renderer = this.#deps.rendererAt(positions)
  }
}

function sizeOf({ chunk }: TailSegment): number {
  return chunk.framed.length
}
