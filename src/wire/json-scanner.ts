/**
 * Walks JSON text (RFC 8259) and checks its grammar without making a value of it, so that values
 * can be cut out byte for byte. It does not check UTF-8: do that for the whole text at once.
 */
import { LIMITS } from '../core/limits.ts'
import type { TakeRecord } from './json-skim.ts'
import { JSON_SKIM } from './json-skim.ts'

export const JSON_BYTE = {
  quote: 0x22,
  comma: 0x2c,
  colon: 0x3a,
  openArray: 0x5b,
  closeArray: 0x5d,
  openObject: 0x7b,
  closeObject: 0x7d,
} as const

const { quote, comma, colon, openArray, openObject, closeObject } = JSON_BYTE
const LINE_FEED = 0x0a
const BACKSLASH = 0x5c
const MINUS = 0x2d
const ZERO = 0x30
const NINE = 0x39
const POINT = 0x2e
const PLUS = 0x2b
/** In lower case. */
const EXPONENT = 0x65
/** A closing bracket is its opening one plus two, in ASCII. */
const TO_CLOSING = 2
/** What `peek` gives at the end of the text; no byte is negative. */
const END = -1

export class JsonScanner {
  bytes: Uint8Array = new Uint8Array(0)
  at = 0
  end = 0
  /** What is wrong at `at`; empty as long as nothing is. */
  fault = ''
  /** Whether the string scanned last has an escape sequence. */
  escaped = false
  /** What is between the quotes of the name scanned last, and whether it has an escape sequence. */
  nameStart = 0
  nameEnd = 0
  nameEscaped = false

  /** The brackets that are open, outermost first. */
  readonly #open: number[] = []
  /** Stands for the bytes: whoever has used their memory before them had other ones. */
  #text = {}

  #start = 0
  /** Whether the text ends at the next line feed. */
  #isLine: boolean = false

  /** What is wrong and where, counted from where the text starts. */
  get faultText(): string {
    return `not JSON at byte ${this.at - this.#start}: ${this.fault}`
  }

  reset(bytes: Uint8Array, start = 0, end: number = bytes.length): void {
    if (bytes !== this.bytes) this.#text = {}
    this.bytes = bytes
    this.#start = start
    this.at = start
    this.end = end
    this.#isLine = false
    this.fault = ''
  }

  /** The same for a text that ends with its line, wherever that is: it is found on the way. */
  resetLine(bytes: Uint8Array, start: number): void {
    this.reset(bytes, start)
    this.#isLine = true
  }

  /** Where the line ends: at its line feed, or at the end of the bytes. */
  lineEnd(): number {
    const { bytes, at } = this
    if (at === bytes.length || bytes[at] === LINE_FEED) return at
    const feed = bytes.indexOf(LINE_FEED, at)
    return feed === -1 ? bytes.length : feed
  }

  /** Steps over whitespace and returns the byte that follows, -1 at the end. */
  peek(): number {
    const { bytes, end } = this
    let at = this.at
    for (; at < end; at++) {
      const byte = bytes[at] as number
      if (byte > 0x20 || (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09)) {
        this.at = at
        return byte
      }
      if (byte === LINE_FEED && this.#isLine) {
        this.end = at
        break
      }
    }
    this.at = at
    return END
  }

