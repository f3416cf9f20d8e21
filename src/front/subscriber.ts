/**
 * One subscriber's way through a topic: it reads the log itself until it stands where the shared
 * tail does, then takes segments from there, and reads the log again when it has fallen out.
 */
import type { StreamChunk } from '../wire/stream-chunk.ts'
import type { ReadPositions } from './read-positions.ts'
import type { StreamOutlet } from './stream-outlet.ts'
import type { StreamReader } from './stream-reader.ts'
import type { TailHub, TailMember } from './tail-hub.ts'

/** Framed bytes that one write takes from the ring, unless one segment is larger. */
const PULL_BYTES = 256 * 1024

export class Subscriber implements TailMember {
  readonly #outlet: StreamOutlet
  readonly #reader: StreamReader
  /** The shared tail of this stream; one that begins at `positions` is made if there is none. */
  readonly #hubFor: (positions: ReadPositions) => TailHub
  #hub: TailHub | undefined
  /** Number of the next segment; undefined while not in step with the hub. */
  #next: number | undefined
  /** Where the segments that were taken lead to. */
  #after: ReadPositions | undefined
  #isBlocked: boolean = false
  #wake: () => void = () => undefined

  constructor(
    outlet: StreamOutlet,
    reader: StreamReader,
    hubFor: (positions: ReadPositions) => TailHub,
  ) {
    this.#outlet = outlet
    this.#reader = reader
    this.#hubFor = hubFor
  }

  /** Resolves when the connection is gone or its end was sent. */
  async run(): Promise<void> {
    const { signal } = this.#outlet
    const abort = () => this.#wake()
    signal.addEventListener('abort', abort)
    try {
      while (!signal.aborted) {
        const step = await this.#reader.step()
        if (step === 'over') return
        if (step !== 'tail') continue
        // Without a pause a hub that one cannot join would be tried again at once, and for ever.
        if (!(await this.#follow())) await this.#reader.pause()
        while (this.#isBlocked && !signal.aborted) await this.#untilWoken()
      }
    } catch (error) {
      if (!signal.aborted) throw error
    } finally {
      signal.removeEventListener('abort', abort)
      this.#leave()
    }
  }

  pump(): void {
    if (this.#next === undefined) this.#wake()
    else if (!this.#isBlocked) this.#pull()
  }

  hubEnded(): void {
    this.#hub = undefined
    this.#wake()
  }

  /** Resolves when the log is to be read again; false if the hub could not be joined. */
  async #follow(): Promise<boolean> {
    const hub = this.#hubFor(this.#reader.positions)
    this.#hub = hub
    hub.attach(this)
    try {
      if (!(await this.#getInStep(hub))) return false
      this.pump()
      await this.#untilLeft()
      return true
    } finally {
      this.#leave()
    }
  }

  /** Reads the log up to where the hub stands, until both are at the same place in all partitions. */
  async #getInStep(hub: TailHub): Promise<boolean> {
    const { signal } = this.#outlet
    while (!hub.hasEnded && !signal.aborted) {
      const next = hub.end
      const target = hub.positions.copy()
      for (;;) {
        const { positions } = this.#reader
        if (positions.isAt(target)) {
          if (hub.hasEnded || next < hub.first) break
          this.#next = next
          return true
        }
        const behind = positions.behind(target)
        if (behind.length === 0) {
          // Ahead of the hub, which gets here soon: what is ahead has been committed.
          if (hub.positions.isAt(target)) await this.#untilWoken()
          break
        }
        if (!(await this.#reader.catchUp(behind, target))) return false
      }
    }
    return false
  }

  /** Writes all that waits, as long as the connection takes it. */
  #pull(): void {
    const hub = this.#hub
    while (hub !== undefined && this.#next !== undefined && this.#next < hub.end) {
      const chunks: StreamChunk[] = []
      let bytes = 0
      while (this.#next < hub.end && bytes < PULL_BYTES) {
        const segment = hub.segment(this.#next)
        if (segment === undefined) break
        chunks.push(segment.chunk)
        bytes += segment.chunk.framed.length
        this.#after = segment.after
        this.#next++
      }
      if (chunks.length === 0) {
        // Fallen out of the ring.
        this.#next = undefined
        this.#wake()
        return
      }
      if (!this.#outlet.write(chunks)) {
        this.#isBlocked = true
        this.#outlet.whenDrained(this.#unblock)
        return
      }
    }
  }

  readonly #unblock = (): void => {
    this.#isBlocked = false
    this.pump()
  }

  async #untilLeft(): Promise<void> {
    const { signal } = this.#outlet
    while (this.#hub !== undefined && this.#next !== undefined && !signal.aborted) {
      await this.#untilWoken()
    }
  }

  #untilWoken(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#wake = resolve
    return promise
  }

  #leave(): void {
    const hub = this.#hub
    this.#hub = undefined
    this.#next = undefined
    this.#wake = () => undefined
    if (this.#after !== undefined) this.#reader.goTo(this.#after.copy())
    this.#after = undefined
    hub?.detach(this)
  }
}
