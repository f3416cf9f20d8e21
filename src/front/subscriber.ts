/**
 * One subscriber's way through a topic: it reads the log itself until it stands where the shared
 * tail does, then takes segments from there, and reads the log again when it has fallen out. While
 * it follows the tail, which is most of its life, it holds nothing but its place.
 */
import { ServiceError } from '../lib/service-error.ts'
import type { ReadPositions } from './read-positions.ts'
import type { StreamOutlet } from './stream-outlet.ts'
import type { StreamReader } from './stream-reader.ts'
import type { StreamSource } from './stream-source.ts'
import type { StreamStart } from './stream-start.ts'
import type { TailHub, TailMember } from './tail-hub.ts'

/** What there is only while the log is read. */
interface Reading {
  readonly stop: AbortController
  /** Lets a waiting reader look again. */
  wake: () => void
}

export class Subscriber implements TailMember {
  readonly #outlet: StreamOutlet
  readonly #source: StreamSource
  readonly #onError: (outlet: StreamOutlet, error: unknown) => void
  #hub: TailHub | undefined
  /** Number of the next segment; undefined while not in step with the hub. */
  #next: number | undefined
  /** Where the segments that were taken lead to; shared. */
  #after: ReadPositions | undefined
  #reading: Reading | undefined
  #isBlocked: boolean = false

  /** `onError` is told why reading failed, unless the stream is over. */
  constructor(
    outlet: StreamOutlet,
    source: StreamSource,
    onError: (outlet: StreamOutlet, error: unknown) => void,
  ) {
    this.#outlet = outlet
    this.#source = source
    this.#onError = onError
  }

  start({ positions, unresolved, resolve }: StreamStart): void {
    this.#read((signal) =>
      this.#source.reader(this.#outlet, signal, positions, { unresolved, resolve }),
    )
  }

  /** To be called when the outlet is over. */
  stop(): void {
    this.#leave()
    this.#reading?.stop.abort(new ServiceError('request-timeout', 'the stream is over'))
    this.#reading?.wake()
  }

  pump(): void {
    if (this.#next === undefined) this.#reading?.wake()
    else if (!this.#isBlocked) this.#pull()
  }

  hubEnded(): void {
    this.#hub = undefined
    if (this.#next === undefined) this.#reading?.wake()
    else this.#readOn()
  }

  /** Writes all that waits, as long as the connection takes it. */
  #pull(): void {
    const hub = this.#hub
    while (hub !== undefined && this.#next !== undefined && this.#next < hub.end) {
      const piece = hub.piece(this.#next)
      if (piece === undefined) {
        // Fallen out of the ring.
        this.#readOn()
        return
      }
      this.#next = piece.next
      this.#after = piece.after
      if (!this.#outlet.write(piece.chunks)) {
        this.#isBlocked = true
        this.#outlet.whenDrained(() => this.#unblock())
        return
      }
    }
  }

  #unblock(): void {
    this.#isBlocked = false
    this.pump()
  }

  /** Reads the log from where the segments have led to. */
  #readOn(): void {
    const positions = this.#after?.copy()
    this.#leave()
    if (positions === undefined || this.#outlet.isOver) return
    this.#read((signal) => this.#source.reader(this.#outlet, signal, positions))
  }

  #read(readerUntil: (signal: AbortSignal) => StreamReader): void {
    const stop = new AbortController()
    const reading: Reading = { stop, wake: ignore }
    this.#reading = reading
    const ended = () => {
      if (this.#reading === reading) this.#reading = undefined
    }
    this.#readUntilTail(readerUntil(stop.signal), reading).then(ended, (error: unknown) => {
      ended()
      if (!this.#outlet.isOver) this.#onError(this.#outlet, error)
    })
  }

  async #readUntilTail(reader: StreamReader, reading: Reading): Promise<void> {
    const { signal } = reading.stop
    while (this.#isBlocked && !signal.aborted) await untilWoken(reading)
    while (!signal.aborted) {
      const step = await reader.step()
      if (step === 'over') return
      if (step !== 'tail' || signal.aborted) continue
      if (await this.#join(reader, reading)) return
      // Without a pause a hub that one cannot join would be tried again at once, and for ever.
      await reader.pause()
    }
  }

  /** Leaves the rest to the shared tail; false if it could not be joined. */
  async #join(reader: StreamReader, reading: Reading): Promise<boolean> {
    const hub = this.#source.hub(reader.positions)
    this.#hub = hub
    hub.attach(this)
    let isInStep = false
    try {
      isInStep = await this.#getInStep(hub, reader, reading)
    } finally {
      if (!isInStep) this.#leave()
    }
    if (isInStep) this.pump()
    return isInStep
  }

  /** Reads the log up to where the hub stands, until both are at the same place in all partitions. */
  async #getInStep(hub: TailHub, reader: StreamReader, reading: Reading): Promise<boolean> {
    const { signal } = reading.stop
    while (!hub.hasEnded && !signal.aborted) {
      const next = hub.end
      const target = hub.place
      for (;;) {
        const { positions } = reader
        if (positions.isAt(target)) {
          if (hub.hasEnded || signal.aborted || next < hub.first) break
          this.#next = next
          this.#after = target
          this.#reading = undefined
          return true
        }
        const behind = positions.behind(target)
        if (behind.length === 0) {
          // Ahead of the hub, which gets here soon: what is ahead has been committed.
          if (hub.positions.isAt(target)) await untilWoken(reading)
          break
        }
        if (!(await reader.catchUp(behind, target))) return false
      }
    }
    return false
  }

  #leave(): void {
    const hub = this.#hub
    this.#hub = undefined
    this.#next = undefined
    this.#after = undefined
    hub?.detach(this)
  }
}

function untilWoken(reading: Reading): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  reading.wake = resolve
  return promise
}

function ignore(): void {}
