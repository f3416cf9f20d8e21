/**
 * Finds where plain text of a JSON string ends: at a quote, a backslash or a control character. Sixteen
 * bytes at once, in WebAssembly, which JavaScript cannot: to copy the bytes into its memory, a window of
 * them at a time, costs a fraction of that. Owns the code and the memory.
 */

/** What a step of the loop reads; the last one of a window may read beyond it. */
const STEP_BYTES = 16
const WINDOW_BYTES = 4 * 64 * 1024 - STEP_BYTES

/** A module with four pages of memory and the function `end` ($at, $end), a few instructions a line. */
const MODULE = [
  '0061736d 01000000', // magic, version
  '01 07 01 60 02 7f7f 01 7f', // type 0: (i32, i32) -> i32
  '03 02 01 00', // function 0 is of type 0
  '05 03 01 00 04', // memory 0 has four pages
  '07 10 02', // two exports
  '06 6d656d6f7279 02 00', // "memory"
  '03 656e64 00 00', // "end"
  '0a 50 01 4e', // the code of function 0
  '02 01 7b 01 7f', // $bytes v128, $stops i32
  '03 40', // loop
  '20 00 fd00 00 00 21 02', // $bytes = sixteen bytes at $at
  '20 02 41 22 fd0f fd23', // $bytes = quote
  '20 02 41 dc00 fd0f fd23', // $bytes = backslash
  'fd50', // or
  '20 02 41 20 fd0f fd26', // $bytes < space
  'fd50', // or
  'fd64 21 03', // $stops = a bit for each byte
  '20 03 04 40', // if any
  '20 00 20 03 68 6a 0f 0b', // return $at + trailing zeros of $stops
  '20 00 41 10 6a 21 00', // $at += 16
  '20 00 20 01 49 0d 00 0b', // again if $at < $end
  '20 00 0b', // return $at
]

/** Node has it, its types do not. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (module: object) => { readonly exports: unknown }
}

interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer }
  readonly end: (at: number, end: number) => number
}

/** One for the process: looking for an end never pauses, and each window says whose it is. */
class PlainText {
  readonly #memory: Uint8Array
  readonly #end: Exports['end']
  /** What the window was taken for, and which of its bytes it holds. */
  #owner: object | undefined
  #windowStart = 0
  #windowEnd = 0

  constructor() {
    const module = new WebAssembly.Module(Buffer.from(MODULE.join('').replaceAll(' ', ''), 'hex'))
    const { memory, end } = new WebAssembly.Instance(module).exports as Exports
    this.#memory = new Uint8Array(memory.buffer)
    this.#end = end
  }

  /**
   * The first place in [start, end) where text is not plain, `end` if there is none. For one `owner`
   * the bytes before `end` stay the same.
   */
  endOf(owner: object, bytes: Uint8Array, start: number, end: number): number {
    let at = start
    while (at < end) {
      if (owner !== this.#owner || at < this.#windowStart || at >= this.#windowEnd) {
        this.#load(owner, bytes, at)
      }
      const base = this.#windowStart
      const stop = Math.min(end, this.#windowEnd)
      at = base + this.#end(at - base, stop - base)
      if (at < stop) return at
      at = stop
    }
    return end
  }

  #load(owner: object, bytes: Uint8Array, at: number): void {
    this.#owner = owner
    this.#windowStart = at
    this.#windowEnd = Math.min(bytes.length, at + WINDOW_BYTES)
    this.#memory.set(bytes.subarray(at, this.#windowEnd))
  }
}

export const PLAIN_TEXT = new PlainText()
