/**
 * Steps over JSON in WebAssembly, which is faster than JavaScript by far: to copy the bytes into its memory,
 * a window of them at a time, costs a fraction of that. `json-skim.wat` says what it does. Owns the code
 * and the memory.
 */
import { JSON_SKIM_CODE } from './json-skim-code.ts'

/** Text is looked at in steps of so many bytes, the last of which may go beyond the window. */
const STEP_BYTES = 16
const WINDOW_BYTES = 4 * 64 * 1024 - STEP_BYTES

/** Node has it, its types do not. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (module: object) => { readonly exports: unknown }
}

interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer }
  readonly textEnd: (at: number) => number
  readonly valueEnd: (at: number, isLine: boolean) => number
}

/** One for the process: it never pauses, and each window says whose it is. */
class JsonSkim {
  readonly #memory: Uint8Array
  readonly #textEnd: Exports['textEnd']
  readonly #valueEnd: Exports['valueEnd']
  /** What the window was taken for, and which of its bytes it holds. */
  #owner: object | undefined
  #windowStart = 0
  #windowEnd = 0

  constructor() {
    const module = new WebAssembly.Module(Buffer.from(JSON_SKIM_CODE, 'base64'))
    const { memory, textEnd, valueEnd } = new WebAssembly.Instance(module).exports as Exports
    this.#memory = new Uint8Array(memory.buffer)
    this.#textEnd = textEnd
    this.#valueEnd = valueEnd
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
