/** The results of group calls as lines of JSON: `{"index", "reply"}` or `{"index", "refusal"}`. */

import type { GroupReply } from './group-calls.ts'
import { integer, membersOf, parseJson } from './json-shape.ts'
import { MalformedMessage } from './message.ts'
import type { RefusalText } from './refusal-json.ts'
import { parseRefusal } from './refusal-json.ts'

export type GroupResult = { readonly reply: GroupReply } | { readonly refusal: RefusalText }

export interface GroupFrame {
  readonly index: number
  /** The reply is not checked yet: that takes the kind of its call. */
  readonly result: { readonly reply: unknown } | { readonly refusal: RefusalText }
}

const LINE_END = 0x0a
/** The description of a group of a thousand members with all that they have. */
const MAX_LINE_BYTES = 32 * 1024 * 1024

export function encodeGroupFrame(frame: { readonly index: number; readonly result: GroupResult }) {
  return Buffer.from(`${JSON.stringify({ index: frame.index, ...frame.result })}\n`)
}

/** Takes the stream as it comes in pieces. */
export class GroupFrameReader {
  #pieces: Uint8Array[] = []
  #bytes = 0

  /** The results that are whole now. @throws MalformedMessage */
  push(chunk: Uint8Array): GroupFrame[] {
    const frames: GroupFrame[] = []
    let start = 0
    for (;;) {
      const end = chunk.indexOf(LINE_END, start)
      if (end === -1) break
      frames.push(this.#frame(chunk.subarray(start, end)))
      start = end + 1
    }
    const rest = chunk.subarray(start)
    this.#bytes += rest.length
    if (this.#bytes > MAX_LINE_BYTES) throw new MalformedMessage('a result is too long')
    if (rest.length > 0) this.#pieces.push(rest)
    return frames
  }

  #frame(tail: Uint8Array): GroupFrame {
    const line = this.#pieces.length === 0 ? tail : Buffer.concat([...this.#pieces, tail])
    this.#pieces = []
    this.#bytes = 0
    const { index, reply, refusal } = membersOf(parseJson(line))
    const at = integer(0)(index)
    if (refusal === undefined) return { index: at, result: { reply } }
    const parsed = parseRefusal(Buffer.from(JSON.stringify(refusal)))
    if (parsed === undefined) throw new MalformedMessage('a refusal is none')
    return { index: at, result: { refusal: parsed } }
  }
}
