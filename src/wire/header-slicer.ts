/** Cuts the headers of one record out of its `headers` and `headersBase64`. */
import { LIMITS } from '../core/limits.ts'
import type { RecordHeader } from '../core/record.ts'
import { RESERVED_HEADER_PREFIX } from '../core/record.ts'
import { pointerToken } from './json-pointer.ts'
import type { JsonScanner } from './json-scanner.ts'
import { JSON_BYTE } from './json-scanner.ts'
import { decodeBase64, decodeString, decodeStringBytes } from './json-string.ts'

const NO_HEADERS: readonly RecordHeader[] = Object.freeze([])

export class HeaderSlicer {
  readonly #scanner: JsonScanner
  readonly #fault: (pointer: string, detail: string) => void
  #headers: RecordHeader[] | undefined

  /** `fault` is told pointers that start at the record. */
  constructor(scanner: JsonScanner, fault: (pointer: string, detail: string) => void) {
    this.#scanner = scanner
    this.#fault = fault
  }

  get headers(): readonly RecordHeader[] {
    return this.#headers ?? NO_HEADERS
  }

  begin(): void {
    this.#headers = undefined
  }

  /** Takes the value at `start`, which the scanner has found to be JSON; it ends behind it again. */
  take(member: string, start: number, isBase64: boolean): void {
    const scanner = this.#scanner
    if (scanner.bytes[start] !== JSON_BYTE.openObject) {
      this.#fault(`/${member}`, 'must be an object of strings')
      return
    }
    scanner.at = start
    for (let more = scanner.firstMember(); more; more = scanner.nextMember()) {
      const name = decodeString(scanner.bytes, scanner.nameStart - 1, scanner.nameEnd + 1)
      scanner.peek()
      const valueStart = scanner.at
      scanner.value()
      this.#add(member, name, valueStart, isBase64)
    }
  }

  #add(member: string, name: string, start: number, isBase64: boolean): void {
    this.#headers ??= []
    const fault =
      this.#headers.length >= LIMITS.headersPerRecord
        ? `is one too many: a record has at most ${LIMITS.headersPerRecord} headers`
        : this.#nameFault(name)
    const value = fault === undefined ? this.#value(start, isBase64) : undefined
    if (value !== undefined) this.#headers.push({ name, value })
    else {
      const expected = isBase64
        ? 'must be a string of base64, with padding'
        : 'must be a string of text'
      this.#fault(`/${member}/${pointerToken(name)}`, fault ?? expected)
    }
  }

  #nameFault(name: string): string | undefined {
    if (name === '') return 'is a header without a name'
    if (name.startsWith(RESERVED_HEADER_PREFIX)) return 'is a reserved name'
    if (!name.isWellFormed()) return 'has half a surrogate pair, which is no text'
    return this.#headers?.some((header) => header.name === name) ? 'is given twice' : undefined
  }

  #value(start: number, isBase64: boolean): Uint8Array | undefined {
    const { bytes, at } = this.#scanner
    if (bytes[start] !== JSON_BYTE.quote) return undefined
    return isBase64 ? decodeBase64(bytes, start, at) : decodeStringBytes(bytes, start, at)
  }
}
