/** What happened in a simulation, in order: for people to read, and as a hash for comparing runs. */
import { createHash } from 'node:crypto'

export interface TraceEvent {
  readonly atMs: number
  readonly where: string
  readonly what: string
}

/** Enough for the longest run; a livelock must not fill the memory. */
const EVENTS_MAX = 500_000

export class SimTrace {
  readonly events: TraceEvent[] = []
  readonly #nowMs: () => number

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  add(where: string, what: string): void {
    if (this.events.length >= EVENTS_MAX) throw new Error('livelock: the trace comes to no end')
    this.events.push({ atMs: this.#nowMs(), where, what })
  }

  hash(): string {
    const hash = createHash('sha256')
    for (const event of this.events) hash.update(`${line(event)}\n`)
    return hash.digest('hex').slice(0, 16)
  }

  text(last = Number.POSITIVE_INFINITY): string {
    return this.events.slice(-last).map(line).join('\n')
  }
}

function line({ atMs, where, what }: TraceEvent): string {
  return `${atMs.toFixed(3).padStart(12)}  ${where.padEnd(8)} ${what}`
}
