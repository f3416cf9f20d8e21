/**
 * The two produce bodies, `{"records": [...]}` and one record a line: checked completely, values
 * cut out byte for byte. Also tells whether a payload is JSON.
 */
import { LIMITS } from '../core/limits.ts'
import type { FaultDetail } from '../lib/service-error.ts'
import { invalidUtf8At, isUtf8 } from '../lib/utf8.ts'
import { pointerToken } from './json-pointer.ts'
import { JSON_BYTE, JsonScanner } from './json-scanner.ts'
import { decodeString } from './json-string.ts'
import type { SlicedRecord } from './record-slicer.ts'
import { RecordSlicer } from './record-slicer.ts'

/** Keys, values and header values are views of the body where they can be. */
export interface SlicedRecords {
  readonly records: readonly SlicedRecord[]
  /** How faults name the record at `index`: `/records/4`, or `line 7`. */
  readonly pointerOf: (index: number) => string
}

export interface SliceFaults {
  readonly faults: readonly FaultDetail[]
}

const pointerOfIndex = (index: number) => `/records/${index}`

/** Whether `bytes` are one JSON text (RFC 8259), no deeper than `LIMITS.jsonDepth`. */
export function isJson(bytes: Uint8Array): boolean {
  if (!isUtf8(bytes)) return false
  const scanner = new JsonScanner()
  scanner.reset(bytes)
  return scanner.value() && scanner.isAtEnd()
}

/** Slices `{"records": [...]}`. */
export function sliceRecords(body: Uint8Array): SlicedRecords | SliceFaults {
  if (!isUtf8(body)) {
    return { faults: [{ pointer: '', detail: `not UTF-8 at byte ${invalidUtf8At(body)}` }] }
  }
  const document = new DocumentSlicer(body)
  const faults = document.slice()
  return faults.length === 0 ? { records: document.records, pointerOf: pointerOfIndex } : { faults }
}

class DocumentSlicer {
  readonly records: SlicedRecord[] = []
  readonly #slicer = new RecordSlicer(pointerOfIndex)
  #hasRecords: boolean = false
  /** Which record is being read; -1 outside of them. */
  #place = -1

  constructor(body: Uint8Array) {
    this.#slicer.scanner.reset(body)
  }

  slice(): readonly FaultDetail[] {
    const slicer = this.#slicer
    const { scanner } = slicer
    if (!this.#document()) {
      const pointer = this.#place < 0 ? '' : pointerOfIndex(this.#place)
      if (scanner.fault !== '') slicer.report(pointer, scanner.faultText)
    } else if (!this.#hasRecords) slicer.report('/records', 'is missing')
    return slicer.faults
  }

  /** Each of these is false where reading cannot go on. */
  #document(): boolean {
    const { scanner } = this.#slicer
    if (scanner.peek() === JSON_BYTE.openObject) {
      for (let more = scanner.firstMember(); more; more = scanner.nextMember()) {
        if (!this.#member()) return false
      }
      return scanner.fault === '' && scanner.isAtEnd()
    }
    if (!scanner.value() || !scanner.isAtEnd()) return false
    this.#slicer.report('', 'must be an object')
    return false
  }

  #member(): boolean {
    const slicer = this.#slicer
    const { scanner } = slicer
    const name = decodeString(scanner.bytes, scanner.nameStart - 1, scanner.nameEnd + 1)
    if (name !== 'records') slicer.report(`/${pointerToken(name)}`, 'is not known')
    else if (this.#hasRecords) slicer.report('/records', 'is given twice')
    else {
      this.#hasRecords = true
      if (scanner.peek() === JSON_BYTE.openArray) return this.#elements()
      slicer.report('/records', 'must be an array')
    }
    return scanner.value()
  }

  #elements(): boolean {
    const slicer = this.#slicer
    const { scanner } = slicer
    scanner.at++
    if (scanner.peek() === JSON_BYTE.closeArray) slicer.report('/records', 'has no record')
    else {
      for (let next: number = JSON_BYTE.comma; next === JSON_BYTE.comma; next = scanner.peek()) {
        if (this.#place >= 0) scanner.at++
        this.#place++
        this.#place += slicer.plainRecords(this.records, LIMITS.recordsPerRequest - this.#place)
        if (!this.#element()) return false
      }
      if (scanner.peek() !== JSON_BYTE.closeArray)
        return scanner.unexpected('a comma or a closing bracket')
    }
    this.#place = -1
    scanner.at++
    return true
  }

  #element(): boolean {
    const slicer = this.#slicer
    const record = slicer.record(this.#place)
    if (record !== undefined) this.records.push(record)
    if (this.#place >= LIMITS.recordsPerRequest) {
      slicer.report('/records', `has more than ${LIMITS.recordsPerRequest} records`)
      return false
    }
    return slicer.scanner.fault === '' && !slicer.isFull
  }
}
