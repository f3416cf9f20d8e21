/**
 * Steps over JSON in WebAssembly, which is faster than JavaScript by far: to copy the bytes into its memory,
 * a window of them at a time, costs a fraction of that. `json-skim.wat` says what it does. Owns the code
 * and the memory.
 */
import { JSON_SKIM_CODE } from './json-skim-code.ts'

/** What `records` has found is in the memory from here on, for so many of them; before it the text, and a zero. */
const FOUND_AT = 4 * 64 * 1024
const FOUND_ROOM = 1024
const FOUND_NUMBERS = 4
const WINDOW_BYTES = FOUND_AT - 1

/** Node has it, its types do not. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (module: object) => { readonly exports: unknown }
}

interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer }
  readonly textEnd: (at: number) => number
  readonly valueEnd: (at: number, isLine: boolean) => number
  readonly records: (at: number, separator: number, room: number, keyBytes: number) => number
}

/** Which records are plain, and how many are wanted. */
export interface PlainRecords {
  /** The byte behind each. */
  readonly separator: number
  readonly room: number
  readonly keyBytes: number
}

/** Places in the bytes; `keyStart` is -1 where there is no key. */
export type TakeRecord = (
  keyStart: number,
  keyEnd: number,
  valueStart: number,
  valueEnd: number,
) => void

/** One for the process: it never pauses, and each window says whose it is. */
class JsonSkim {
  readonly #memory: Uint8Array
  readonly #textEnd: Exports['textEnd']
  readonly #valueEnd: Exports['valueEnd']
  readonly #records: Exports['records']
  readonly #found: Int32Array
  /** What the window was taken for, and which of its bytes it holds. */
  #owner: object | undefined
  #windowStart = 0
  #windowEnd = 0

  constructor() {
    const module = new WebAssembly.Module(Buffer.from(JSON_SKIM_CODE, 'base64'))
    const { memory, textEnd, valueEnd, records } = new WebAssembly.Instance(module)
      .exports as Exports
    this.#memory = new Uint8Array(memory.buffer, 0, FOUND_AT)
    this.#found = new Int32Array(memory.buffer, FOUND_AT, 1 + FOUND_ROOM * FOUND_NUMBERS)
    this.#textEnd = textEnd
    this.#valueEnd = valueEnd
    this.#records = records
  }

  /**
   * The first place in [start, end) where text of a string is not plain: a quote, a backslash or a
   * control character; `end` if there is none. For one `owner` the bytes before `end` stay the same.
   */
  textEnd(owner: object, bytes: Uint8Array, start: number, end: number): number {
    let at = start
    while (at < end) {
      this.#open(owner, bytes, at)
      const base = this.#windowStart
      const stop = Math.min(end, this.#windowEnd)
      at = base + this.#textEnd(at - base)
      if (at < stop) return at
      at = stop
    }
    return end
  }

  /**
   * Behind the JSON value that begins at `start` and ends before `end` or there; -1 where it is not sure:
   * where there is none, but also for exponents, deep nesting and what lies across the end of a window.
   * With `isLine` a line feed is no whitespace.
   */
  valueEnd(owner: object, bytes: Uint8Array, start: number, end: number, isLine: boolean): number {
    this.#open(owner, bytes, start)
    const behind = this.#valueEnd(start - this.#windowStart, isLine)
    const at = this.#windowStart + behind
    // Behind the window a number could go on.
    const isCut = at === this.#windowEnd && at < bytes.length
    return behind === 0 || at > end || isCut ? -1 : at
  }

  /**
   * Steps over records from `start` on that are written plainly: a value, perhaps a key of at most `keyBytes`
   * without escapes, and a `separator` behind each, a comma or a line feed. Gives `take` up to `room` of them,
   * and returns where the one begins that comes next; that may be plain, too.
   */
  records(
    owner: object,
    bytes: Uint8Array,
    start: number,
    { separator, room, keyBytes }: PlainRecords,
    take: TakeRecord,
  ): number {
    this.#open(owner, bytes, start)
    const base = this.#windowStart
    const found = this.#found
    const most = Math.min(room, FOUND_ROOM)
    const count = this.#records(start - base, separator, most, keyBytes)
    for (let i = 0, at = 1; i < count; i++, at += FOUND_NUMBERS) {
      const keyStart = found[at] as number
      const keyEnd = base + (found[at + 1] as number)
      const valueStart = base + (found[at + 2] as number)
      const valueEnd = base + (found[at + 3] as number)
      take(keyStart === 0 ? -1 : base + keyStart, keyEnd, valueStart, valueEnd)
    }
    return base + (found[0] as number)
  }

  /** Sees to it that the window holds the byte at `at`. */
  #open(owner: object, bytes: Uint8Array, at: number): void {
    if (owner === this.#owner && at >= this.#windowStart && at < this.#windowEnd) return
    this.#owner = owner
    this.#windowStart = at
    this.#windowEnd = Math.min(bytes.length, at + WINDOW_BYTES)
    this.#memory.set(bytes.subarray(at, this.#windowEnd))
    this.#memory[this.#windowEnd - at] = 0
  }
}

export const JSON_SKIM = new JsonSkim()
