/** Reads `text/event-stream` as the HTML standard says a browser does (section 9.2.6), and keeps what browsers hide. */

export interface SseEvent {
  /** The last event id at this event, as a browser's `lastEventId`. */
  readonly id: string
  /** `message` when the frame names none. */
  readonly event: string
  readonly data: string
  /** Field names in the order of the frame's lines. */
  readonly fields: readonly string[]
}

export class SseParser {
  readonly events: SseEvent[] = []
  readonly comments: string[] = []
  retryMs: number | undefined
  lastEventId = ''
  readonly #decoder = new TextDecoder('utf-8')
  #pending = ''
  #id = ''
  #event = ''
  #data: string[] = []
  #fields: string[] = []

  /** Takes the next bytes, cut anywhere; returns how many events they completed. */
  push(bytes: Uint8Array): number {
    const before = this.events.length
    this.#pending += this.#decoder.decode(bytes, { stream: true })
    for (;;) {
      const end = this.#pending.search(/\r\n|\n|\r/)
      if (end === -1) break
      // A CR at the very end may be the first half of CRLF.
      if (this.#pending[end] === '\r' && end === this.#pending.length - 1) break
      const line = this.#pending.slice(0, end)
      this.#pending = this.#pending.slice(end + (this.#pending.startsWith('\r\n', end) ? 2 : 1))
      this.#line(line)
    }
    return this.events.length - before
  }

  #line(line: string): void {
    if (line === '') {
      this.#dispatch()
      return
    }
    const colon = line.indexOf(':')
    if (colon === 0) {
      this.comments.push(line.slice(1).trimStart())
      return
    }
    const name = colon === -1 ? line : line.slice(0, colon)
    const rest = colon === -1 ? '' : line.slice(colon + 1)
    const value = rest.startsWith(' ') ? rest.slice(1) : rest
    this.#fields.push(name)
    if (name === 'data') this.#data.push(value)
    else if (name === 'event') this.#event = value
    else if (name === 'id' && !value.includes('\0')) this.#id = value
    else if (name === 'retry' && /^\d+$/.test(value)) this.retryMs = Number(value)
  }

  #dispatch(): void {
    this.lastEventId = this.#id
    if (this.#data.length > 0) {
      this.events.push({
        id: this.#id,
        event: this.#event === '' ? 'message' : this.#event,
        data: this.#data.join('\n'),
        fields: this.#fields,
      })
    }
    this.#event = ''
    this.#data = []
    this.#fields = []
  }
}
