/** Reads an event stream as a browser does (WHATWG HTML, section 9.2.6). */
export interface StreamEvent {
  readonly id: string
  readonly type: string
  readonly data: string
}

export function parseEventStream(bytes: Uint8Array): StreamEvent[] {
  const events: StreamEvent[] = []
  const lines = new TextDecoder().decode(bytes).split(/\r\n|\r|\n/)
  let id = ''
  let type = ''
  let data: string[] = []
  // What follows the last line break is an unfinished line.
  for (const line of lines.slice(0, -1)) {
    if (line === '') {
      if (data.length > 0) events.push({ id, type: type || 'message', data: data.join('\n') })
      type = ''
      data = []
      continue
    }
    const colon = line.indexOf(':')
    if (colon === 0) continue
    const field = colon === -1 ? line : line.slice(0, colon)
    const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '')
    if (field === 'id' && !value.includes('\0')) id = value
    else if (field === 'event') type = value
    else if (field === 'data') data.push(value)
  }
  return events
}
