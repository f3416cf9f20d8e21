/** One round of fan-out: publishes, counts what reaches the subscribers, and times each delivery. */
import { Histogram } from '../lib/histogram.ts'
import type { Sample } from '../lib/sample.ts'

export interface Shot {
  /** What every subscriber gets from one publish. */
  readonly events: number
  readonly fire: (acknowledged: () => void) => void
}

/** When the next publish goes: at a rate, or when so few publishes are left to be delivered. */
export type Pace = { readonly perSecond: number } | { readonly publishesAhead: number }

/** The next one goes when half the subscribers have the last: no two publishes share a write. */
export const ONE_BY_ONE: Pace = { publishesAhead: 0.5 }
/** The next one becomes durable while the last is on its way. Two that share a write are one read. */
export const BACK_TO_BACK: Pace = { publishesAhead: 1 }
/** The publisher waits for its acknowledgement only: the server may send many events at once. */
export const UNTHROTTLED: Pace = { publishesAhead: 64 }

const STALLED_MS = 30_000

export class Fanout {
  readonly #subscribers: number
  #round: Round | undefined

  constructor(subscribers: number) {
    this.#subscribers = subscribers
  }

  /** What one connection calls with what it read. */
  subscriber(): (events: number, bytes: number) => void {
    let seen = 0
    let seenIn: Round | undefined
    return (events, bytes) => {
      const round = this.#round
      if (round === undefined) return
      if (round !== seenIn) seen = 0
      seenIn = round
      round.received(seen, events, bytes)
      seen += events
    }
  }

  /** Resolves when all that was published within `seconds` has reached everybody. */
  async run(shot: Shot, seconds: number, pace: Pace): Promise<Sample> {
    const round = new Round(this.#subscribers, shot, pace, seconds * 1000)
    this.#round = round
    const sample = await round.run()
    this.#round = undefined
    return sample
  }
}

class Round {
  readonly #subscribers: number
  readonly #shot: Shot
  readonly #pace: Pace
  readonly #cpuBefore = process.cpuUsage()
  readonly #startMs = performance.now()
  readonly #endMs: number
  readonly #latencies = new Histogram()
  readonly #sentAtMs: number[] = []
  readonly #finished = Promise.withResolvers<void>()
  #deliveries = 0
  #reads = 0
  #bytes = 0
  #unacknowledged = 0
  #ended: boolean = false

  constructor(subscribers: number, shot: Shot, pace: Pace, durationMs: number) {
    this.#subscribers = subscribers
    this.#shot = shot
    this.#pace = pace
    this.#endMs = this.#startMs + durationMs
  }

  async run(): Promise<Sample> {
    const stalled = setTimeout(
      () => this.#finished.reject(new Error(`stalled after ${this.#deliveries} deliveries`)),
      this.#endMs - this.#startMs + STALLED_MS,
    )
    if ('perSecond' in this.#pace) this.#publishOnTime(this.#startMs, 1000 / this.#pace.perSecond)
    else this.#publish(this.#startMs)
    await this.#finished.promise
    clearTimeout(stalled)
    return this.#sample()
  }

  /** `first`: how many events of this round the connection had before. */
  received(first: number, events: number, bytes: number): void {
    const nowMs = performance.now()
    for (let event = first; event < first + events; event++) {
      const sentAtMs = this.#sentAtMs[Math.floor(event / this.#shot.events)]
      if (sentAtMs === undefined) throw new Error('more events than were published')
      this.#latencies.record(nowMs - sentAtMs)
    }
    this.#deliveries += events
    this.#reads++
    this.#bytes += bytes
    this.#advance()
  }

  #publish(dueMs: number): void {
    this.#sentAtMs.push(dueMs)
    this.#unacknowledged++
    this.#shot.fire(() => {
      this.#unacknowledged--
      this.#advance()
    })
  }

  #advance(): void {
    if (this.#unacknowledged > 0) return
    const perPublish = this.#shot.events * this.#subscribers
    const missing = this.#sentAtMs.length * perPublish - this.#deliveries
    if (this.#ended) {
      if (missing === 0) this.#finished.resolve()
    } else if (
      'publishesAhead' in this.#pace &&
      missing <= this.#pace.publishesAhead * perPublish
    ) {
      const nowMs = performance.now()
      this.#ended = nowMs >= this.#endMs
      if (this.#ended) this.#advance()
      else this.#publish(nowMs)
    }
  }

  /** A publish that must wait for the one before keeps the time at which it was due. */
  #publishOnTime(dueMs: number, intervalMs: number): void {
    if (this.#unacknowledged > 0) {
      setTimeout(() => this.#publishOnTime(dueMs, intervalMs), 1)
      return
    }
    const nextMs = dueMs + intervalMs
    this.#ended = nextMs >= this.#endMs
    this.#publish(dueMs)
    if (this.#ended) return
    setTimeout(() => this.#publishOnTime(nextMs, intervalMs), nextMs - performance.now())
  }

  #sample(): Sample {
    const elapsedMs = performance.now() - this.#startMs
    const cpu = process.cpuUsage(this.#cpuBefore)
    return {
      perSecond: (this.#deliveries / elapsedMs) * 1000,
      readsPerSecond: (this.#reads / elapsedMs) * 1000,
      megabytesPerSecond: this.#bytes / 1000 / elapsedMs,
      wireBytes: this.#bytes / this.#deliveries,
      p50Ms: this.#latencies.percentileMs(0.5),
      p99Ms: this.#latencies.percentileMs(0.99),
      loadCores: (cpu.user + cpu.system) / 1000 / elapsedMs,
    }
  }
}
