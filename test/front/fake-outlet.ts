/** A StreamOutlet that keeps what it is sent, and takes more only when the test says so. */
import type { StreamEndReason, StreamOutlet } from '../../src/front/stream-outlet.ts'
import type { ServiceError } from '../../src/lib/service-error.ts'
import type { CursorPosition } from '../../src/wire/cursor.ts'
import { decodeCursor } from '../../src/wire/cursor.ts'
import type { StreamChunk } from '../../src/wire/stream-chunk.ts'

export interface Frame {
  readonly id: string
  readonly positions: readonly CursorPosition[]
  readonly data: { readonly partition: number; readonly offset: number; readonly value: unknown }
}

export class FakeOutlet implements StreamOutlet {
  readonly #over = Promise.withResolvers<void>()
  readonly over: Promise<void> = this.#over.promise
  isOver: boolean = false
  #onOver: (() => void) | undefined
  readonly chunks: StreamChunk[] = []
  readonly events: { name: string; data: unknown; cursor: string | undefined }[] = []
  ended: StreamEndReason | undefined
  /** Number of calls of `write`. */
  writes = 0
  /** Writes while it was full: must not happen. */
  overruns = 0
  readonly #takes: () => boolean
  #waiting: (() => void)[] = []
  #isFull: boolean = false

  /** `takes` says after each write whether there is room for more. */
  constructor(takes: () => boolean = () => true) {
    this.#takes = takes
  }

  get isFull(): boolean {
    return this.#isFull
  }

  write(chunks: readonly StreamChunk[]): boolean {
    if (this.#isFull) this.overruns++
    this.writes++
    this.chunks.push(...chunks)
    this.#isFull = !this.#takes()
    return !this.#isFull
  }

  whenOver(run: () => void): void {
    if (this.isOver) run()
    else if (this.#onOver === undefined) this.#onOver = run
    else throw new Error('two wait for the end')
  }

  whenDrained(run: () => void): void {
    this.#waiting.push(run)
  }

  drain(): void {
    const waiting = this.#waiting
    this.#waiting = []
    this.#isFull = false
    if (this.isOver) return
    for (const run of waiting) run()
  }

  event(name: string, data: object, cursor: string): void {
    this.events.push({ name, data, cursor })
  }

  error(error: ServiceError, cursor: string | undefined): void {
    this.events.push({ name: 'error', data: error.code, cursor })
  }

  end(reason: StreamEndReason): void {
    this.ended ??= reason
    this.disconnect()
  }

  disconnect(): void {
    if (this.isOver) return
    this.isOver = true
    this.#onOver?.()
    this.#over.resolve()
  }

  get frames(): Frame[] {
    const text = Buffer.concat(this.chunks.map(({ payload }) => payload)).toString()
    return text
      .split('\n\n')
      .filter((frame) => frame !== '')
      .map((frame) => {
        const match = /^id: (\S+)\ndata: (.*)$/s.exec(frame)
        if (match === null) throw new Error(`not a frame: ${frame.slice(0, 200)}`)
        const id = match[1]!
        const positions = decodeCursor(id)?.topics[0]?.positions
        if (positions === undefined) throw new Error('the id is not a cursor')
        return { id, positions, data: JSON.parse(match[2]!) as Frame['data'] }
      })
  }
}