  /** Steps over one value, and whitespace before it. */
  value(): boolean {
    const end = JSON_SKIM.valueEnd(this.#text, this.bytes, this.at, this.end, this.#isLine)
    if (end === -1) return this.#walk()
    this.at = end
    return true
  }

  /** The same for all that is JSON; what is not, it finds fault with. */
  #walk(): boolean {
    let depth = 0
    for (;;) {
      const byte = this.peek()
      if (byte === quote) {
        if (!this.string()) return false
      } else if (byte === openObject || byte === openArray) {
        if (depth === LIMITS.jsonDepth) return this.fail(`nested deeper than ${depth} levels`)
        this.#open[depth++] = byte
        this.at++
        if (this.peek() !== byte + TO_CLOSING) {
          if (byte === openObject && !this.name()) return false
          continue
        }
      } else if (!this.#scalar(byte)) return false
      // Behind a value: close what ends here, then go on with what follows a comma.
      for (;;) {
        if (depth === 0) return true
        const container = this.#open[depth - 1] as number
        const next = this.peek()
        if (next === comma) {
          this.at++
          if (container === openObject && !this.name()) return false
          break
        }
        if (next !== container + TO_CLOSING)
          return this.#unexpected(next, 'a comma or a closing bracket')
        this.at++
        depth--
      }
    }
  }

  /**
   * Steps over records that are written plainly, each with the comma or line feed behind it, and gives
   * `take` up to `room` of them. What comes next may be one, too, or anything else.
   */
  plainRecords(room: number, keyBytes: number, take: TakeRecord): void {
    const separator = this.#isLine ? LINE_FEED : comma
    const wanted = { separator, room, keyBytes }
    this.at = JSON_SKIM.records(this.#text, this.bytes, this.at, wanted, take)
  }

  /** Steps over the name of a member and its colon. */
  name(): boolean {
    const byte = this.peek()
    if (byte !== quote) return this.#unexpected(byte, 'a name in quotes')
    const nameStart = this.at + 1
    if (!this.string()) return false
    this.nameStart = nameStart
    this.nameEnd = this.at - 1
    this.nameEscaped = this.escaped
    const next = this.peek()
    if (next !== colon) return this.#unexpected(next, 'a colon')
    this.at++
    return true
  }

  /** Steps over a string; `at` is on its first quote. */
  string(): boolean {
    const { bytes, end } = this
    let at = this.at + 1
    this.escaped = false
    for (;;) {
      at = JSON_SKIM.textEnd(this.#text, bytes, at, end)
      if (at === end) return this.failAt(this.at, 'a string without an end')
      const byte = bytes[at] as number
      if (byte === quote) {
        this.at = at + 1
        return true
      }
      if (byte === LINE_FEED && this.#isLine) return this.fail('a string without an end')
      if (byte !== BACKSLASH) return this.failAt(at, 'a control character in a string')
      this.escaped = true
      at = this.#escapeEnd(at)
      if (at === END) return false
    }
  }

  /**
   * Steps into an object; `at` is on its bracket. Whether a member follows: then its name and colon
   * are behind. False without a member, and for a fault.
   */
  firstMember(): boolean {
    this.at++
    if (this.peek() !== closeObject) return this.name()
    this.at++
    return false
  }

  /** The same behind the value of a member. */
  nextMember(): boolean {
    const next = this.peek()
    if (next !== comma && next !== closeObject)
      return this.#unexpected(next, 'a comma or a closing bracket')
    this.at++
    return next === comma && this.name()
  }

  /** Whether only whitespace is left. */
  isEmpty(): boolean {
    return this.peek() === END
  }

  /** The same, but it is a fault if not. */
  isAtEnd(): boolean {
    return this.isEmpty() || this.unexpected('the end')
  }

  fail(detail: string): false {
    this.fault = detail
    return false
  }

  failAt(at: number, detail: string): false {
    this.at = at
    return this.fail(detail)
  }

  /** For a byte that the grammar does not allow where it stands. */
  unexpected(expected: string): false {
    return this.#unexpected(this.peek(), expected)
  }

  #unexpected(byte: number, expected: string): false {
    if (byte === END) return this.fail(`ends where ${expected} should come`)
    return this.fail(`${characterName(byte)} where ${expected} should come`)
  }

  /** Returns the place behind the escape sequence at `start`, -1 for a bad one. */
  #escapeEnd(start: number): number {
    const { bytes, end } = this
    const kind = start + 1 < end ? (bytes[start + 1] as number) : END
    switch (kind) {
      case quote:
      case BACKSLASH:
      case 0x2f: // slash
      case 0x62: // b
      case 0x66: // f
      case 0x6e: // n
      case 0x72: // r
      case 0x74: // t
        return start + 2
      case 0x75: // u
        for (let at = start + 2; at < start + 6; at++) {
          if (at >= end || !isHexDigit(bytes[at] as number)) break
          if (at === start + 5) return start + 6
        }
    }
    this.failAt(start, 'a bad escape sequence in a string')
    return END
  }

  #scalar(byte: number): boolean {
    if (byte === MINUS || isDigit(byte)) return this.#number(byte)
    if (byte === 0x74) return this.#literal('true')
    if (byte === 0x66) return this.#literal('false')
    if (byte === 0x6e) return this.#literal('null')
    return this.#unexpected(byte, 'a value')
  }

  #literal(text: string): boolean {
    for (let i = 0; i < text.length; i++) {
      const at = this.at + i
      if (at >= this.end || this.bytes[at] !== text.charCodeAt(i)) {
        return this.fail(`not a value (${text} is meant?)`)
      }
    }
    this.at += text.length
    return true
  }

  #number(first: number): boolean {
    const { bytes, end } = this
    /** Where the run of digits begins that ends at `at`; it must not be empty. */
    let digits = first === MINUS ? this.at + 1 : this.at
    const isZero = digits < end && bytes[digits] === ZERO
    let at = isZero ? digits + 1 : digitsEnd(bytes, digits, end)
    if (at > digits && at < end && bytes[at] === POINT) {
      digits = at + 1
      at = digitsEnd(bytes, digits, end)
    }
    if (at > digits && at < end && ((bytes[at] as number) | 0x20) === EXPONENT) {
      const sign = at + 1 < end ? bytes[at + 1] : END
      digits = sign === PLUS || sign === MINUS ? at + 2 : at + 1
      at = digitsEnd(bytes, digits, end)
    }
    this.at = at
    return at > digits || this.fail('a number that lacks a digit')
  }
}

/** Where the run of digits from `start` on ends. */
function digitsEnd(bytes: Uint8Array, start: number, end: number): number {
  let at = start
  while (at < end && isDigit(bytes[at] as number)) at++
  return at
}

function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= NINE
}

function isHexDigit(byte: number): boolean {
  const letter = byte | 0x20
  return isDigit(byte) || (letter >= 0x61 && letter <= 0x66)
}

function characterName(byte: number): string {
  if (byte > 0x20 && byte < 0x7f) return `"${String.fromCharCode(byte)}"`
  return `byte 0x${byte.toString(16).padStart(2, '0')}`
}
